package expr

import (
	"testing"
	"time"
)

// play sets host.cpu.busy once a second as the letters say, T above and F below one half, ? unknown,
// . no sample at all, and returns the answers as such letters.
func play(t *testing.T, src, samples string, since time.Duration) string {
	t.Helper()
	p := compile(t, src, scope())
	h := newHost(p)
	b := p.Bind(h)
	answers, now := []byte{}, monday
	for _, c := range samples {
		now = now.Add(time.Second)
		switch s := h.Series(p.Refs()[0].Path); c {
		case 'T':
			s.Set(now.Boot, 1)
		case 'F':
			s.Set(now.Boot, 0)
		case '?':
			s.Unknown(now.Boot)
		}
		answer := b.Eval
		if since > 0 {
			answer = func(n instant) Truth { return b.EvalSince(n, monday.Boot+since) }
		}
		answers = append(answers, "?FT"[answer(now)])
	}
	return string(answers)
}

func TestMemory(t *testing.T) {
	const held = `held(host.cpu.busy > 0.5, "3s")`
	const hits = `hits(host.cpu.busy > 0.5, 2, 3)`
	for _, c := range []struct {
		name, src, samples, want string
		since                    time.Duration
	}{
		{"held from the start", held, "TTTTT", "???TT", 0},
		{"held after false", held, "FTTTT", "FFFFT", 0},
		{"held is broken", held, "TTTTFTT", "???TFFF", 0},
		{"held after a gap", held, "TTTT?TTTT", "???T????T", 0},
		{"held: false weighs more than a gap", held, "F?TTTT", "FFF??T", 0},
		{"held of a dead source", held, "TTTT.....", "???TTTT??", 0},
		{"held since: what was before does not count", held, "TTTTTTTTTT", "???????TTT", 4 * time.Second},
		{"held since: nor does false", held, "FFFFTTTTTTT", "???????TTTT", 4 * time.Second},
		{"held inside another", `held(held(host.cpu.busy > 0.5, "2s"), "2s")`, "TTTTTF", "????TF", 0},
		{"held not asked is kept up to date", `host.cpu.busy > 2 * 100 * percent || ` + held, "TTTTT", "???TT", 0},
		{"held on the side that does not decide", `host.cpu.busy < 0.5 && !` + held, "TTTTF", "FFFFT", 0},
		{"hits", hits, "TFTFFT", "??TFFF", 0},
		{"hits: two misses decide", hits, "FFTT", "?FFT", 0},
		{"hits: unknown samples", hits, "T?T?FTT", "??T???T", 0},
		{"hits: no sample, nothing counted", hits, "T..T", "???T", 0},
		{"hits of a dead source", hits, "TT.....", "?TTTT??", 0},
		{"hits since", hits, "TTTTTT", "?????T", 3 * time.Second},
		{"hits of all", `hits(host.cpu.busy > 0.5, 3, 3)`, "TTTFTTT", "??TFFFT", 0},
	} {
		if got := play(t, c.src, c.samples, c.since); got != c.want {
			t.Errorf("%s: %s answers\n%s, want\n%s, of\n%s", c.name, c.src, got, c.want, c.samples)
		}
	}
}

// hits counts the samples of the slowest signal, however often the faster ones arrive.
func TestHitsKeepsThePaceOfTheSlowest(t *testing.T) {
	p := compile(t, `hits(host.disk["/"].used_ratio > 0.5 && host.cpu.busy > 0.5, 2, 2)`, scope())
	h := newHost(p)
	b := p.Bind(h)
	now := monday
	for second := range 20 {
		now = now.Add(time.Second)
		h.set(now.Boot, "host.cpu.busy", 1)
		if second%10 == 0 {
			h.set(now.Boot, `host.disk["/"].used_ratio`, 1)
		}
		want := Unknown
		if second >= 10 {
			want = True
		}
		if got := b.Eval(now); got != want {
			t.Errorf("after %d s: %v, want %v", second, got, want)
		}
	}
}

// Among events each one is a sample.
func TestHitsOfEvents(t *testing.T) {
	p := compile(t, `hits(unit.failed || unit.oom_kills > 2, 2, 2)`, scope())
	h := newHost(p)
	b := p.Bind(h)
	now := monday
	step := func(name string, v float64, want Truth) {
		t.Helper()
		now = now.Add(time.Second)
		h.set(now.Boot, name, v)
		if got := b.Eval(now); got != want {
			t.Errorf("%s = %v: %v, want %v", name, v, got, want)
		}
		if got := b.Eval(now.Add(time.Millisecond)); got != want {
			t.Errorf("asked again: %v, want %v", got, want)
		}
	}
	step("unit.failed", 0, Unknown)
	step("unit.oom_kills", 3, Unknown)
	step("unit.oom_kills", 4, True)
	step("unit.oom_kills", 0, False)
}
