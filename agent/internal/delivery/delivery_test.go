package delivery

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// world is an agent and a controller around a delivery. What a file says is whether it loads: one with "bad" does not.
type world struct {
	*Delivery
	dir string

	mu     sync.Mutex
	texts  map[string]string // by digest
	down   error             // why nothing can be fetched
	swap   error             // why nothing can be swapped in
	held   []string          // texts that hold
	loads  int
	report []*logpb.HostBundle
}

func newWorld(t *testing.T) *world {
	w := &world{dir: t.TempDir(), texts: map[string]string{}}
	w.start()
	return w
}

// start is a new process.
func (w *world) start() {
	w.held = nil
	w.Delivery = New(Options{
		Data: w.dir,
		Fetch: func(_ context.Context, o *agentpb.BundleOrder) ([]*logpb.BundleFile, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.down != nil {
				return nil, w.down
			}
			return []*logpb.BundleFile{{Name: "a.hcl", Text: w.texts[string(o.GetDigest())]}}, nil
		},
		Hold: func(_ context.Context, offers []Offer, keep func(Outcome) error) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.loads++
			o := load(offers)
			if err := keep(o); err != nil {
				return err
			}
			if w.swap != nil {
				return w.swap
			}
			w.take(o)
			return nil
		},
		Report: func(all []*logpb.HostBundle) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.report = append([]*logpb.HostBundle{}, all...)
		},
	})
	o := load(w.Offers())
	w.take(o)
	w.Loaded(o)
}

func load(offers []Offer) Outcome {
	out := Outcome{Refused: map[string]string{}}
	for _, offer := range offers {
		for i, b := range offer {
			if !strings.Contains(b.Files[0].Text, "bad") {
				out.Held = append(out.Held, b)
				out.Delivered = append(out.Delivered, &config.Delivered{Name: b.Name, Digest: bundle.Sum(b.Files)})
				break
			}
			if i == 0 {
				out.Refused[b.Name] = "it is bad"
			}
		}
	}
	return out
}

func (w *world) take(o Outcome) {
	w.held = nil
	for _, b := range o.Held {
		w.held = append(w.held, b.Files[0].Text)
	}
}

// wants is an order for a bundle "base" with that text.
func (w *world) wants(text string) {
	sum := bundle.Sum([]bundle.File{{Name: "a.hcl", Text: text}})
	w.mu.Lock()
	w.texts[string(sum[:])] = text
	w.mu.Unlock()
	w.Order([]*agentpb.BundleOrder{{Name: "base", Version: 1, Digest: sum[:]}})
}

// is expects what holds, what is on the disk, and what is said of it.
func (w *world) is(t *testing.T, held, problem string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.held, " "); got != held {
		t.Errorf("%q holds, want %q", got, held)
	}
	kept, err := Read(filepath.Join(w.dir, FileName))
	if err != nil || len(kept) != len(strings.Fields(held)) || len(kept) == 1 && kept[0].Files[0].Text != held {
		t.Errorf("on the disk there is %v, %v; want %q", kept, err, held)
	}
	if len(w.report) == 1 && !strings.Contains(w.report[0].GetError(), problem) || problem != "" && len(w.report) != 1 {
		t.Errorf("it says %v, want %q", w.report, problem)
	}
	if problem == "" && len(w.report) == 1 && w.report[0].GetError() != "" {
		t.Errorf("it says %v, and all is well", w.report)
	}
}

// Whatever goes wrong on the way of a version, the one before holds and is what a restart finds.
func TestFormerHolds(t *testing.T) {
	w := newWorld(t)
	w.wants("one")
	if !w.step(t.Context()) {
		t.Error("something is left for later")
	}
	w.is(t, "one", "")

	w.wants("two")
	w.down = errors.New("the line broke")
	if w.step(t.Context()) {
		t.Error("nothing is left for later, and nothing was fetched")
	}
	w.is(t, "one", "fetch: the line broke")
	w.start()
	w.is(t, "one", "fetch")

	w.wants("two")
	w.down, w.swap = nil, errors.New("the engine stops")
	w.step(t.Context())
	w.is(t, "one", "the engine stops")
	w.swap = nil
	w.step(t.Context())
	w.is(t, "two", "")

	w.wants("bad")
	loads := w.loads
	for range 3 { // it is not fetched again and again
		if !w.step(t.Context()) {
			t.Error("what is refused is left for later")
		}
	}
	w.is(t, "two", "it is bad")
	if !w.report[0].GetRefused() || w.loads != loads+1 {
		t.Errorf("refused in %d loads: %v", w.loads-loads, w.report)
	}
	w.Loaded(load(w.Offers())) // the host's files were read again: it may load now
	w.step(t.Context())
	if w.loads != loads+2 {
		t.Error("after a reload it is not tried again")
	}

	w.wants("three")
	for digest := range w.texts {
		w.texts[digest] = "forged"
	}
	w.step(t.Context())
	w.is(t, "two", "another digest than was said")
}

// What nobody has spoken of stays; what is ordered no more goes.
func TestOrders(t *testing.T) {
	w := newWorld(t)
	w.step(t.Context())
	if w.report != nil {
		t.Error("an agent without bundles reports on them, and an older controller does not know that")
	}
	w.wants("one")
	w.step(t.Context())
	w.start()
	w.step(t.Context()) // its journal was lost, and the controller is out of reach
	w.is(t, "one", "")
	w.Order(nil)
	w.step(t.Context())
	w.is(t, "", "")
	if w.report == nil || len(w.report) != 0 {
		t.Errorf("it says %v", w.report)
	}
	many := make([]*agentpb.BundleOrder, 20)
	for i := range many {
		many[i] = &agentpb.BundleOrder{Name: "base"}
	}
	w.Order(append(many, &agentpb.BundleOrder{Name: "../x"}))
	if n := len(w.State()); n != 1 {
		t.Errorf("%d orders are taken", n)
	}
}

// What failed is tried again by itself.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		w.down = errors.New("busy")
		w.wants("one")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = w.Run(ctx)
		}()
		synctest.Wait()
		w.is(t, "", "fetch: busy")
		w.mu.Lock()
		w.down = nil
		w.mu.Unlock()
		time.Sleep(retryAfter)
		synctest.Wait()
		w.is(t, "one", "")
		cancel()
		<-done
	})
}

// A file that is damaged keeps nobody from starting, and what of it is whole is used.
func TestDamagedFile(t *testing.T) {
	w := newWorld(t)
	w.wants("one")
	w.step(t.Context())
	path := filepath.Join(w.dir, FileName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"cut": good[:len(good)-2], "another text": []byte(strings.Replace(string(good), "one", "two", 1)), "nothing": {},
		"too large": make([]byte, maxCache+1),
	} {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if kept, err := Read(path); len(kept) != 0 || (err == nil) != (name == "nothing") {
			t.Errorf("%s: %v, %v", name, kept, err)
		}
	}
}

// FuzzDecode: whatever is on the disk, what comes out of it is a bundle that a controller could have sent.
func FuzzDecode(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, FileName)
	b := &config.Bundle{Name: "base", Files: []bundle.File{{Name: "a.hcl", Text: "one"}}}
	if err := write(path, []cached{{Bundle: b}}); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		kept, _ := decode(raw)
		if len(kept) > bundle.MaxBundles {
			t.Fatalf("%d bundles", len(kept))
		}
		for _, b := range kept {
			if bundle.CheckName(b.Name) != nil || bundle.Check(b.Files) != nil {
				t.Fatalf("no bundle: %v", b)
			}
		}
	})
}
