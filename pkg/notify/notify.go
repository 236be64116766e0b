package notify

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
)

// Sender sends one message to one place. It may be called again with the same message; the place can tell
// by Message.Key. Errors: see Error. It returns soon after ctx ends.
//
// Messages of one incident go to a place one after the other, and none after its Resolve: several places would open
// it again. Who repeats messages asks MannerOf first.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Deps are what the kinds of notifiers need.
type Deps struct {
	Host string // name of this host, for the sender of e-mails
	// Exec runs a program with stdin and returns nil if it ended with 0. An error with a method
	// ExitCode() int is judged by that code. Only notifiers of kind exec need it.
	Exec func(ctx context.Context, argv []string, stdin []byte) error
	// Now is the time of day that webhooks are signed with; nil: clock.Wall.
	Now func() time.Time
	// JournalSocket is where systemd's journal listens; "": its usual place.
	JournalSocket string
	// Roots are the certificates to trust; nil: the machine's.
	Roots *x509.CertPool
}

// New makes the sender of a notifier. Errors are about its configuration.
func New(n *config.Notifier, d Deps) (Sender, error) {
	if d.Now == nil {
		d.Now = clock.Wall
	}
	s, err := build(n, d)
	if err != nil {
		return nil, fmt.Errorf("notifier %s: %w", n.ID(), err)
	}
	timeout := n.Timeout
	if timeout <= 0 {
		timeout = defaults.NotifierTimeout
	}
	return limited{s, timeout, mannerOf(n)}, nil
}

func build(n *config.Notifier, d Deps) (Sender, error) {
	switch n.Kind {
	case config.Email:
		return newEmail(n, d)
	case config.Webhook:
		return newWebhook(n, d)
	case config.PagerDuty:
		return newPagerDuty(n, d)
	case config.Slack:
		return newSlack(n, d)
	case config.Alertmanager:
		return newAlertmanager(n, d)
	case config.ExecHook:
		return newProgram(n, d)
	case config.Journald:
		return newJournald(d), nil
	}
	return nil, errors.New("unknown kind of notifier")
}

// limited bounds each Send in time and each message in size.
type limited struct {
	Sender
	timeout time.Duration
	manner  Manner
}

func (l limited) Manner() Manner { return l.manner }

func (l limited) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	return l.Sender.Send(ctx, m.Bounded())
}
