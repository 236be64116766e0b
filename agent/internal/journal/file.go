package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/salveops/salve/pkg/durable"
)

// Names in the state folder.
const (
	fileName    = "journal.db"
	fileNew     = "journal.db.new"     // half-made, removed at open
	fileCompact = "journal.db.compact" // half-made, removed at open
	fileLock    = "journal.lock"
	fileHost    = "host_id"
)

// makeDir makes the state folder, readable by its owner only. An existing one is left as it is (the files
// in it are private anyway), but not if anybody could replace files in it.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at state folder: %w", err)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("state folder %s can be written by everybody: chmod 0700 it", dir)
	}
	return nil
}

// health is what a check of the whole file found.
type health struct {
	older bool   // opened from the older of two headers: the last commit may be missing
	free  uint64 // pages
	pages uint64
}

// wasteful reports whether compaction would at least halve the file.
func (h health) wasteful(from int64) bool {
	return h.free*2 > h.pages && int64(h.pages)*pageSize >= from
}

// check inspects the file at path. A fs.PathError of "open" means that there is none or that it is not ours.
func check(path string) (health, error) {
	f, err := os.Open(path)
	if err != nil {
		return health{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return health{}, err
	}
	return inspect(f, info.Size())
}

// inspect reads a whole file and verifies its structure and every record. Any error but ErrNewer means that
// the file is damaged.
func inspect(f io.ReaderAt, size int64) (health, error) {
	head, older, err := readHeader(f, size)
	if err != nil {
		return health{}, err
	}
	c := newChecker()
	free, err := walk(f, head, c.visit)
	if err != nil {
		return health{}, err
	}
	return health{older: older, free: free, pages: head.pages}, c.verdict()
}

// checker judges the records of a file.
type checker struct {
	version    int
	versionErr error
	found      total
	stored     total
	storedErr  error
	first      error // the first record that is wrong
}

func newChecker() checker { return checker{versionErr: errSeal, storedErr: errSeal} }

func (c *checker) visit(bucket string, key, value []byte) {
	switch {
	case bucket == bucketMeta && string(key) == keyFormat:
		c.version, c.versionErr = decodeFormat(value)
	case bucket == bucketMeta && string(key) == keySum:
		c.stored, c.storedErr = decodeTotal(value)
	default:
		if _, err := unseal(bucket, string(key), value); err != nil {
			if c.first == nil {
				c.first = fmt.Errorf("%s %q: %w", bucket, key, err)
			}
			return
		}
		c.found.add(value)
	}
}

func (c *checker) verdict() error {
	switch {
	case c.versionErr != nil:
		return fmt.Errorf("format version: %w", c.versionErr)
	case c.version > format:
		return fmt.Errorf("%w: format %d, this one knows %d", ErrNewer, c.version, format)
	case c.first != nil:
		return c.first
	case c.storedErr != nil:
		return fmt.Errorf("record count: %w", c.storedErr)
	case c.found != c.stored:
		return fmt.Errorf("%d records found, %d written", c.found.count, c.stored.count)
	}
	return nil
}

// openBolt opens a file that check has approved.
func openBolt(path string, limits Limits) (db *bbolt.DB, err error) {
	err = guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:      limits.LockWait,
			PageSize:     pageSize,
			FreelistType: bbolt.FreelistMapType,
			MaxSize:      int(limits.File),
		})
		return err
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%w: another program holds %s", ErrLocked, path)
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return db, nil
}

// create makes an empty journal beside the old one and leaves it under its temporary name.
func create(path string, limits Limits, records map[string]string) error {
	db, err := openBolt(path, limits)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error { return initialise(tx, records) })
	return errors.Join(err, db.Close())
}

// initialise makes the buckets and the first records of the meta bucket.
func initialise(tx *bbolt.Tx, records map[string]string) error {
	for _, name := range []string{
		bucketMeta, bucketIncident, bucketTimeline, bucketEvidence, bucketAttempt, bucketPause,
	} {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	meta := tx.Bucket([]byte(bucketMeta))
	var t total
	for key, text := range records {
		value := seal(bucketMeta, key, []byte(text))
		t.add(value)
		if err := meta.Put([]byte(key), value); err != nil {
			return err
		}
	}
	if err := meta.Put([]byte(keyFormat), encodeFormat(format)); err != nil {
		return err
	}
	return meta.Put([]byte(keySum), t.encode())
}

// setAside gives a damaged journal a second name under which nobody will touch it. Its first name stays
// until the new journal is renamed over it, so that there is no moment without one: a crash in between
// finds the damaged file again instead of none, which would look like a new host with fresh budgets.
func setAside(path string, now time.Time) (string, error) {
	base := path + ".corrupt-" + now.UTC().Format("20060102T150405Z")
	name := base
	for i := 1; ; i++ {
		err := os.Link(path, name)
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrExist) || i > 1000 {
			return "", fmt.Errorf("set damaged journal aside: %w", err)
		}
		name = fmt.Sprintf("%s.%d", base, i)
	}
}

// compact writes the live records to a fresh file and puts it in the place of the old one.
func compact(path string, limits Limits) (err error) {
	dir := filepath.Dir(path)
	temp := filepath.Join(dir, fileCompact)
	defer func() {
		if err != nil {
			os.Remove(temp)
			err = fmt.Errorf("compact journal: %w", err)
		}
	}()
	src, err := openBolt(path, limits)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := openBolt(temp, limits)
	if err != nil {
		return err
	}
	dst.NoSync = true // one sync at the end is enough: until the rename nobody needs the file
	err = guard(func() error { return bbolt.Compact(dst, src, 1<<20) })
	err = errors.Join(err, dst.Sync(), dst.Close())
	if err != nil {
		return err
	}
	return durable.Rename(temp, path)
}
