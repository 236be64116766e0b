package adminapi

import (
	"context"
	"sort"
	"time"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// ListWindows implements adminpb.AdminServer. Windows go by the wall clock.
func (s *Server) ListWindows(ctx context.Context, r *adminpb.ListWindowsRequest) (*adminpb.ListWindowsResponse, error) {
	out := &adminpb.ListWindowsResponse{}
	now := s.o.Clock.Now().Wall
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) {
		for _, w := range copies(st.Config().GetWindows()) {
			is, next := turn(w, now)
			out.Windows = append(out.Windows, &adminpb.WindowStatus{Window: w, Open: is, Next: next})
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// turn says whether a window is open, and when it opens or closes next; 0 is never.
func turn(w *logpb.Window, now time.Time) (bool, int64) {
	c, err := schedule(w)
	if err != nil {
		return false, 0
	}
	if left, is := c.Left(now); is {
		return true, now.Add(left).UnixNano()
	}
	// Summer time may move a beginning by an hour from where the clock shows it.
	from, _ := time.Parse("15:04", c.From)
	year, month, day := now.In(c.Zone).Date()
	for ahead := range 9 {
		shown := time.Date(year, month, day+ahead, from.Hour(), from.Minute(), 0, 0, c.Zone)
		for _, off := range []time.Duration{-60, -30, 0, 30, 60} {
			if at := shown.Add(off * time.Minute); at.After(now) && c.Active(at) {
				return false, begin(c, now, at).UnixNano()
			}
		}
	}
	return false, 0
}

// begin is the second from which on the window is open, given a moment before it and one at which it is open.
func begin(c *config.Window, closed, open time.Time) time.Time {
	back := int(min(open.Sub(closed), 2*time.Hour) / time.Second)
	ago := func(n int) time.Time { return open.Add(-time.Duration(back-n) * time.Second) }
	return ago(sort.Search(back, func(n int) bool { return c.Active(ago(n)) }))
}

// schedule is the window as the configuration knows it.
func schedule(w *logpb.Window) (*config.Window, error) {
	zone, err := time.LoadLocation(w.GetZone()) // "" is UTC
	if err != nil {
		return nil, err
	}
	c := &config.Window{From: w.GetFrom(), To: w.GetTo(), Zone: zone}
	for _, d := range w.GetDays() {
		c.Days = append(c.Days, time.Weekday(d))
	}
	for _, hhmm := range []string{c.From, c.To} {
		if _, err := time.Parse("15:04", hhmm); err != nil {
			return nil, err
		}
	}
	return c, nil
}
