package state

import (
	"math"

	"github.com/salveops/salve/proto/logpb"
)

// count adds the outcome of an attempt.
func (s *State) count(from *logpb.Statistic) {
	if from == nil {
		return
	}
	key := statisticKey{clip(from.GetService(), maxName), clip(from.GetRule(), maxName), clip(from.GetRemedy(), maxName)}
	x := s.statistics[key]
	if x == nil {
		if len(s.statistics) >= 2*keepStatistics {
			return // until the next prune
		}
		x = &logpb.Statistic{Service: key.service, Rule: key.rule, Remedy: key.remedy}
		s.statistics[key] = x
	}
	x.Verified = sum(x.GetVerified(), from.GetVerified())
	x.Ineffective = sum(x.GetIneffective(), from.GetIneffective())
	x.Worse = sum(x.GetWorse(), from.GetWorse())
	x.Inconclusive = sum(x.GetInconclusive(), from.GetInconclusive())
	x.Last = s.now()
}

// sum adds one outcome at most: that is what an attempt has.
func sum(before, one uint32) uint32 {
	if before == math.MaxUint32 {
		return before
	}
	return before + min(one, 1)
}

// Statistics are the outcomes of all remedies, by service, rule and remedy; not to be changed.
func (s *State) Statistics() []*logpb.Statistic { return sorted(s.statistics, compareStatistics) }

func compareStatistics(a, b statisticKey) int {
	if c := compareRules(ruleKey{a.service, a.rule}, ruleKey{b.service, b.rule}); c != 0 {
		return c
	}
	return compare(a.remedy, b.remedy)
}
