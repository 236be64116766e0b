package agent

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/salveops/salve/proto/localpb"
)

// A pause that a person asks for at any point of an attempt lets it come to its safe end, and nothing else
// begins before the person resumes; then the story comes to its good end.
func TestPausedAtEachStep(t *testing.T) {
	t.Parallel()
	for i, name := range newWalk(t).steps() {
		t.Run(fmt.Sprintf("%d %s", i+1, name), func(t *testing.T) {
			t.Parallel()
			h := newWalk(t)
			p := &pauser{at: i + 1, reached: make(chan struct{}), paused: make(chan struct{})}
			p.seam.at = p.point
			a := h.start(func(o *Options) { o.step, o.memory = p.seam.reach, p.seam.memory })
			h.crash("web.service")
			<-p.reached
			a.pause("all", 0)
			close(p.paused)

			stands := a.await(event{typ: "end", service: "web"},
				event{typ: "decide", service: "web", fields: map[string]string{"guard": "paused"}})
			if begun := p.begun(); len(begun) > 0 {
				t.Errorf("in spite of the pause there is: %q", begun)
			}
			if stands.GetType() != "end" {
				a.resume("all")
			}
			in := a.ended("web")
			a.stop()
			h.checkWalk(in)
		})
	}
}

// pauser holds an attempt up at one point until everything is paused, and notes what comes later.
type pauser struct {
	seam            points
	at              int
	reached, paused chan struct{}

	mu    sync.Mutex
	where string
	later []string
}

func (p *pauser) point(n int, name string) {
	if n == p.at {
		p.mu.Lock()
		p.where = name
		p.mu.Unlock()
		close(p.reached)
		<-p.paused
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n > p.at {
		p.later = append(p.later, name)
	}
}

// begun are the attempts that began after the pause. One that had passed its last check when it came is in
// flight.
func (p *pauser) begun() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for _, name := range p.later {
		if strings.HasPrefix(name, "before intended") {
			found = append(found, name)
		}
	}
	if p.where == "act" {
		return found[1:]
	}
	return found
}

// pause pauses a target; 0 is until resumed.
func (p *phone) pause(target string, d time.Duration) {
	p.t.Helper()
	req := &localpb.PauseRequest{Target: target, Reason: "a test", UntilResumed: d == 0}
	if d > 0 {
		req.For = durationpb.New(d)
	}
	if _, err := p.Pause(p.t.Context(), req); err != nil {
		p.t.Fatal(err)
	}
}

func (p *phone) resume(what string) {
	p.t.Helper()
	if _, err := p.Resume(p.t.Context(), &localpb.ResumeRequest{What: what}); err != nil {
		p.t.Fatal(err)
	}
}

// A pause outlives the agent, and ends by itself when its time is over.
func TestPauseSurvivesRestart(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	p := h.spawn()
	p.pause("web", 0)
	p.pause("all", 2*time.Second)
	p.signal(9)
	a := h.start(nil)
	h.crash("web.service")
	a.await(event{typ: "decide", service: "web", fields: map[string]string{"guard": "paused"}})
	a.await(event{typ: "person", text: "the pause of all by"})
	a.resume("service:web")
	if in := a.ended("web"); len(in.GetAttempts()) != 1 {
		t.Errorf("%d attempts, want 1", len(in.GetAttempts()))
	}
}
