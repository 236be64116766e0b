package permit

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/salveops/salve/proto/logpb"
)

// wire is one session between the agent and the table: messages in order, until it is cut. Its hello may
// arrive after that; nothing else does.
type wire struct {
	to       *table
	up, down []any
	cut      bool
	made     time.Duration
}

// play is a world in which anything may happen to the line, the agent and the controller.
type play struct {
	t      *rapid.T
	s      *table
	a      *agent
	wires  []*wire
	backup *table
	former *table // the controller of a generation before, which somebody has forgotten to stop
	gens   int
	copy   func() // puts an old copy of the agent's disk in the place of the disk

	reached map[string]int // what came how often, so that the test is one that could fail
}

func (p *play) line() *wire {
	if len(p.wires) == 0 || p.wires[len(p.wires)-1].cut {
		return nil
	}
	return p.wires[len(p.wires)-1]
}

func (p *play) cut() {
	if w := p.line(); w != nil {
		w.cut = true
		w.down = nil
	}
	for _, id := range p.a.Cut() {
		p.forget(id)
	}
}

func (p *play) forget(id string) {
	p.a.open = slices.DeleteFunc(p.a.open, func(o string) bool { return o == id })
}

// connect says hello on a new line.
func (p *play) connect() {
	p.cut()
	p.wires = append(p.wires, &wire{to: p.s, up: []any{p.a.greet()}, made: p.a.now})
}

// upward lets the controller take the next message of a line.
func (p *play) upward(w *wire) {
	if len(w.up) == 0 {
		return
	}
	m := w.up[0]
	w.up = w.up[1:]
	switch m := m.(type) {
	case *logpb.Hello:
		if p.a.now-w.made <= AloneAfter {
			w.down = append(w.down, w.to.hello(m))
		}
	case *logpb.Request:
		if w.cut {
			return
		}
		g, r := w.to.request(m)
		w.down = append(w.down, answer{n: m.GetN(), grant: g, refusal: r})
	case *logpb.Settle:
		if w.cut {
			return
		}
		w.down = append(w.down, answer{token: TokenOf(m.GetToken()), settled: true, refusal: w.to.settle(m)})
	}
	if w.cut {
		w.down = nil
	}
}

type answer struct {
	n       uint64
	token   Token
	settled bool
	grant   *logpb.Grant
	refusal *logpb.Refusal
}

// downward lets the agent take the next answer.
func (p *play) downward() {
	w := p.line()
	if w == nil || len(w.down) == 0 {
		return
	}
	m := w.down[0]
	w.down = w.down[1:]
	switch m := m.(type) {
	case *logpb.Welcome:
		before := len(p.a.order)
		if err := p.a.welcomed(m); err != nil {
			if errors.Is(err, ErrLeft) {
				p.reached["left"]++
			} else if strings.Contains(err.Error(), "comes after") {
				p.reached["late welcome"]++
			}
			p.cut()
		}
		p.reached["orphan"] += len(p.a.order) - before
	case answer:
		p.take(m)
	}
}

func (p *play) take(m answer) {
	anew := false
	p.reached[m.refusal.GetCode()]++
	switch {
	case m.settled:
		var cleared bool
		if cleared, anew = p.a.Settled(p.a.now, m.token, m.refusal); cleared {
			p.a.clearedOnDisk(m.token)
			p.reached["cleared"]++
		}
	case m.refusal != nil:
		var id string
		id, anew = p.a.Refused(m.n, m.refusal)
		p.forget(id)
	default:
		p.a.Granted(m.n, m.grant)
	}
	if anew {
		p.cut()
	}
}

// pump sends what the agent has to say.
func (p *play) pump() {
	w := p.line()
	if _, live := p.a.Live(); !live || w == nil {
		return
	}
	if r := p.a.next(); r != nil {
		w.up = append(w.up, r)
	}
	for _, s := range p.a.Settles(p.a.now, []Claim{{"web", logpb.Serving_SERVING_YES}}) {
		w.up = append(w.up, s)
	}
	if p.a.Stuck(p.a.now) {
		p.cut()
	}
}

// crash ends the process; a reboot ends what runs, too.
func (p *play) crash(reboot bool) {
	if w := p.line(); w != nil {
		w.cut, w.down = true, nil
	}
	for id := range p.a.really {
		// The next process settles it by evidence, or goes on with it.
		switch how := rapid.SampledFrom([]string{"goes on", "not begun", "unknown"}).Draw(p.t, "evidence"); {
		case how == "unknown" || reboot:
			p.a.intents[id].Settlement = Unknown
			delete(p.a.really, id)
		}
	}
	for _, in := range p.a.intents {
		if in.Settlement == "" && !p.a.really[in.Attempt] {
			in.Settlement = Unused // its intent is on disk, and it had not begun
		}
	}
	if reboot {
		p.a.boot += "+"
		p.a.now = time.Minute
		for _, w := range p.wires {
			w.up = nil // the network has forgotten them by then
		}
	} else {
		p.a.now += time.Second
	}
	p.a.start()
}

