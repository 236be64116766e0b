package notify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
)

// AlertName is the label alertname of every alert that Alertmanager gets from Salve.
const AlertName = "SalveIncident"

// alertmanager keeps one alert per incident in Alertmanager, which routes it on. Alerts are known by their labels, so
// that sending one again changes nothing; it ends by itself after defaults.AlertmanagerLasts unless it is.
//
// Members of an Alertmanager cluster do not tell each other about alerts: each is sent every message, and one that
// takes it is enough. The others hear of it when it is sent again.
type alertmanager struct {
	members []*poster
	labels  map[string]string
	token   string
	now     func() time.Time
}

// amAlert is one alert of Alertmanager's API v2.
type amAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

func newAlertmanager(n *config.Notifier, d Deps) (*alertmanager, error) {
	if len(n.URLs) == 0 {
		return nil, errors.New("no urls")
	}
	a := &alertmanager{labels: n.Labels, token: n.Secret, now: d.Now}
	for _, base := range n.URLs {
		p, err := newPoster(strings.TrimSuffix(base, "/")+"/api/v2/alerts", d, n.Secret)
		if err != nil {
			return nil, err
		}
		a.members = append(a.members, p)
	}
	return a, nil
}

func (a *alertmanager) Send(ctx context.Context, m Message) error {
	body, err := json.Marshal(a.alerts(m))
	if err != nil {
		return Permanent(err)
	}
	header := http.Header{}
	if a.token != "" {
		header.Set("Authorization", "Bearer "+a.token)
	}
	failed := make([]error, len(a.members))
	var posts sync.WaitGroup
	for i, p := range a.members {
		posts.Go(func() {
			answer, err := p.post(ctx, header, body)
			if err == nil {
				err = answer.judge()
			}
			failed[i] = err
		})
	}
	posts.Wait()
	return allFailed(failed)
}

// allFailed is nil if one of them worked. What became of the whole is permanent only if it is for each.
func allFailed(errs []error) error {
	all := &Error{Permanent: true}
	for _, err := range errs {
		e := Classify(err)
		if e == nil {
			return nil
		}
		all.Permanent = all.Permanent && e.Permanent
		all.Reached = all.Reached || e.Reached
		all.RetryAfter = max(all.RetryAfter, e.RetryAfter)
	}
	all.Err = errors.Join(errs...)
	return all
}

func severities() []string {
	return []string{string(config.Info), string(config.Warning), string(config.Critical)}
}

// alerts are the incident with its severity, and its end with every other one. The severity is a label, for routes
// go by it, so an incident that becomes graver is another alert: the old one must not stay.
func (a *alertmanager) alerts(m Message) []amAlert {
	now := a.now().UTC()
	open := amAlert{
		Labels: a.labelled(m, m.Severity), StartsAt: m.At.UTC(), EndsAt: now.Add(defaults.AlertmanagerLasts),
		Annotations: map[string]string{},
	}
	for name, text := range map[string]string{
		"summary": m.Title, "description": m.Summary, "details": m.Details, "host": m.Host, "key": m.Key,
	} {
		if text != "" {
			open.Annotations[name] = text
		}
	}
	if open.StartsAt.After(now) || m.At.IsZero() { // another clock; an alert must not begin after it ends
		open.StartsAt = now
	}
	if m.Kind == Resolve {
		open.StartsAt, open.EndsAt = now, now
	}
	list := []amAlert{open}
	for _, s := range severities() {
		if s != m.Severity {
			list = append(list, amAlert{Labels: a.labelled(m, s), StartsAt: now, EndsAt: now})
		}
	}
	return list
}

func (a *alertmanager) labelled(m Message, severity string) map[string]string {
	labels := map[string]string{}
	for name, value := range a.labels {
		labels[name] = value
	}
	for name, value := range map[string]string{
		"alertname": AlertName, "incident": m.thread(), "service": m.Service, "severity": severity,
	} {
		if value != "" { // an empty label is none
			labels[name] = value
		}
	}
	return labels
}
