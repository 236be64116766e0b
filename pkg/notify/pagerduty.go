package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/salveops/salve/pkg/config"
)

// pagerdutyPause is how long PagerDuty is left alone when it has too much and does not say for how long.
const pagerdutyPause = 2 * time.Minute

// pagerduty sends events to PagerDuty's Events API v2. All messages of an incident have one dedup_key, so that they
// are one alert there: a trigger sent twice does no harm, and a reminder calls nobody again.
type pagerduty struct {
	*poster
	routingKey string
}

// pdEvent is one event. Bounds that PagerDuty sets: 32 letters of routing key, 255 of dedup key, 1,024 of summary,
// 512 KB in all; those of a Message are well within.
type pdEvent struct {
	RoutingKey string     `json:"routing_key"`
	Action     string     `json:"event_action"` // "trigger" or "resolve"
	DedupKey   string     `json:"dedup_key"`
	Client     string     `json:"client,omitempty"`
	Payload    *pdPayload `json:"payload,omitempty"` // of a trigger
}

type pdPayload struct {
	Summary   string    `json:"summary"`
	Source    string    `json:"source"`
	Severity  string    `json:"severity"` // "critical", "error", "warning" or "info"
	Timestamp string    `json:"timestamp"`
	Component string    `json:"component,omitempty"`
	Details   pdDetails `json:"custom_details"`
}

type pdDetails struct {
	Summary  string `json:"summary,omitempty"`
	Details  string `json:"details,omitempty"`
	Incident string `json:"incident"`
	Key      string `json:"key"`
}

func newPagerDuty(n *config.Notifier, d Deps) (*pagerduty, error) {
	if len(n.Secret) != 32 {
		return nil, errors.New("the routing key has not 32 letters")
	}
	p, err := newPoster(n.URL, d, n.Secret)
	if err != nil {
		return nil, err
	}
	return &pagerduty{p, n.Secret}, nil
}

func (p *pagerduty) Send(ctx context.Context, m Message) error {
	body, err := json.Marshal(p.event(m))
	if err != nil {
		return Permanent(err)
	}
	a, err := p.post(ctx, nil, body)
	if err != nil {
		return err
	}
	if a.code == http.StatusTooManyRequests && a.retryAfter == 0 {
		a.retryAfter = pagerdutyPause
	}
	if err := a.judge(); err != nil {
		return err
	}
	if a.code != http.StatusAccepted { // some proxy on the way, and nobody is called
		return fmt.Errorf("answer was %d, not 202: %s", a.code, a.text)
	}
	return nil
}

func (p *pagerduty) event(m Message) pdEvent {
	e := pdEvent{RoutingKey: p.routingKey, Action: "trigger", DedupKey: m.thread(), Client: "Salve"}
	if m.Kind == Resolve {
		e.Action = "resolve"
		return e
	}
	e.Payload = &pdPayload{
		Summary: orDash(m.Title), Source: orDash(m.Host), Severity: pdSeverity(m.Severity), Component: m.Service,
		Timestamp: m.At.UTC().Format(time.RFC3339Nano),
		Details:   pdDetails{Summary: m.Summary, Details: m.Details, Incident: m.Incident, Key: m.Key},
	}
	return e
}

// pdSeverity is one of PagerDuty's four words.
func pdSeverity(s string) string {
	switch s {
	case "critical", "warning", "info":
		return s
	}
	return "error"
}

// orDash is for texts that must not be empty.
func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