// TestAnyLine lets anything happen and looks at what max-unavailable needs of an agent: whatever really runs
// is counted by a controller that hands out permits, a token acts once, and in the end nothing leaks.
func TestAnyLine(t *testing.T) {
	reached := map[string]int{}
	for range 100 { // of a hundred histories each
		if anyLine(t, reached); t.Failed() {
			return
		}
	}
	for _, what := range []string{"acted", "acted alone", "restored", "went back", "late welcome", "void epoch", "void late",
		"void serving", "void used", "orphan", "cleared", "left"} {
		if reached[what] == 0 {
			t.Errorf("%s never came: the property says nothing about it; these did: %v", what, reached)
		}
	}
}

func anyLine(t *testing.T, reached map[string]int) {
	rapid.Check(t, func(rt *rapid.T) {
		p := &play{t: rt, s: newTable(), a: newAgent(), reached: reached}
		some := func(name string, list []string) string {
			if len(list) == 0 {
				rt.Skip("nothing " + name)
			}
			return rapid.SampledFrom(list).Draw(rt, name)
		}
		serving := rapid.SampledFrom([]logpb.Serving{logpb.Serving_SERVING_YES, logpb.Serving_SERVING_DOWN})
		rt.Repeat(map[string]func(*rapid.T){
			"connect": func(*rapid.T) { p.connect() },
			"up": func(rt *rapid.T) {
				if len(p.wires) > 0 {
					p.upward(p.wires[rapid.IntRange(0, len(p.wires)-1).Draw(rt, "wire")])
				}
			},
			"up last":  func(*rapid.T) { p.upward(p.wire()) },
			"down":     func(*rapid.T) { p.downward() },
			"exchange": func(*rapid.T) { p.exchange() },
			"session":  func(*rapid.T) { p.connect(); p.exchange() },
			"attempt": func(rt *rapid.T) {
				if _, live := p.a.Live(); !live {
					p.connect()
				}
				id := p.a.ask(serving.Draw(rt, "serving"))
				p.exchange()
				f := p.a.facts(serving.Draw(rt, "serving"))
				if err := p.a.begins(id, f); err != nil {
					p.voided(err)
					return
				}
				switch rapid.SampledFrom([]string{"nothing", "nothing", "late", "session"}).Draw(rt, "between") {
				case "late":
					p.a.now += 15 * time.Second
				case "session":
					p.connect()
					p.exchange()
				}
				f.Now = p.a.now
				p.act(id, f)
			},
			"cut":      func(*rapid.T) { p.cut() },
			"crash":    func(*rapid.T) { p.crash(false) },
			"reboot":   func(*rapid.T) { p.crash(true) },
			"ask":      func(rt *rapid.T) { p.a.ask(serving.Draw(rt, "serving")) },
			"withdraw": func(*rapid.T) { id := some("open", p.a.open); p.a.Withdraw(id, "gone"); p.unused(id) },
			"begin": func(rt *rapid.T) {
				p.voided(p.a.begins(some("open", p.a.open), p.a.facts(serving.Draw(rt, "serving"))))
			},
			"act": func(rt *rapid.T) {
				p.act(some("open", p.a.open), p.a.facts(serving.Draw(rt, "serving")))
			},
			"alone": func(*rapid.T) { p.alone() },
			"act alone": func(*rapid.T) {
				p.cut()
				p.a.now += AloneAfter
				p.alone()
				if n := len(p.a.open); n > 0 {
					p.act(p.a.open[n-1], p.a.facts(logpb.Serving_SERVING_YES))
				}
			},
			"end": func(rt *rapid.T) {
				id := some("open", p.a.open)
				if p.a.really[id] {
					p.a.ends(id, rapid.SampledFrom([]Settlement{Serving, Failed, Unknown}).Draw(rt, "how"))
				}
			},
			"clear":   func(*rapid.T) { p.clear() },
			"pause":   func(*rapid.T) { p.s.paused = "eve" },
			"resume":  func(*rapid.T) { p.s.paused = "" },
			"backup":  func(*rapid.T) { p.backup = p.s.copied() },
			"restore": func(*rapid.T) { p.restore() },
			"connect to the former": func(*rapid.T) {
				// One that it has not left is as good as any other: then it is people who let two clusters run.
				if p.former != nil && p.a.disk.left(p.former.generation) {
					p.connect()
					p.line().to = p.former
					p.exchange()
				}
			},
			"slow hello": func(rt *rapid.T) {
				p.connect()
				p.a.now += time.Duration(rapid.IntRange(1, 29).Draw(rt, "seconds")) * time.Second
				p.exchange()
			},
			"copy disk":    func(*rapid.T) { p.copy = p.copyDisk() },
			"disk of then": func(*rapid.T) { p.goBack() },
			"wait": func(rt *rapid.T) {
				p.a.now += time.Duration(rapid.IntRange(1, 40).Draw(rt, "seconds")) * time.Second
			},
			"": func(rt *rapid.T) {
				p.pump()
				p.check()
			},
		})
		p.heal()
	})
}

