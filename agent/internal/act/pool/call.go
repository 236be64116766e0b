package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/web"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/jsonpath"
	"github.com/salveops/salve/pkg/remedy"
)

// caller asks the service over HTTP to reset a pool of its own.
type caller struct{}

// called is what was asked, as the record keeps it: without its body, which is the configuration's.
type called struct {
	moded
	Method string `json:"method"`
	URL    string `json:"url"`
	reset  *config.Reset
}

// mostTries is how often a request is sent that is declared repeatable.
const mostTries = 3

// betweenTries lets a service that is overloaded breathe.
const betweenTries = 300 * time.Millisecond

func (caller) describe(s *kind.Step) string {
	was := s.Before.(called)
	return fmt.Sprintf("ask the service to reset pool %s: %s %s", s.Target, was.Method, was.URL)
}

// precheck finds out whether anybody listens, which is all that has no effect.
func (caller) precheck(ctx context.Context, s *kind.Step, p *config.Pool) error {
	if p.Reset == nil {
		return kind.Refuse("pool %s has no reset block: nothing says how it is reset", p.Name)
	}
	u, err := url.Parse(p.Reset.URL)
	if err != nil {
		return kind.Refuse("%q is no URL", p.Reset.URL)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := web.Listens(ctx, u); err != nil {
		return kind.Unknown("whether "+u.Host+" would reset pool "+p.Name, err)
	}
	s.Before = called{moded{remedy.CallReset}, p.Reset.Method, p.Reset.URL, p.Reset}
	return nil
}

// act sends the request once, or again while it may have been lost and that is declared to be no harm.
func (caller) act(ctx context.Context, s *kind.Step) error {
	was := s.Before.(called)
	for tries := 1; ; tries++ {
		known, err := send(ctx, was.reset)
		if known || !was.reset.Repeatable || tries == mostTries {
			return err
		}
		select {
		case <-time.After(betweenTries):
		case <-s.Halt:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// send asks once, and reports whether what became of it is known.
func send(ctx context.Context, r *config.Reset) (known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, web.Patience)
	defer cancel()
	answer, err := web.Ask(ctx, r.Call, nil)
	expected := slices.Contains(r.Status, answer.Status)
	if err == nil && !expected {
		err = answer.Err()
	}
	switch {
	case errors.Is(err, kind.ErrLost):
		return false, fmt.Errorf("%s %s: %w", r.Method, r.URL, err)
	case err != nil:
		return true, fmt.Errorf("nothing was done: %s %s: %w", r.Method, r.URL, err)
	case !expected && len(r.Status) > 0:
		return true, fmt.Errorf("%s %s: the service says %s, which is not what it says when it has done it", r.Method, r.URL, answer.Says())
	}
	return true, expect(answer, r.Expect)
}

// expect is an error if the answer's document does not say what it has to.
func expect(answer web.Answer, want map[string]string) error {
	if len(want) == 0 {
		return nil
	}
	document, err := answer.Document()
	if err != nil {
		return web.Open{Because: fmt.Errorf("the service says %s: %w", answer.Says(), err)}
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		p, err := jsonpath.Parse(path)
		if err != nil {
			return fmt.Errorf("read expect: %w", err)
		}
		is, err := p.Scalar(document)
		if err != nil {
			return fmt.Errorf("the service does not say that it is done: %w", err)
		}
		if quoted, _ := json.Marshal(want[path]); is != want[path] && is != string(quoted) {
			return fmt.Errorf("the service does not say that it is done: %s is not %q", path, want[path])
		}
	}
	return nil
}

// restore has nothing to do: nothing was taken out of service.
func (caller) restore(context.Context, json.RawMessage) error { return nil }

func (caller) settle(context.Context, *incident.Attempt) (incident.Phase, string) {
	return incident.Unknown, "whether the service was asked to reset the pool cannot be told"
}
