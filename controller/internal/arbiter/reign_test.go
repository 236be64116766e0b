package arbiter

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/controller/internal/arbiter/arbitertest"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// kinds are what an entry's commands are about.
func kinds(e *logpb.Entry) string {
	out := ""
	for _, c := range e.GetCommands() {
		switch c.GetWhat().(type) {
		case *logpb.Command_NewGeneration:
			out += "generation "
		case *logpb.Command_Configure:
			out += "configure "
		case *logpb.Command_Pause:
			out += "pause "
		case *logpb.Command_Tick:
			out += "tick "
		case *logpb.Command_Check:
			out += "check "
		case *logpb.Command_Edges:
			out += "edges "
		default:
			out += "other "
		}
	}
	return out
}

// nightly is open at the test's time: synctest begins at midnight, UTC, on a Saturday.
func nightly() *logpb.Config {
	return &logpb.Config{Digest: []byte("with a window"), Windows: []*logpb.Window{
		{Name: "night", From: "23:00", To: "01:00", Zone: "UTC", Reason: "backup"},
		{Name: "noon", From: "12:00", To: "13:00", Zone: "UTC"},
	}}
}

// The first entry of a cluster begins the generation with the configuration of whoever leads, so that not one
// command is judged by defaults; open windows follow before any command of others.
func TestFirstEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r := start(t, j, "n1", 0, nil)
		if err := r.Configure(nightly(), false); err != nil {
			t.Fatal(err)
		}
		var a answers
		r.seat.Quietly() // elected, and the arbiter has not heard yet
		a.propose(t.Context(), r, "hello", hello("h1"))
		synctest.Wait()
		r.seat.Say(true)
		a.wg.Wait()
		entries := j.All()
		got := []string{kinds(entries[0]), kinds(entries[1]), kinds(entries[2])}
		if got[0] != "generation configure " || got[1] != "pause " || got[2] != "other " {
			t.Errorf("entries %q", got)
		}
		if p := entries[1].GetCommands()[0].GetPause(); p.GetWindow() != "night" || p.GetFor() != int64(time.Hour) {
			t.Errorf("the window became %v", p)
		}
	})
}

// A new leader opens the windows before it takes commands: no grant slips in.
func TestNewLeaderOpensWindowsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r1 := leading(t, j, nil)
		c := nightly()
		c.Windows[0].From, c.Windows[0].To = "00:30", "02:00"
		if err := r1.Configure(c, false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r1.seat.Elect("n2", false)
		synctest.Wait()
		time.Sleep(45 * time.Minute) // nobody leads while the window opens
		before := len(j.All())
		r2 := start(t, j, "n2", 0, nil)
		r2.seat.Elect("n2", false)
		r2.must(hello("h1"))
		after := j.All()[before:]
		if kinds(after[0]) != "pause " || after[0].GetCommands()[0].GetPause().GetFor() != int64(75*time.Minute) {
			t.Errorf("the first entry of the new leader is %v", after[0])
		}
	})
}

// A window is opened once a turn, at its time, and not again by each look.
func TestWindowOpensInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r := leading(t, j, nil)
		if err := r.Configure(nightly(), false); err != nil {
			t.Fatal(err)
		}
		opened := func() (night, noon int) {
			for _, e := range j.All() {
				for _, c := range e.GetCommands() {
					switch c.GetPause().GetWindow() {
					case "night":
						night++
					case "noon":
						noon++
					}
				}
			}
			return
		}
		time.Sleep(30 * time.Minute)
		if night, noon := opened(); night != 1 || noon != 0 {
			t.Errorf("at half past twelve: night was opened %d times, noon %d", night, noon)
		}
		time.Sleep(11*time.Hour + 29*time.Minute)
		if _, noon := opened(); noon != 0 {
			t.Error("noon was opened before its time")
		}
		time.Sleep(2 * time.Minute)
		if _, noon := opened(); noon != 1 {
			t.Errorf("noon was opened %d times", noon)
		}
	})
}

// A window of some services pauses those; and the turn that a person has ended stays ended, also under another
// leader.
func TestWindowOfServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r1 := leading(t, j, nil)
		c := nightly()
		c.Windows[0].Services = []string{"checkout", "pay*"}
		if err := r1.Configure(c, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		paused := func(service string, want bool) {
			t.Helper()
			j.View(func(s *state.State) {
				if got := s.Paused("h1", service) != nil; got != want {
					t.Errorf("%s is paused: %v", service, got)
				}
			})
		}
		paused("checkout", true)
		paused("payments", true)
		paused("search", false)
		r1.must(&logpb.Command{What: &logpb.Command_Resume{Resume: &logpb.ResumeCommand{Pause: "service:checkout", By: "kim"}}})
		time.Sleep(5 * time.Minute)
		paused("checkout", false)
		paused("payments", true)
		r1.seat.Elect("n2", false)
		r2 := start(t, j, "n2", 0, nil)
		r2.seat.Elect("n2", false)
		time.Sleep(5 * time.Minute)
		paused("checkout", false)
		paused("payments", true)
		time.Sleep(50 * time.Minute) // the turn is over
		paused("payments", false)
	})
}

