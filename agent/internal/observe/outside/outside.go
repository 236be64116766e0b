// Package outside reads the documents of context blocks: what the host works in, told by others. Each document has a
// goroutine of its own.
package outside

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/salveops/salve/agent/internal/observe/document"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/jsonpath"
	"github.com/salveops/salve/pkg/signal"
)

// Target is one context. Exactly one of HTTP and File is set; nothing else may be missing.
type Target struct {
	Name    string
	HTTP    string        // URL of the document
	File    string        // path of it
	MaxAge  time.Duration // since File was last written; 0: no limit
	Every   time.Duration
	Timeout time.Duration // of HTTP; not longer than Every
	Fields  []Field
}

// Field is a number in the document, and the signal that it is.
type Field struct {
	Signal signal.Path
	Path   jsonpath.Path
}

// Watcher reads all documents.
type Watcher = source.Group[Target]

// New makes a watcher without documents.
func New(o source.Options) *Watcher {
	return source.NewGroup(func(t Target) source.Member[Target] { return newReader(o, t) })
}

// reader is one target with its document.
type reader struct {
	opt      source.Options
	target   Target
	document *document.Source
	meter    source.Meter
	handles  []*source.Handle // of the fields
}

func newReader(o source.Options, t Target) *reader {
	r := &reader{opt: o, target: t, document: document.File(t.File, t.MaxAge)}
	if t.HTTP != "" {
		r.document = document.HTTP(t.HTTP)
	}
	r.meter.Name = signal.Context + "." + t.Name
	for _, f := range t.Fields {
		r.handles = append(r.handles, o.Book.Handle(f.Signal.String(), ""))
	}
	return r
}

// Watches implements source.Member.
func (r *reader) Watches(t Target) bool { return reflect.DeepEqual(r.target, t) }

// Stats implements source.Member.
func (r *reader) Stats() source.Stats { return r.meter.Stats() }

// Run reads the document at each moment of its schedule.
func (r *reader) Run(ctx context.Context) {
	defer r.document.Close()
	r.opt.Each(ctx, r.meter.Name, r.target.Every, r.once)
	r.opt.Unknown(r.handles)
}

// once reads the document once and delivers its figures. They are of the moment before it was asked for: nothing in it
// is older.
func (r *reader) once(ctx context.Context) {
	start, at := time.Now(), r.opt.Clock.Now().Boot
	within, cancel := context.WithTimeout(ctx, r.target.Timeout) // a file heeds none
	defer cancel()
	doc, err := r.document.Read(within)
	if ctx.Err() != nil {
		return
	}
	fault := r.deliver(doc, at)
	if err == nil {
		err = fault
	}
	if r.meter.Record(r.opt.Clock.Now().Boot, time.Since(start), err) {
		r.tell(err)
	}
}

// deliver hands over the fields that the document has, and that the rest is unknown; nil is no document. It returns what
// is wrong with the first field that cannot be read.
func (r *reader) deliver(doc any, at time.Duration) (fault error) {
	b := r.opt.Book.Batch()
	for i, f := range r.target.Fields {
		v, err := f.Path.Number(doc)
		if err != nil && fault == nil {
			fault = fmt.Errorf("field %s: %w", f.Signal.Field, err)
		}
		b.Maybe(r.handles[i], at, v, err == nil)
	}
	r.opt.Deliver(b)
	return fault
}

func (r *reader) tell(err error) {
	if err != nil {
		r.opt.Log.Warn("context cannot be read", "context", r.target.Name, "error", err)
		return
	}
	r.opt.Log.Info("context can be read again", "context", r.target.Name)
}
