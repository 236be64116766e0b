package delivery

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// FileName is where bundles are kept, in the agent's state folder.
const FileName = "bundles"

// maxCache is more than as many bundles as there may be take on the disk.
const maxCache = bundle.MaxBundles * (bundle.MaxSize + 64<<10)

// Read gives the bundles that were kept, none if there is no file. What is damaged is left out, and said in the error.
func Read(path string) ([]*config.Bundle, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxCache:
		return nil, fmt.Errorf("%s is no file of bundles: %d bytes", path, info.Size())
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

func decode(raw []byte) ([]*config.Bundle, error) {
	var c agentpb.BundleCache
	if err := proto.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("the file of bundles is damaged: %w", err)
	}
	var out []*config.Bundle
	var damaged error
	for _, b := range c.GetBundles() {
		files, err := verified(b.GetFiles(), b.GetOrder())
		if err != nil {
			damaged = err
			continue
		}
		if find(out, b.GetOrder().GetName()) == nil && len(out) < bundle.MaxBundles {
			out = append(out, &config.Bundle{Name: b.GetOrder().GetName(), Files: files})
		}
	}
	return out, damaged
}

// write keeps bundles, in place of those before.
func write(path string, bundles []*config.Bundle) error {
	c := &agentpb.BundleCache{}
	for _, b := range bundles {
		sum := bundle.Sum(b.Files)
		one := &agentpb.CachedBundle{Order: &agentpb.BundleOrder{Name: b.Name, Digest: sum[:]}}
		for _, f := range b.Files {
			one.Files = append(one.Files, &logpb.BundleFile{Name: f.Name, Text: f.Text})
		}
		c.Bundles = append(c.Bundles, one)
	}
	raw, err := proto.Marshal(c)
	if err != nil {
		return err
	}
	return durable.Write(path, raw, 0o600)
}

// verified are the files of an order, or why they are not.
func verified(list []*logpb.BundleFile, o *agentpb.BundleOrder) ([]bundle.File, error) {
	files := make([]bundle.File, len(list))
	for i, f := range list {
		files[i] = bundle.File{Name: f.GetName(), Text: f.GetText()}
	}
	if err := errors.Join(bundle.CheckName(o.GetName()), bundle.Check(files)); err != nil {
		return nil, err
	}
	if sum := bundle.Sum(files); string(sum[:]) != string(o.GetDigest()) {
		return nil, fmt.Errorf("the files of %s have another digest than was said", o.GetName())
	}
	return files, nil
}
