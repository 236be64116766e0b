package isolate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/web"
	"github.com/salveops/salve/pkg/config"
)

// toggle is a service on this host that is told over HTTP to do without the dependency, and then to do with it again.
type toggle struct {
	On  string `json:"on"`
	Off string `json:"off"`
}

func (t toggle) describe() string { return "POST to " + t.On + ", and afterwards to " + t.Off }

// check finds out whether anybody listens; a service that does not would be told in vain.
func (t toggle) check(ctx context.Context) error {
	for _, to := range []string{t.On, t.Off} {
		u, err := url.Parse(to)
		if err != nil {
			return kind.Refuse("%q is no URL", to)
		}
		ask, cancel := context.WithTimeout(ctx, patience)
		err = web.Listens(ask, u)
		cancel()
		if err != nil {
			return kind.Unknown("whether "+u.Host+" would take it", err)
		}
	}
	return nil
}

// make says in headers who asks and for how long, for a service that wants to be sure although the agent is dead.
func (t toggle) make(ctx context.Context, id string, d time.Duration) error {
	return tell(ctx, t.On, http.Header{"Salve-Attempt": {id}, "Salve-For": {fmt.Sprint(int(d.Seconds()))}})
}

// mend is for every service, told before or not: it does with the dependency anyway.
func (t toggle) mend(ctx context.Context, id string) error {
	return tell(ctx, t.Off, http.Header{"Salve-Attempt": {id}})
}

func (t toggle) made(context.Context, string) (bool, error) {
	return false, errors.New("whether the service was told to do without it cannot be asked")
}

// tell posts nothing to the URL, once: the service itself says yes, or it was not told.
func tell(ctx context.Context, to string, header http.Header) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := web.Ask(ctx, config.Call{URL: to, Method: http.MethodPost}, header)
	if err == nil {
		err = answer.Err()
	}
	if err != nil && !errors.Is(err, kind.ErrLost) {
		err = fmt.Errorf("%w: %w", errNothing, err)
	}
	if err != nil {
		return fmt.Errorf("POST to %s: %w", to, err)
	}
	return nil
}
