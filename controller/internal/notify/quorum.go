package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/state"
	pkgnotify "github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/logpb"
)

// Times of trouble until people are told.
const (
	quorumAfter = 30 * time.Second
	cutOffAfter = time.Minute
)

// hour names the hour in which trouble began.
const hour = "2006010215"

// alarms are what this node pages about by itself.
func (c *Courier) alarms() ([]*alarm, error) {
	quorum := &alarm{c: c, log: c.log, name: "quorum-page", after: 0} // look counts the silence itself
	cutOff := &alarm{c: c, log: c.log, name: "cut-off-page", after: cutOffAfter}
	for _, a := range []*alarm{quorum, cutOff} {
		var err error
		if a.file, err = openPage(c.o.Data, a.name); err != nil {
			return nil, err
		}
		a.page, a.next = a.file.Page, map[string]try{}
	}
	quorum.look, quorum.end = quorum.lookAtQuorum, quorum.endQuorum
	cutOff.look, cutOff.end = cutOff.lookAtHosts, cutOff.endDirectly
	return []*alarm{quorum, cutOff}, nil
}

// lookAtQuorum: no leader has been heard for long. A node that never heard one is being set up, and its log says so.
//
// Every node makes the name of the same facts: the generation, the term of the last leader, and the hour of the last
// contact. So one outage is one page, and a later one is another.
func (a *alarm) lookAtQuorum() trouble {
	q := a.c.o.Quorum()
	if q.Leader {
		generation := ""
		a.c.o.Replica.View(func(s *state.State) { generation = s.Generation() })
		if err := a.file.led(ledTerm{generation, q.Term}); err != nil {
			a.log.Error("term of the leader is not on disk", "error", err)
		}
		return trouble{}
	}
	last := a.file.Last
	silence := a.c.o.Clock.Now().Wall.Add(-q.Silent).UTC()
	return trouble{
		on:    last.Term > 0 && (q.Silent >= quorumAfter || a.page != nil),
		since: fmt.Sprintf("quorum-%.8s-%d-%s", last.Generation, last.Term, silence.Format(hour)),
		title: "the controller has no quorum",
		text: fmt.Sprintf("Node %s has heard no leader for %v, since %s: most of the controller's nodes are down, or it is cut "+
			"off from them. No permits are given, nothing is escalated by the controller, and pauses do not reach hosts. Agents go "+
			"on with what needs no permit, and page by themselves.", a.c.o.ID, q.Silent.Round(time.Second), silence.Format(time.RFC3339)),
	}
}

// endQuorum commits that people were told, which makes the leader tell them the end.
func (a *alarm) endQuorum(ctx context.Context, p *page) error {
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	told := &logpb.QuorumPage{Key: p.Name + "/0", Notifiers: slices.Clone(p.Told), Node: a.c.o.ID, Text: p.Text}
	r, _, err := a.c.o.Arbiter.Propose(ctx, &logpb.Command{What: &logpb.Command_QuorumPage{QuorumPage: told}})
	var other arbiter.ErrNotLeader
	if errors.As(err, &other) && other.Address != "" && a.c.o.Forward != nil {
		return a.c.o.Forward(ctx, other.Address, told)
	}
	if err == nil && r.GetRefusal() != nil {
		return errors.New(r.GetRefusal().GetText())
	}
	return err
}

// lookAtHosts: this leader hears fewer than half of the hosts, so that it marks none as lost, and opens no incident
// about them. If they really are gone, nobody else says so.
func (a *alarm) lookAtHosts() trouble {
	leads, _ := a.c.o.Arbiter.Leads()
	if !leads || !a.c.o.Arbiter.CutOff() {
		return trouble{}
	}
	now, term := a.c.o.Clock.Now().Wall.UTC(), a.c.o.Quorum().Term
	return trouble{
		on: true, since: fmt.Sprintf("cut-off-%d-%s", term, now.Format(hour)),
		title: "the controller hears fewer than half of its hosts",
		text: fmt.Sprintf("More than half of the hosts fell silent at once for node %s, which leads. It blames its own link and marks "+
			"none of them as lost, so no incident is opened about them. Look at the network between the controller and the hosts; if "+
			"the hosts are down, this is the only message about it.", a.c.o.ID),
	}
}

// endDirectly tells the end to those who were told. Who cannot be reached is tried again, with those who were.
func (a *alarm) endDirectly(ctx context.Context, p *page) error {
	places, _ := a.c.at()
	var errs []error
	for _, notifier := range slices.Clone(p.Told) {
		sender := places.Senders[notifier]
		if sender != nil {
			one, cancel := context.WithTimeout(ctx, sendTime)
			err := pkgnotify.Classify(sender.Send(one, a.message(pkgnotify.Resolve, p.Name+"/resolved")))
			cancel()
			if err != nil && !err.Permanent {
				errs = append(errs, fmt.Errorf("%s: %w", notifier, err.Err))
				continue
			}
		}
		p.Told = slices.DeleteFunc(p.Told, func(s string) bool { return s == notifier })
	}
	return errors.Join(errs...)
}