// exchange lets every message of the session arrive.
func (p *play) exchange() {
	for p.pump(); ; p.pump() {
		w := p.line()
		if w == nil || len(w.up)+len(w.down) == 0 {
			return
		}
		p.upward(w)
		p.downward()
	}
}

func (p *play) wire() *wire {
	if len(p.wires) == 0 {
		return &wire{}
	}
	return p.wires[len(p.wires)-1]
}

func (p *play) act(id string, f Facts) {
	err := p.a.acts(id, f)
	p.voided(err)
	if err != nil {
		return
	}
	p.reached["acted"]++
	if p.a.intents[id].Alone {
		p.reached["acted alone"]++
	}
}

func (p *play) voided(err error) {
	var v *Void
	if errors.As(err, &v) {
		p.reached["void "+v.Code]++
	}
}

// unused: what was withdrawn before it acted.
func (p *play) unused(id string) {
	if in := p.a.intents[id]; in != nil && !p.a.really[id] && in.Settlement == "" {
		in.Settlement = Unused
	}
}

func (p *play) alone() {
	p.a.asks++
	id := "alone-" + strings.Repeat("i", p.a.asks)
	held, err := p.a.BeginAlone(Ask{Attempt: id, Service: "web", Targets: []Target{{Service: "web", Host: me}}},
		p.a.facts(logpb.Serving_SERVING_YES))
	if err != nil {
		return
	}
	p.a.intents[id] = &Restored{Attempt: id, Service: "web", Held: held}
	p.a.open = append(p.a.open, id)
}

func (p *play) clear() {
	for _, d := range p.a.Doubts() {
		p.a.Clear(d.Token, p.a.now)
	}
}

// restore brings an old copy of the controller up, under another generation. All sessions end.
func (p *play) restore() {
	if p.backup == nil {
		return
	}
	p.gens++
	p.reached["restored"]++
	p.former, p.s = p.s, p.backup.restored("g1"+strings.Repeat("+", p.gens))
	for _, w := range p.wires {
		w.up = nil
	}
	p.cut()
}

// copyDisk is a snapshot of the virtual machine's disk.
func (p *play) copyDisk() func() {
	record, intents := p.a.disk, map[string]*Restored{}
	for id, in := range p.a.intents {
		c := *in
		intents[id] = &c
	}
	return func() { p.a.disk, p.a.intents = record, intents }
}

// goBack starts the machine on an old copy of its disk. What ran is gone with the machine of then.
func (p *play) goBack() {
	if p.copy == nil {
		return
	}
	p.reached["went back"]++
	p.former = nil // a disk that forgot having left it is beyond what any protocol can mend
	p.a.really = map[string]bool{}
	p.copy()
	p.copy = nil
	p.crash(true)
}

// check: what really runs is counted by the controller, unless that has to hear from this host first or
// knows that it is cut off.
func (p *play) check() {
	for id := range p.a.really {
		in := p.a.intents[id]
		_, live := p.a.Live()
		switch {
		case p.s.permits[in.Token] != nil, p.s.host.awaited, in.Alone && !live:
		default:
			p.a.flaw("%s (%s) runs and is not counted, live %t, %+v", id, in.Token, live, in)
		}
	}
	for _, flaw := range p.a.flaws {
		p.t.Fatal(flaw)
	}
}

// heal lets the line be well for long: then nothing is open any more.
func (p *play) heal() {
	p.s.paused = ""
	for _, w := range p.wires {
		w.up = nil
	}
	p.cut()
	for _, id := range slices.Sorted(slices.Values(p.a.open)) {
		if p.a.really[id] {
			p.a.ends(id, Serving)
		} else {
			p.a.Withdraw(id, "over")
			p.unused(id)
		}
	}
	for range 60 {
		p.a.now += 2 * time.Second
		if _, live := p.a.Live(); !live {
			p.connect()
		}
		p.clear()
		p.exchange()
		p.check()
	}
	if len(p.s.permits) > 0 || p.a.Open() > 0 {
		p.t.Fatalf("the controller still counts %v, the agent %d", p.s.permits, p.a.Open())
	}
}
