package signal

import (
	"math"
	"strconv"
)

// Format writes a value as people read it: "12.3 %", "850 ms", "1.5 GiB", "3/s", "true". A value
// that is not finite is "unknown"; Text values are numbers here, their words are in the store.
func Format(d Dimension, v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "unknown"
	}
	switch d {
	case Bool:
		return strconv.FormatBool(v != 0)
	case Ratio:
		return decimal(v*100) + " %"
	case Seconds:
		return scaled(v, timeUnits)
	case Bytes:
		return scaled(v, sizeUnits)
	case BytesPerSecond:
		return scaled(v, sizeUnits) + "/s"
	case PerSecond:
		return decimal(v) + "/s"
	}
	return decimal(v)
}

// FormatRange writes two values with "to" between them, or one where they read the same.
func FormatRange(d Dimension, low, high float64) string {
	from, to := Format(d, low), Format(d, high)
	if from == to {
		return from
	}
	return from + " to " + to
}

type unit struct {
	name string
	size float64
}

// Units from large to small; a value is shown in the first that is not larger than it.
var (
	timeUnits = []unit{{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}, {"ms", 1e-3}, {"µs", 1e-6}}
	sizeUnits = []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}
)

func scaled(v float64, units []unit) string {
	base := units[len(units)-1]
	for _, u := range units {
		if u.size == 1 && v == 0 || math.Abs(v) >= u.size {
			base = u
			break
		}
	}
	return decimal(v/base.size) + " " + base.name
}

// decimal shows three digits of a small number and all digits before the point of a large one.
func decimal(v float64) string {
	if v == 0 {
		return "0" // never "-0"
	}
	digits := 0
	switch a := math.Abs(v); {
	case a >= 1e15:
		return strconv.FormatFloat(v, 'g', 4, 64)
	case a >= 1000:
	case a >= 10:
		digits = 1
	case a >= 1:
		digits = 2
	case a >= 0.001:
		digits = 3
	default:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if digits == 0 {
		return s
	}
	end := len(s)
	for s[end-1] == '0' {
		end--
	}
	if s[end-1] == '.' {
		end--
	}
	return s[:end]
}