// leader-clock-plus-a-year: a leader whose wall clock is a year ahead moves log time on by a tenth more than what
// passes, and no pause, and nothing else that has an end, ends early by more than that.
func TestLeaderClockPlusAYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r1 := leading(t, j, nil)
		r1.must(pause("all", "maintenance", time.Hour))
		begun := time.Now()
		var first int64
		j.View(func(s *state.State) { first = s.At() })
		r1.seat.Elect("n2", false)
		synctest.Wait()

		r2 := start(t, j, "n2", 365*24*time.Hour, nil)
		r2.seat.Elect("n2", false)
		synctest.Wait()
		for time.Since(begun) < 54*time.Minute {
			r2.must(pause("unit:other", "moves log time on", time.Second))
			time.Sleep(time.Minute)
			j.View(func(s *state.State) {
				passed, moved := time.Since(begun), time.Duration(s.At()-first)
				if moved > passed+passed/slew {
					t.Fatalf("log time moved by %v in %v", moved, passed)
				}
				if p := s.Paused("h1", "checkout"); p.GetReason() != "maintenance" {
					t.Fatalf("after %v the pause of an hour is over", passed)
				}
			})
		}
		r2.seat.Elect("n3", false)
		synctest.Wait()

		r3 := start(t, j, "n3", -365*24*time.Hour, nil) // log time does not go back, either
		r3.seat.Elect("n3", false)
		var before, after int64
		j.View(func(s *state.State) { before = s.At() })
		r3.must(pause("unit:other", "", time.Second))
		j.View(func(s *state.State) { after = s.At() })
		if after < before {
			t.Errorf("log time went back by %v", time.Duration(before-after))
		}
	})
}

// Log time goes on while nobody leads, by the clock of whoever comes next.
func TestLogTimePassesWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r1 := leading(t, j, nil)
		r2 := start(t, j, "n2", -30*24*time.Hour, nil) // a wall clock that would hold it back
		r1.must(pause("all", "", 0))
		var before, after int64
		j.View(func(s *state.State) { before = s.At() })
		time.Sleep(2 * time.Second) // the follower looks once a second
		r1.seat.Elect("n2", false)
		time.Sleep(10 * time.Minute)
		r2.seat.Elect("n2", false)
		r2.must(pause("all", "", 0))
		j.View(func(s *state.State) { after = s.At() })
		if passed := time.Duration(after - before); passed < 9*time.Minute || passed > 11*time.Minute {
			t.Errorf("log time moved by %v in ten minutes without a leader", passed)
		}
	})
}

// leader-with-other-config: a node whose file differs does not change anything by beginning to lead, nor by
// starting again; only a change of its file does.
func TestLeaderWithOtherConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		holds := func(want string) {
			t.Helper()
			j.View(func(s *state.State) {
				if got := string(s.Config().GetDigest()); got != want {
					t.Errorf("the configuration %q holds, want %q", got, want)
				}
			})
		}
		file := func(digest string, most uint32) *logpb.Config {
			return &logpb.Config{Digest: []byte(digest), Services: []*logpb.Service{{Name: "checkout", MaxUnavailable: &most}}}
		}
		data := t.TempDir()
		configure := func(r *rig, c *logpb.Config, reload bool) {
			t.Helper()
			if err := r.Configure(c, reload); err != nil {
				t.Fatal(err)
			}
		}
		r1 := start(t, j, "n1", 0, nil)
		configure(r1, file("one", 1), false)
		r1.seat.Elect("n1", false)
		synctest.Wait()
		holds("one")

		r1.seat.Elect("n2", false)
		r2 := start(t, j, "n2", 0, func(o *Options) { o.Data = data })
		configure(r2, file("two", 2), false) // its first file, in a cluster that has one
		r2.seat.Elect("n2", false)
		time.Sleep(time.Minute)
		holds("one")

		configure(r2, file("three", 3), true) // a person says so
		time.Sleep(time.Second)
		holds("three")

		r2.seat.Elect("n1", false)
		r1.seat.Elect("n1", false) // with "one", which it has proposed before
		time.Sleep(time.Minute)
		holds("three")
		r1.seat.Elect("n2", false)

		r2.stop()
		r2 = start(t, j, "n2", 0, func(o *Options) { o.Data = data })
		configure(r2, file("three", 3), false)
		r2.seat.Elect("n2", false)
		time.Sleep(time.Minute)
		holds("three")
		r2.stop()
		r2 = start(t, j, "n2", 0, func(o *Options) { o.Data = data })
		configure(r2, file("four", 4), false) // changed while the node was down
		r2.seat.Elect("n2", false)
		time.Sleep(time.Minute)
		holds("four")
	})
}

