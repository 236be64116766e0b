package healing

import "github.com/salveops/salve/pkg/defaults"

// Confidence is the probability that a remedy helps: the mean of a Beta distribution that starts from
// the configured prior, worth defaults.ConfidenceWeight outcomes, and learns from own outcomes.
// Everything but verified counts as failed, inconclusive outcomes too.
func Confidence(prior float64, verified, failed int) float64 {
	const weight = defaults.ConfidenceWeight
	seen := float64(verified + failed)
	return (prior*weight + float64(verified)) / (weight + seen)
}
