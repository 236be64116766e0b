package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

const testRoutingKey = "0123456789abcdef0123456789ABCDEF"

// pagerDutyFake is PagerDuty's Events API v2 as its documentation describes it: it refuses what the real one refuses,
// and keeps one alert per dedup key, from a trigger to its resolve.
type pagerDutyFake struct {
	*httptest.Server
	t    *testing.T
	next http.HandlerFunc // answers the next request instead, once

	mu     sync.Mutex
	log    []string           // "KEY opened", "KEY updated", "KEY resolved", "KEY dropped"
	alerts map[string]pdAlert // open ones, by dedup key
	bad    []string           // why requests were refused
}

type pdAlert struct {
	Summary, Source, Severity, Component string
	Details                              map[string]any
}

// pdRequest is an event with every field that the API knows; others are a mistake.
type pdRequest struct {
	RoutingKey  string `json:"routing_key"`
	EventAction string `json:"event_action"`
	DedupKey    string `json:"dedup_key"`
	Client      string `json:"client"`
	ClientURL   string `json:"client_url"`
	Links       []any  `json:"links"`
	Images      []any  `json:"images"`
	Payload     *struct {
		Summary       string         `json:"summary"`
		Source        string         `json:"source"`
		Severity      string         `json:"severity"`
		Timestamp     string         `json:"timestamp"`
		Component     string         `json:"component"`
		Group         string         `json:"group"`
		Class         string         `json:"class"`
		CustomDetails map[string]any `json:"custom_details"`
	} `json:"payload"`
}

func startPagerDuty(t *testing.T) *pagerDutyFake {
	f := &pagerDutyFake{t: t, alerts: map[string]pdAlert{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *pagerDutyFake) url() string { return f.URL + "/v2/enqueue" }

func (f *pagerDutyFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.next; h != nil {
		f.next = nil
		h(w, r)
		return
	}
	key, err := f.take(r)
	answer := map[string]any{"status": "success", "message": "Event processed", "dedup_key": key}
	code := http.StatusAccepted
	if err != nil {
		f.bad = append(f.bad, err.Error())
		answer = map[string]any{
			"status": "invalid event", "message": "Event object is invalid", "errors": []string{err.Error()},
		}
		code = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		f.t.Error(err)
	}
}

func (f *pagerDutyFake) take(r *http.Request) (string, error) {
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		return "", err
	case r.Method != http.MethodPost || r.URL.Path != "/v2/enqueue":
		return "", fmt.Errorf("%s %s", r.Method, r.URL.Path)
	case r.Header.Get("Content-Type") != "application/json":
		return "", fmt.Errorf("content type %q", r.Header.Get("Content-Type"))
	case len(body) > 512_000:
		return "", errors.New("event is larger than 512 KB")
	}
	e := pdRequest{}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return "", err
	}
	if err := e.check(); err != nil {
		return "", err
	}
	f.enter(e)
	return e.DedupKey, nil
}

func (e *pdRequest) check() error {
	trigger := e.EventAction == "trigger"
	switch {
	case len(e.RoutingKey) != 32:
		return errors.New("length of 'routing_key' is incorrect (should be 32 characters)")
	case e.RoutingKey != testRoutingKey:
		return errors.New("invalid routing key " + e.RoutingKey)
	case !trigger && e.EventAction != "acknowledge" && e.EventAction != "resolve":
		return fmt.Errorf("'event_action' is invalid: %q", e.EventAction)
	case len([]rune(e.DedupKey)) > 255:
		return errors.New("'dedup_key' is too long")
	case !trigger && e.DedupKey == "":
		return errors.New("'dedup_key' is missing")
	case !trigger:
		return nil
	case e.Payload == nil:
		return errors.New("'payload' is missing")
	}
	p := e.Payload
	_, err := time.Parse(time.RFC3339Nano, p.Timestamp)
	switch {
	case p.Summary == "" || len([]rune(p.Summary)) > 1024:
		return errors.New("'payload.summary' is missing or too long")
	case p.Source == "":
		return errors.New("'payload.source' is missing")
	case !slices.Contains([]string{"critical", "error", "warning", "info"}, p.Severity):
		return fmt.Errorf("'payload.severity' is invalid: %q", p.Severity)
	case p.Timestamp != "" && err != nil:
		return fmt.Errorf("'payload.timestamp' is invalid: %w", err)
	}
	return nil
}

// enter is the life of an alert: a trigger opens it or, while it is open, is swallowed; a resolve of none is dropped.
func (f *pagerDutyFake) enter(e pdRequest) {
	_, open := f.alerts[e.DedupKey]
	what := "dropped"
	switch {
	case e.EventAction == "trigger":
		what = "opened"
		if open {
			what = "updated"
		}
		p := e.Payload
		f.alerts[e.DedupKey] = pdAlert{p.Summary, p.Source, p.Severity, p.Component, p.CustomDetails}
	case open:
		what = e.EventAction + "d"
		if e.EventAction == "resolve" {
			delete(f.alerts, e.DedupKey)
		}
	}
	f.log = append(f.log, e.DedupKey+" "+what)
}

// state is how many alerts are open, and why events were refused.
func (f *pagerDutyFake) state() (open int, bad []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.alerts), slices.Clone(f.bad)
}

func (f *pagerDutyFake) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}
