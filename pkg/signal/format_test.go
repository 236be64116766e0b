package signal

import (
	"math"
	"testing"
)

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		dim  Dimension
		v    float64
		want string
	}{
		{Ratio, 0.1234, "12.3 %"},
		{Ratio, 0.5, "50 %"},
		{Ratio, 2, "200 %"},
		{Ratio, 0, "0 %"},
		{Ratio, math.Copysign(0, -1), "0 %"},
		{Ratio, 0.00012, "0.012 %"},
		{Seconds, 0.85, "850 ms"},
		{Seconds, 0.000012, "12 µs"},
		{Seconds, 0, "0 s"},
		{Seconds, 1.5, "1.5 s"},
		{Seconds, -0.25, "-250 ms"},
		{Seconds, 150, "2.5 min"},
		{Seconds, 90000, "1.04 d"},
		{Bytes, 0, "0 B"},
		{Bytes, 1023, "1023 B"},
		{Bytes, 1.5 * (1 << 30), "1.5 GiB"},
		{BytesPerSecond, 10 << 20, "10 MiB/s"},
		{Count, 3, "3"},
		{Count, 123456, "123456"},
		{Count, 2.345, "2.35"},
		{Count, 1e20, "1e+20"},
		{Count, 1e-9, "1e-09"},
		{PerSecond, 3, "3/s"},
		{Bool, 1, "true"},
		{Bool, 0, "false"},
		{Number, -4, "-4"},
		{Ratio, math.NaN(), "unknown"},
		{Bytes, math.Inf(1), "unknown"},
	} {
		if got := Format(c.dim, c.v); got != c.want {
			t.Errorf("%s %v is written %q, want %q", c.dim, c.v, got, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	for d := Number; d <= Text; d++ {
		if d.String() == "unknown dimension" {
			t.Errorf("dimension %d has no name", d)
		}
	}
	if Dimension(99).String() != "unknown dimension" {
		t.Error("a dimension that does not exist has a name")
	}
	if Host.String() != "host" || Unit.String() != "unit" || Service.String() != "service" {
		t.Error("a scope has the wrong name")
	}
}
