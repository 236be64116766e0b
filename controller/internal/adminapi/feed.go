package adminapi

import (
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

const (
	// feedEvery is the least time between two looks for new lines: what is committed meanwhile comes at once.
	feedEvery = 50 * time.Millisecond
	// feedBuffer is how many lines may wait for one who watches.
	feedBuffer = 4096
)

// feed looks for new lines of all timelines, once for all who watch, and only while somebody does.
type feed struct {
	store Store
	stop  <-chan struct{}

	mu       sync.Mutex
	watchers map[*watcher]bool
	deserted chan struct{} // closed when the last of them leaves
	running  bool
	seen     map[string]int // incident → lines that it has had
}

// watcher is one who watches.
type watcher struct {
	service string
	lines   chan *adminpb.WatchResponse
	slow    chan struct{} // closed when it did not keep up and gets no more
}

// join adds one who watches and gives the last lines before that.
func (f *feed) join(service string, replay int) (*watcher, []*adminpb.WatchResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &watcher{service: service, lines: make(chan *adminpb.WatchResponse, feedBuffer), slow: make(chan struct{})}
	var past []*adminpb.WatchResponse
	f.store.View(func(st *state.State) {
		all := st.Incidents()
		if len(f.watchers) == 0 {
			f.watchers, f.seen = map[*watcher]bool{}, nil
		}
		f.hand(f.news(all))
		for _, i := range all {
			if timeline := i.GetTimeline(); w.wants(i.GetService()) {
				past = append(past, lines(i, timeline[max(0, len(timeline)-replay):])...)
			}
		}
	})
	if len(f.watchers) == 0 {
		f.deserted = make(chan struct{})
	}
	f.watchers[w] = true
	if !f.running {
		f.running = true
		go f.run()
	}
	slices.SortStableFunc(past, byTime)
	return w, past[max(0, len(past)-replay):]
}

// leave takes one out.
func (f *feed) leave(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(w)
}

// drop is leave with the lock held. Who did not keep up was taken out before.
func (f *feed) drop(w *watcher) {
	if !f.watchers[w] {
		return
	}
	if delete(f.watchers, w); len(f.watchers) == 0 {
		close(f.deserted)
	}
}

// run looks until nobody watches.
func (f *feed) run() {
	pace := time.NewTicker(feedEvery)
	defer pace.Stop()
	for {
		changed := f.store.Changed()
		f.mu.Lock()
		if len(f.watchers) == 0 {
			f.running = false
			f.mu.Unlock()
			return
		}
		f.store.View(func(st *state.State) { f.hand(f.news(st.Incidents())) })
		deserted := f.deserted
		f.mu.Unlock()
		select {
		case <-changed:
		case <-f.stop:
		case <-deserted:
			continue
		}
		<-pace.C
	}
}

// news are the lines since the last look. The first look has none.
func (f *feed) news(all []*logpb.Incident) []*adminpb.WatchResponse {
	var out []*adminpb.WatchResponse
	seen := make(map[string]int, len(all))
	for _, i := range all {
		had := int(i.GetDropped()) + len(i.GetTimeline())
		if fresh := min(had-f.seen[i.GetId()], len(i.GetTimeline())); fresh > 0 && f.seen != nil {
			out = append(out, lines(i, i.GetTimeline()[len(i.GetTimeline())-fresh:])...)
		}
		seen[i.GetId()] = had
	}
	f.seen = seen
	slices.SortStableFunc(out, byTime)
	return out
}

// hand gives lines to all who want them. Nobody is waited for.
func (f *feed) hand(news []*adminpb.WatchResponse) {
	for w := range f.watchers {
		for _, l := range news {
			if !w.wants(l.GetService()) {
				continue
			}
			select {
			case w.lines <- l:
				continue
			default:
			}
			f.drop(w)
			close(w.slow)
			break
		}
	}
}

func (w *watcher) wants(service string) bool { return w.service == "" || w.service == service }

func lines(i *logpb.Incident, events []*logpb.TimelineEvent) []*adminpb.WatchResponse {
	out := make([]*adminpb.WatchResponse, len(events))
	for n, e := range events {
		out[n] = &adminpb.WatchResponse{Incident: i.GetId(), Service: i.GetService(), Event: proto.CloneOf(e)}
	}
	return out
}

func byTime(a, b *adminpb.WatchResponse) int {
	switch x, y := a.GetEvent().GetAt(), b.GetEvent().GetAt(); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}
