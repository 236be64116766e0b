package delivery

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

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

// cached is a bundle as it is kept.
type cached struct {
	*config.Bundle
	trial
}

// trial says how far a bundle has come to be trusted not to kill the agent.
type trial struct {
	proved bool // an agent has run with it for trialTime
	starts int  // of agents with it before that
}

// Read gives the bundles that were kept, none if there is no file. What is damaged is left out, and said in the error.
func Read(path string) ([]*config.Bundle, error) {
	all, err := read(path)
	var out []*config.Bundle
	for _, c := range all {
		out = append(out, c.Bundle)
	}
	return out, err
}

func read(path string) ([]cached, error) {
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

func decode(raw []byte) ([]cached, error) {
	var c agentpb.BundleCache
	if err := proto.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("the file of bundles is damaged: %w", err)
	}
	var out []cached
	var damaged error
	for _, b := range c.GetBundles() {
		files, err := verified(b.GetFiles(), b.GetOrder())
		if err != nil {
			damaged = err
			continue
		}
		name := b.GetOrder().GetName()
		if len(out) < bundle.MaxBundles && !slices.ContainsFunc(out, func(c cached) bool { return c.Name == name }) {
			out = append(out, cached{&config.Bundle{Name: name, Files: files}, trial{b.GetProved(), int(b.GetStarts())}})
		}
	}
	return out, damaged
}

// write keeps bundles, in place of those before.
func write(path string, bundles []cached) error {
	c := &agentpb.BundleCache{}
	for _, b := range bundles {
		sum := bundle.Sum(b.Files)
		one := &agentpb.CachedBundle{Order: &agentpb.BundleOrder{Name: b.Name, Digest: sum[:]}, Proved: b.proved, Starts: uint32(b.starts)}
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
