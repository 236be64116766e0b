package state

import (
	"slices"

	"github.com/salveops/salve/proto/logpb"
)

// What has ended is kept for a while and then forgotten, so that a snapshot is as small after a year as
// after a month. Log time and counts decide, so every replica forgets the same.
const (
	keepEnded      = 500       // incidents that ended
	keepEndedFor   = 30 * day  //
	keepEndedLines = 50_000    // lines of their timelines, together
	keepWidthFor   = 30 * day  // widths that were not used
	keepHaltedFor  = 365 * day // those that failed on two hosts in a row
	keepStatistics = 5000      //
	keepCountedFor = 365 * day //
)

// slack is by how much the number of ended incidents may be exceeded before a tick is due for it.
const slack = keepEnded / 10

// prunes is when prune is due, 0 if there is nothing to prune.
func (s *State) prunes() int64 {
	open := 0
	for _, list := range s.derived.ongoing {
		open += len(list)
	}
	switch {
	case len(s.incidents)-open > keepEnded+slack:
		return plus(s.counters.GetPruned(), hour)
	case len(s.incidents)+len(s.widths)+len(s.statistics)+len(s.deliveries) > 0,
		len(s.tokens)+len(s.enrollments)+len(s.revocations) > 0:
		return plus(s.counters.GetPruned(), day)
	}
	return 0
}

// prune forgets once a day, and once an hour if too much has ended.
func (s *State) prune() {
	if when := s.prunes(); when == 0 || when > s.now() {
		return
	}
	s.counters.Pruned = s.now()
	s.pruneIncidents()
	s.pruneWidths()
	s.pruneStatistics()
	s.pruneAccess()
	for _, m := range s.deliveries {
		if over(m) && s.incidents[m.GetIncident()] == nil && m.GetMade() < s.now()-keepEndedFor {
			s.scrap(m)
		}
	}
	for id, alias := range s.aliases {
		if s.incidents[alias.GetIncident()] == nil {
			delete(s.aliases, id)
		}
	}
}

// pruneIncidents keeps the newest that ended, with all that belongs to them.
func (s *State) pruneIncidents() {
	var past []*logpb.Incident
	for _, i := range s.incidents {
		if ended(i) {
			past = append(past, i)
		}
	}
	slices.SortFunc(past, func(a, b *logpb.Incident) int { // newest first
		if a.GetEnded() != b.GetEnded() {
			return compareNumbers(uint64(b.GetEnded()), uint64(a.GetEnded()))
		}
		return compare(a.GetId(), b.GetId())
	})
	lines := 0
	for n, i := range past {
		lines += len(i.GetTimeline())
		if n >= keepEnded || lines > keepEndedLines || i.GetEnded() < s.now()-keepEndedFor {
			s.dissolve(i)
		}
	}
}

// dissolve forgets an incident that has ended. A message that is still on its way keeps it for another day.
func (s *State) dissolve(i *logpb.Incident) {
	for _, m := range s.derived.mail[i.GetId()] {
		if !over(m) && s.now()-m.GetMade() < giveUp {
			return
		}
	}
	for _, a := range s.derived.members[i.GetId()] {
		s.strike(a)
	}
	for _, m := range s.derived.mail[i.GetId()] {
		s.scrap(m)
	}
	delete(s.incidents, i.GetId())
}

func (s *State) pruneWidths() {
	for k, w := range s.widths {
		keep := int64(keepWidthFor)
		if len(w.GetFailed()) >= haltAfter {
			keep = keepHaltedFor
		}
		if s.derived.open[k] == 0 && w.GetUsed() < s.now()-keep {
			delete(s.widths, k)
		}
	}
}

func (s *State) pruneStatistics() {
	all := s.Statistics()
	slices.SortStableFunc(all, func(a, b *logpb.Statistic) int { // newest first
		return compareNumbers(uint64(b.GetLast()), uint64(a.GetLast()))
	})
	for n, x := range all {
		if n >= keepStatistics || x.GetLast() < s.now()-keepCountedFor {
			delete(s.statistics, statisticKey{x.GetService(), x.GetRule(), x.GetRemedy()})
		}
	}
}
