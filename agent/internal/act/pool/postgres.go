package pool

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/postgres"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// terminator ends sessions of one database of PostgreSQL.
type terminator struct{}

// doomed are the sessions that are to be ended, or, after that, that are gone.
type doomed struct {
	moded
	Server   address   `json:"server"`
	Database string    `json:"database"`
	Sessions []session `json:"sessions"`
}

// session is one of PostgreSQL's. A process ID may be that of another session a moment later; with the time of its
// beginning it is that of one only, and with the time of its last change it is that of one that has done nothing since.
type session struct {
	PID         string `json:"pid"`
	Began       string `json:"began"`
	Since       string `json:"since"` // in its state
	User        string `json:"user"`
	Application string `json:"application"`
	Client      string `json:"client"`
	State       string `json:"state"`
}

func (s session) String() string {
	return fmt.Sprintf("%s  %q  %q  %s  %s since %s UTC", s.PID, s.User, s.Application, s.Client, s.State, s.Since)
}

// Times are in one zone and whole, because they are compared as text.
const (
	began = `to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')`
	since = `to_char(state_change AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')`
)

// rights are those that the agent's user needs: without the second, nothing is known of the sessions of others.
const rights = `SELECT pg_has_role(current_user, 'pg_signal_backend', 'USAGE')
 AND pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS enough`

// choose finds sessions of clients: those of replication and of the server's own workers are no such.
const choose = `SELECT pid, ` + began + ` AS began, ` + since + ` AS since, usename, application_name, state,
 coalesce(host(client_addr), 'local') AS client
FROM pg_stat_activity AS s JOIN pg_roles AS r ON r.oid = s.usesysid
WHERE datname = current_database() AND backend_type = 'client backend' AND NOT rolsuper AND usename <> current_user
 AND state_change < clock_timestamp() - make_interval(secs => $1::float8)
 AND ($2::text = '' OR usename = $2::text) AND ($3::text = '' OR application_name = $3::text)
 AND (NOT $4::boolean OR state LIKE 'idle in transaction%')
ORDER BY state_change LIMIT $5::int`

