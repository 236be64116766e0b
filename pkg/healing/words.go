package healing

import (
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// span writes a duration as a tired reader takes it in: whole seconds, unless shorter.
func span(d time.Duration) string {
	if d <= 0 {
		return "0s"
	}
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return defaults.Duration(d.Round(time.Second))
}

// inLast names a budget's window: "in the last hour", "in the last 24h".
func inLast(d time.Duration) string {
	if d == time.Hour {
		return "in the last hour"
	}
	return "in the last " + span(d)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// percent writes a share as people read it.
func percent(share float64) string { return fmt.Sprintf("%.0f %%", share*100) }

// thing is what an alert is about, in a sentence.
func (a *Alert) thing() string {
	switch {
	case a.Instance != "":
		return a.Instance
	case a.Service != "":
		return a.Service
	}
	return "the host"
}
