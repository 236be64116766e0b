package cache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
)

// memcached is a connection to one. It logs nobody in: to a server that asks for it, the command that does is one that stores
// something in every other.
type memcached struct {
	net.Conn
	in      *bufio.Reader
	address string
}

// Bounds of one look at all keys.
const (
	mostNames = 4 << 20 // bytes of their names that are kept
	lookTime  = 30 * time.Second
	busyEvery = 100 * time.Millisecond // between two questions whether another look is over
)

// longestLine is that of a dump, whose keys have three letters for each byte.
const longestLine = 4 << 10

func dial(ctx context.Context, address string) (*memcached, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	network, at := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, at = "unix", path
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, at)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &memcached{Conn: c, in: bufio.NewReaderSize(c, longestLine), address: address}, nil
}

// refused is what the server says against a command.
type refused string

func (r refused) Error() string { return fmt.Sprintf("refused: %.200q", string(r)) }

// errDone is what the reader of an answer returns after its last line.
var errDone = errors.New("done")

// ask sends commands and has each line of the answer read until that returns an error. After one that is no refusal nobody
// knows what became of the commands, and the connection is of no use any more.
func (c *memcached) ask(ctx context.Context, commands string, read func(line string) error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) }) // long ago: ends what waits
	defer stop()
	_, err := c.Write([]byte(commands))
	for err == nil {
		var line []byte
		if line, err = c.in.ReadSlice('\n'); err == nil {
			err = read(strings.TrimRight(string(line), "\r\n"))
		}
	}
	switch {
	case errors.Is(err, errDone):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// one asks for what has an answer of one line: want, or a refusal.
func (c *memcached) one(ctx context.Context, command, want string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return c.ask(ctx, command+"\r\n", func(line string) error {
		if line != want {
			return refused(line)
		}
		return errDone
	})
}

// stats asks the server for its counts.
func (c *memcached) stats(ctx context.Context) (items, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	n := map[string]int64{"pid": 0, "time": 0, "uptime": 0, "curr_items": 0, "bytes": 0, "get_hits": 0, "get_misses": 0,
		"cmd_get": 0, "cmd_set": 0, "delete_hits": 0, "cmd_flush": 0}
	told := 0
	err := c.ask(ctx, "stats\r\n", func(line string) error {
		if line == "END" {
			return errDone
		}
		name, isStat := strings.CutPrefix(line, "STAT ")
		if !isStat {
			return refused(line)
		}
		name, value, _ := strings.Cut(name, " ")
		if _, asked := n[name]; asked {
			told++
			var err error
			n[name], err = strconv.ParseInt(value, 10, 64)
			return err
		}
		return nil
	})
	if err != nil {
		return items{}, fmt.Errorf("ask memcached: %w", err)
	}
	if told != len(n) {
		return items{}, errors.New("it does not count as memcached does")
	}
	return items{Address: c.address, Flushes: n["cmd_flush"], counts: counts{
		Life: fmt.Sprint(n["pid"], " since ", n["time"]-n["uptime"]), Keys: n["curr_items"], Bytes: n["bytes"],
		Hits: n["get_hits"], Misses: n["get_misses"], Commands: n["cmd_get"] + n["cmd_set"], Removals: n["delete_hits"],
	}}, nil
}

// flush makes it forget all.
func (c *memcached) flush(ctx context.Context) error {
	err := c.one(ctx, "flush_all", "OK")
	var no refused
	switch {
	case errors.As(err, &no):
		return fmt.Errorf("nothing was removed: %w", err)
	case err != nil:
		return fmt.Errorf("flush: %w: %w", kind.ErrLost, err)
	}
	return nil
}

// find looks at all keys over a connection of its own, which it may leave in the middle, and gives those that begin with the
// prefix: so many at most. They are whole if none was left out. Another look that the server takes itself is waited for.
func find(ctx context.Context, address, prefix string, most int) (found []item, whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	kind.Eventually(ctx, busyEvery, func() bool {
		found, whole, err = look(ctx, address, prefix, most)
		var no refused
		return !errors.As(err, &no) || !strings.HasPrefix(string(no), "BUSY")
	})
	if err != nil {
		return nil, false, fmt.Errorf("look at the keys: %w", err)
	}
	return found, whole, nil
}

func look(ctx context.Context, address, prefix string, most int) (found []item, whole bool, err error) {
	c, err := dial(ctx, address)
	if err != nil {
		return nil, false, err
	}
	defer c.Close()
	bytes := 0
	err = c.ask(ctx, "lru_crawler metadump all\r\n", func(line string) error {
		switch {
		case line == "END":
			whole = true
			return errDone
		case !strings.HasPrefix(line, "key="):
			return refused(line)
		}
		i, err := parseItem(line)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(i.key, prefix) || i.removal() == "" {
			return nil
		}
		if bytes += len(i.key); len(found) >= most || bytes > mostNames {
			return errDone
		}
		found = append(found, i)
		return nil
	})
	return found, whole, err
}

// remove removes the items. What is gone, or was stored anew, is left as it is.
func (c *memcached) remove(ctx context.Context, some []item) (removed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var commands strings.Builder
	for _, i := range some {
		commands.WriteString(i.removal())
	}
	answers, no := 0, refused("")
	err = c.ask(ctx, commands.String(), func(line string) error {
		switch line {
		case "HD":
			removed++
		case "NF", "EX":
		default:
			no = refused(line)
		}
		if answers++; answers == len(some) {
			return errDone
		}
		return nil
	})
	switch {
	case err != nil:
		return removed, fmt.Errorf("%w: %w", kind.ErrLost, err)
	case no != "":
		return removed, no
	}
	return removed, nil
}