const terminate = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = $1::int AND ` + began + ` = $2::text AND ` + since + ` = $3::text`

// present has a row at least, that of who asks. Who may not see others finds none of them, as if they were gone.
const present = `SELECT pid, ` + began + ` AS began, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees
FROM pg_stat_activity WHERE backend_type = 'client backend'`

func (terminator) describe(s *kind.Step) string {
	before, _ := s.Before.(doomed)
	return fmt.Sprintf("end %d sessions of pool %s", len(before.Sessions), s.Target)
}

func (terminator) precheck(ctx context.Context, s *kind.Step, p *config.Pool) error {
	a := argsOf(s.Request)
	if !a.IdleInTransaction && a.OlderThan == 0 && a.User == "" && a.Application == "" || a.Most <= 0 {
		return kind.Refuse("reset_pool says of no sessions that they may be ended")
	}
	before := doomed{moded: moded{remedy.Terminate}, Server: addressOf(p, p.Postgres), Database: p.Database}
	c, err := before.Server.connect(ctx, p.Database)
	if err != nil {
		return kind.Unknown("the sessions of pool "+s.Target, err)
	}
	defer func() { _ = c.Close() }()
	t, err := ask(ctx, c, rights)
	switch {
	case err != nil:
		return kind.Unknown("the rights of user "+p.User, err)
	case len(t.Rows) != 1 || t.Cell(t.Rows[0], "enough") != "t":
		return kind.Refuse("user %s may not see and end the sessions of others: GRANT pg_signal_backend, pg_read_all_stats TO it", p.User)
	}
	if t, err = ask(ctx, c, choose, strconv.FormatFloat(a.OlderThan.Seconds(), 'f', -1, 64), a.User, a.Application,
		strconv.FormatBool(a.IdleInTransaction), strconv.Itoa(a.Most)); err != nil {
		return kind.Unknown("the sessions of pool "+s.Target, err)
	}
	for _, row := range t.Rows {
		one := session{
			PID: t.Cell(row, "pid"), Began: t.Cell(row, "began"), Since: t.Cell(row, "since"), User: t.Cell(row, "usename"),
			Application: t.Cell(row, "application_name"), Client: t.Cell(row, "client"), State: t.Cell(row, "state"),
		}
		before.Sessions = append(before.Sessions, one)
		s.Detail = append(s.Detail, one.String())
	}
	if len(before.Sessions) == 0 {
		return kind.Needless("pool %s has no session that is to be ended", s.Target)
	}
	s.Before = before
	return nil
}

// goneWithin is how long a session that was told to end may take for that.
const goneWithin = 5 * time.Second

func (terminator) act(ctx context.Context, s *kind.Step) error {
	before := s.Before.(doomed)
	c, err := before.Server.connect(ctx, before.Database)
	if err != nil {
		return fmt.Errorf("nothing was done: %w", err)
	}
	defer func() { _ = c.Close() }()
	told := before
	told.Sessions = nil
	var no, ended error
	for _, one := range before.Sessions {
		if ended = s.Halted(ctx); ended != nil {
			break
		}
		t, err := ask(ctx, c, terminate, one.PID, one.Began, one.Since)
		switch {
		case refused(err):
			no = err
		case err != nil:
			s.After = told
			return fmt.Errorf("end sessions: %w: %w", kind.ErrLost, err)
		case len(t.Rows) > 0: // else it has ended by itself, or is at work again
			told.Sessions = append(told.Sessions, one)
		}
	}
	if len(told.Sessions) > 0 {
		s.After = told
		switch left := told.left(ctx, c); {
		case left < 0:
			return fmt.Errorf("end sessions: %w: %d were told to end", kind.ErrLost, len(told.Sessions))
		case left > 0:
			return fmt.Errorf("end sessions: %d of %d were told to end and have not", left, len(told.Sessions))
		}
	}
	if err := cmp.Or(ended, no); err != nil {
		return fmt.Errorf("end sessions, of %d were %d: %w", len(before.Sessions), len(told.Sessions), err)
	}
	return nil
}

// left waits for the sessions to be gone, and counts those that are not; -1: the server does not tell.
func (d doomed) left(ctx context.Context, c *postgres.Conn) int {
	ctx, cancel := context.WithTimeout(ctx, goneWithin)
	defer cancel()
	left := -1
	kind.Eventually(ctx, 20*time.Millisecond, func() bool {
		if gone, err := d.gone(ctx, c); err == nil {
			left = len(d.Sessions) - gone
		}
		return left == 0
	})
	return left
}

// gone counts the sessions that are no more.
func (d doomed) gone(ctx context.Context, c *postgres.Conn) (int, error) {
	t, err := ask(ctx, c, present)
	if err != nil {
		return 0, err
	}
	there := map[[2]string]bool{}
	for _, row := range t.Rows {
		if t.Cell(row, "sees") != "t" {
			return 0, errors.New("its user may not see the sessions of others any more")
		}
		there[[2]string{t.Cell(row, "pid"), t.Cell(row, "began")}] = true
	}
	gone := 0
	for _, one := range d.Sessions {
		if !there[[2]string{one.PID, one.Began}] {
			gone++
		}
	}
	return gone, nil
}

func (terminator) settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var was doomed
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return incident.Unknown, "there is no evidence from before"
	}
	c, err := was.Server.connect(ctx, was.Database)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	defer func() { _ = c.Close() }()
	switch gone, err := was.gone(ctx, c); {
	case err != nil:
		return incident.Unknown, err.Error()
	case gone == 0:
		return incident.NotDone, fmt.Sprintf("all %d sessions are there", len(was.Sessions))
	default:
		return incident.Acted, fmt.Sprintf("%d of %d sessions are gone", gone, len(was.Sessions))
	}
}

// restore refuses: a session that was ended is gone.
func (terminator) restore(context.Context, json.RawMessage) error {
	return kind.Refuse("sessions that were ended cannot be taken back")
}
