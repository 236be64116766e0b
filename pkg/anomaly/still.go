package anomaly

// stillness notices that a series that moves stands still: a stuck sensor, a queue that nobody serves.
type stillness struct {
	Same    float64 // share of late in which a sample was equal to the one before
	Run     float64 // samples that have been equal
	Longest float64 // run that has ended, fading
}

// novelty takes in whether a sample is equal to the one before.
func (s *stillness) novelty(same bool, n float64) float64 {
	part := 0.0
	if same {
		part = 1
		s.Run++
	} else {
		s.Longest = max(s.Longest, s.Run)
		s.Run = 0
	}
	s.Same += max(1.0/512, 1/n) * (part - s.Same)
	limit := max(12, 3*s.Longest)
	if s.Same > 0.5 || s.Run < limit || n < learnSamples {
		return 0
	}
	return min(0.3, 0.1*s.Run/limit)
}
