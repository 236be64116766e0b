package escalate

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/notify"
)

// The real journal and a real webhook: what could not be delivered in one life arrives in the next, with the
// same key, and the end arrives after it.
func TestRealJournalAndWebhook(t *testing.T) {
	var mu sync.Mutex
	var got []string
	up := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p notify.Payload
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(p.Kind)+" "+r.Header.Get(notify.KeyHeader))
		if !up {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	hook, err := notify.New(&config.Notifier{Kind: "webhook", Name: "b", URL: srv.URL}, notify.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	system, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// One life: hand over what is given, wait for as many results, stop.
	live := func(state incident.State, d *incident.Delivery) {
		j, _, err := journal.Open(dir, journal.Options{Clock: system})
		if err != nil {
			t.Fatal(err)
		}
		results := make(chan Result, 10)
		c, err := New(Options{
			Store: j.Space("delivery"), Senders: map[string]notify.Sender{"webhook.b": hook}, Clock: system,
			Report: func(r Result) { results <- r }, Incident: j.Incident,
		})
		if err != nil {
			t.Fatal(err)
		}
		inc := story(state)
		if d != nil {
			c.Send(inc, *d)
		}
		if err := j.PutIncident(&inc); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		<-results
		cancel()
		<-done
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	first := trigger(0, "webhook.b")
	live(incident.Escalated, &first) // the place is down
	mu.Lock()
	up = true
	mu.Unlock()
	live(incident.Escalated, nil)
	live(incident.Resolved, nil) // the farewell was never asked for
	want := []string{"trigger 0a/0/0", "trigger 0a/0/0", "resolve 0a/resolved"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
