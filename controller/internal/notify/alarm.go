package notify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	pkgnotify "github.com/salveops/salve/pkg/notify"
)

// Times of alarms.
const (
	alarmLook   = time.Second
	alarmCalm   = 15 * time.Second // so long must it be over before people are told: sends have ended; longer than state's reportAfter
	retryFirst  = 5 * time.Second
	retryMost   = 5 * time.Minute
	sendTime    = 30 * time.Second // of one send, whatever the notifier's own time-out is
	maxTellings = 16               // places of one alarm
)

// trouble is what an alarm watches.
type trouble struct {
	on    bool   // now
	since string // names its beginning, for the key: whoever sees the same trouble says the same
	title string
	text  string
}

// alarm pages people by this node itself, without the log. What it is about to send is on disk before it is sent, so
// that another life of this node tells the end.
//
//	quiet ── trouble for so long ──► page on disk ──► sent to each place, until it arrives or the trouble is over
//	  ▲                                                   │
//	  └── page forgotten ◄── end told ◄── calm for 15 s ──┘
type alarm struct {
	c     *Courier
	log   hclog.Logger
	name  string
	after time.Duration // of trouble
	look  func() trouble
	// end tells the end to those who were told. An error: it is to be tried again.
	end func(ctx context.Context, p *page) error

	file pageFile
	page *page          // nil: quiet
	next map[string]try // by notifier
}

// try is when a notifier is tried next, and how often it has failed.
type try struct {
	at    time.Time
	fails int
}

// run watches until ctx ends.
func (a *alarm) run(ctx context.Context) {
	ticker := time.NewTicker(alarmLook)
	defer ticker.Stop()
	var begun, over time.Time // of the trouble, of the calm after it; zero: not
	ending := try{}
	for {
		t, now := a.look(), time.Now()
		switch {
		case t.on:
			if over = (time.Time{}); begun.IsZero() {
				begun = now
			}
			if a.page == nil && now.Sub(begun) >= a.after {
				a.begin(t)
			}
			if a.page != nil {
				a.tell(ctx)
			}
		default:
			if begun = (time.Time{}); over.IsZero() {
				over = now
			}
			if a.page != nil && now.Sub(over) >= alarmCalm && !now.Before(ending.at) {
				ending = a.finish(ctx, ending)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// begin writes the page down.
func (a *alarm) begin(t trouble) {
	name := t.since
	for n := 2; a.file.Used[name]; n++ { // the places were told the end of that one
		name = fmt.Sprintf("%s-%d", t.since, n)
	}
	places, _ := a.c.at()
	a.page = &page{Name: name, Title: t.title, Text: t.text, At: a.c.o.Clock.Now().Wall}
	a.next = map[string]try{}
	a.log.Error(t.title, "key", name, "telling", places.Pagers)
	if err := a.file.save(a.page); err != nil { // a full disk is no reason for silence
		a.log.Error("page is not on disk", "error", err)
	}
}

// tell sends the page to every place that has not got it, and waits for them, a moment at most.
func (a *alarm) tell(ctx context.Context) {
	places, _ := a.c.at()
	type answer struct {
		notifier string
		err      *pkgnotify.Error
	}
	answers := make(chan answer, maxTellings)
	n := 0
	for _, notifier := range places.Pagers {
		sender := places.Senders[notifier]
		if sender == nil || slices.Contains(a.page.Done, notifier) || time.Now().Before(a.next[notifier].at) || n == maxTellings {
			continue
		}
		n++
		go func() {
			ctx, cancel := context.WithTimeout(ctx, sendTime)
			defer cancel()
			answers <- answer{notifier, pkgnotify.Classify(sender.Send(ctx, a.message(pkgnotify.Trigger, a.page.Name+"/0")))}
		}()
	}
	for range n {
		r := <-answers
		a.told(r.notifier, r.err)
	}
	if n > 0 {
		if err := a.file.save(a.page); err != nil {
			a.log.Error("page is not on disk", "error", err)
		}
	}
}

// told notes how it went with one place.
func (a *alarm) told(notifier string, err *pkgnotify.Error) {
	if err == nil || err.Reached {
		a.page.Told = appendOnce(a.page.Told, notifier)
	}
	switch {
	case err == nil:
		a.c.metrics.paged.WithLabelValues(notifier).Inc()
		a.log.Warn("paged people", "notifier", notifier, "key", a.page.Name)
	case err.Permanent:
		a.log.Error("page refused", "notifier", notifier, "error", err.Err)
	default:
		t := a.next[notifier]
		wait := retryMost
		if t.fails < 6 {
			wait = max(retryFirst<<t.fails, err.RetryAfter)
		}
		a.next[notifier] = try{time.Now().Add(wait), t.fails + 1}
		a.log.Warn("page not delivered", "notifier", notifier, "again in", wait, "error", err.Err)
		return
	}
	a.page.Done = appendOnce(a.page.Done, notifier)
}

// finish tells the end and forgets the page.
func (a *alarm) finish(ctx context.Context, t try) try {
	if len(a.page.Told) > 0 {
		if err := a.end(ctx, a.page); err != nil {
			if t.fails == 0 {
				a.log.Warn("the end of a page is not told yet", "key", a.page.Name, "error", err)
			}
			return try{time.Now().Add(min(retryFirst<<min(t.fails, 6), retryMost)), t.fails + 1}
		}
	}
	a.log.Info("over: "+a.page.Title, "key", a.page.Name)
	if err := a.file.forget(a.page.Name); err != nil {
		a.log.Error("page is still on disk", "error", err)
	}
	a.page = nil
	return try{}
}

// message is the page as it is sent.
func (a *alarm) message(kind pkgnotify.Kind, key string) pkgnotify.Message {
	text := a.page.Text
	if kind == pkgnotify.Resolve {
		text = "It is over. " + text
	}
	return pkgnotify.Message{
		Key: key, Kind: kind, Dedup: a.page.Name, Host: a.c.o.ID, Severity: "critical", Title: a.page.Title, Summary: text,
		At: a.c.o.Clock.Now().Wall,
	}.Bounded()
}

func appendOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