// A follower's changed file goes to the leader, as soon as there is one.
func TestFollowerForwardsItsFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		leader := start(t, j, "n1", 0, nil)
		forwarded := 0
		r := start(t, j, "n2", 0, func(o *Options) {
			o.Forward = func(ctx context.Context, address string, c *logpb.Config, first bool) (bool, error) {
				if forwarded++; forwarded == 1 {
					return false, errors.New("connection refused")
				}
				if address != "n1:7600" {
					t.Errorf("forwarded to %q", address)
				}
				return leader.Adopt(ctx, c, "n2", first)
			}
		})
		if err := r.Configure(&logpb.Config{Digest: []byte("two")}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		leader.seat.Elect("n1", false)
		r.seat.Elect("n1", false)
		time.Sleep(time.Minute)
		j.View(func(s *state.State) {
			if !bytes.Equal(s.Config().GetDigest(), []byte("two")) {
				t.Errorf("the configuration %q holds", s.Config().GetDigest())
			}
		})
		if forwarded != 2 {
			t.Errorf("forwarded %d times", forwarded)
		}
	})
}

func TestConfigurationThatWouldSpoilTheLog(t *testing.T) {
	r := start(t, arbitertest.NewJournal(t), "n1", 0, nil)
	for name, c := range map[string]*logpb.Config{
		"no digest":    {},
		"unknown zone": {Digest: []byte("d"), Windows: []*logpb.Window{{Name: "w", From: "01:00", To: "02:00", Zone: "Mars/Olympus"}}},
		"no time":      {Digest: []byte("d"), Windows: []*logpb.Window{{Name: "w", From: "1:00", To: "02:00"}}},
		"no day":       {Digest: []byte("d"), Windows: []*logpb.Window{{Name: "w", From: "01:00", To: "02:00", Days: []uint32{7}}}},
		"too large":    {Digest: []byte("d"), Services: []*logpb.Service{{Name: string(make([]byte, maxEntry))}}},
	} {
		if err := r.Configure(c, true); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A restore begins a generation before anything else is proposed, however many wait.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r := leading(t, j, nil)
		epoch := r.must(hello("h1")).GetWelcome().GetEpoch()
		image, err := j.Image()
		if err != nil {
			t.Fatal(err)
		}
		r.must(pause("host:h1", "after the backup", 0))
		before := len(j.All())
		r.seat.Hold(true)
		var a answers
		a.propose(t.Context(), r, "in flight", pause("unit:h2", "", 0))
		synctest.Wait()
		restored := make(chan string, 1)
		go func() {
			id, err := r.Restore(t.Context(), bytes.NewReader(image), "kim")
			if err != nil {
				t.Errorf("restore: %v", err)
			}
			restored <- id
		}()
		synctest.Wait()
		a.propose(t.Context(), r, "request", &logpb.Command{What: &logpb.Command_Request{Request: &logpb.Request{
			Host: "h1", Epoch: epoch, N: 1, Rule: "slow", Remedy: "restart", Digest: []byte("d"), Service: "checkout",
		}}})
		synctest.Wait()
		r.seat.Hold(false)
		id := <-restored
		a.wg.Wait()
		if got := a.sorted(); got[len(got)-1] != "request: refused awaited" {
			t.Errorf("answers %q", got)
		}
		entries := j.All()[before:]
		if kinds(entries[1]) != "generation " {
			t.Errorf("after the restore came %q", kinds(entries[1]))
		}
		j.View(func(s *state.State) {
			if s.Generation() != id || s.Paused("h1", "checkout") == nil || !s.Host("h1").GetAwaited() {
				t.Errorf("generation %s, want %s; paused %v", s.Generation(), id, s.Paused("h1", "checkout"))
			}
		})
	})
}

func TestRestoreElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, arbitertest.NewJournal(t), "n1", 0, nil)
		r.seat.Elect("n2", false)
		if _, err := r.Restore(t.Context(), bytes.NewReader(nil), "kim"); !errors.As(err, new(ErrNotLeader)) {
			t.Errorf("a follower restored: %v", err)
		}
	})
}

// Every 10,000 entries the leader has the state's hash compared.
func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r := leading(t, j, nil)
		j.Skip(9_999)
		for range 5 {
			r.must(pause("unit:h1", "", 0))
		}
		time.Sleep(5 * time.Second)
		checks := 0
		for _, e := range j.All() {
			for _, c := range e.GetCommands() {
				if c.GetCheck() != nil {
					checks++
				}
			}
		}
		if checks != 1 {
			t.Errorf("%d checks in the log", checks)
		}
	})
}
