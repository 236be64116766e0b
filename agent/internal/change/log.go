// Package change knows what was changed on this host: what people and deployment tools record, what the controller tells,
// and what the host shows by itself, such as upgraded packages or a binary replaced under a running unit.
package change

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/clock"
)

// most is how many changes are kept.
const most = 200

// Bounds of what a change says, in bytes; what is longer is cut.
const (
	maxText = 1 << 10
	maxName = 256
)

// ByAgent is who noticed what nobody recorded.
const ByAgent = "salve-agent"

// Change is something that was changed.
type Change struct {
	ID      string      `json:"id"` // on this host
	At      clock.Stamp `json:"at"` // when it was done, as far as that can be known
	Kind    string      `json:"kind"`
	Service string      `json:"service,omitempty"` // "" is the host
	Text    string      `json:"text"`
	By      string      `json:"by"`
	// Origin names a change that the controller told; "": it is from here.
	Origin string `json:"origin,omitempty"`
	// Open: more will be said of it soon, such as of packages that are being upgraded.
	Open bool `json:"open,omitempty"`
	// Pending: the unit still runs what was before, and will run the other when it is started anew.
	Pending bool `json:"pending,omitempty"`
	// Told: the controller has been told of it as it is.
	Told bool `json:"told,omitempty"`
	// N counts the changes of this host. A change of which something new was said keeps its number.
	N uint64 `json:"n"`
}

// Store keeps records across restarts; *journal.Space is one.
type Store interface {
	PutSoon(key string, v any) error
	DeleteSoon(key string) error
	Get(key string, v any) (bool, error)
	Each(f func(key string, decode func(v any) error) error) error
}

// Log are the changes that are remembered. Its methods may be called from any goroutine.
type Log struct {
	store Store
	clock clock.Clock
	log   hclog.Logger
	news  func(Change)

	mu   sync.Mutex
	list []Change // by N
	last uint64
}

// keyPrefix is that of changes in the store; the watcher has its own.
const keyPrefix = "change/"

func key(n uint64) string { return fmt.Sprintf("%s%016x", keyPrefix, n) }

// NewLog reads the changes that an earlier process left. news is told of every change that is new or of which something new
// is said; it is called by whoever says it.
func NewLog(store Store, c clock.Clock, log hclog.Logger, news func(Change)) (*Log, error) {
	l := &Log{store: store, clock: c, log: log, news: news}
	err := store.Each(func(k string, decode func(any) error) error {
		if !strings.HasPrefix(k, keyPrefix) {
			return nil
		}
		var x Change
		if err := decode(&x); err != nil {
			return err
		}
		l.list, l.last = append(l.list, x), max(l.last, x.N)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	return l, nil
}

// All are the changes that are remembered, in the order in which they became known.
func (l *Log) All() []Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// Record enters what somebody says was changed now.
func (l *Log) Record(kind, service, text, by string) Change {
	return l.put(Change{Kind: kind, Service: service, Text: text, By: by})
}

// Learn enters a change that the controller tells, and is false if it is known. It tells news of nothing.
func (l *Log) Learn(x Change) (Change, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.list, func(old Change) bool { return old.Origin == x.Origin }) {
		return x, false
	}
	return l.enter(x), true
}

// Told notes that the controller has been told of the change, unless something new was said of it since.
func (l *Log) Told(x Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, now := range l.list {
		if now.N == x.N && now.Text == x.Text && now.At == x.At {
			now.Told = true
			l.enter(now)
			return
		}
	}
}

// put enters a change, and tells of it.
func (l *Log) put(x Change) Change {
	l.mu.Lock()
	x = l.enter(x)
	l.mu.Unlock()
	l.news(x)
	return x
}

// enter takes a change, or what is new of one that has a number. The oldest gives way. The caller holds mu.
func (l *Log) enter(x Change) Change {
	x.Text, x.By, x.Service = clip(x.Text, maxText), clip(x.By, maxName), clip(x.Service, maxName)
	if x.At.IsZero() {
		x.At = clock.Now(l.clock)
	}
	i := slices.IndexFunc(l.list, func(old Change) bool { return old.N == x.N })
	if i < 0 {
		l.last++
		x.N = l.last
		x.ID = fmt.Sprintf("change-%d", x.N)
		l.list = append(l.list, x)
		l.log.Info("something changed", "id", x.ID, "kind", x.Kind, "service", x.Service, "what", x.Text, "by", x.By)
	} else {
		x.ID = l.list[i].ID
		l.list[i] = x
	}
	err := l.store.PutSoon(key(x.N), x)
	if len(l.list) > most {
		err = errors.Join(err, l.store.DeleteSoon(key(l.list[0].N)))
		l.list = slices.Delete(l.list, 0, 1)
	}
	if err != nil {
		l.log.Error("a change cannot be written down, and is forgotten when the agent ends", "id", x.ID, "error", err)
	}
	return x
}

// clip is the beginning of a long text, cut between two characters.
func clip(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// Near are the changes among all that can explain what happens to a service ("": to the host) now: of that service or of the
// host, no older than within or not in effect yet, the newest first.
func Near(all []Change, service string, now clock.Stamp, within time.Duration) []Change {
	var out []Change
	for _, x := range all {
		if (x.Service == "" || x.Service == service) && (x.Pending || x.At.Age(now) <= within) {
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int { return cmp.Compare(a.At.Age(now), b.At.Age(now)) })
	return out
}
