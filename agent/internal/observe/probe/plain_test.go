package probe

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestTCP(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	for _, address := range []struct{ network, at, as string }{
		{"tcp", "127.0.0.1:0", ""}, {"unix", socket, "unix:" + socket},
	} {
		l, err := net.Listen(address.network, address.at)
		if err != nil {
			t.Fatal(err)
		}
		target := Target{TCP: address.as, Timeout: 5 * time.Second}
		if target.TCP == "" {
			target.TCP = l.Addr().String()
		}
		a, err := newAsker(target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.ask(false); got.err != nil || !got.answered || got.latency <= 0 {
			t.Errorf("%s: %+v", address.network, got)
		}
		_ = l.Close()
		if got := a.ask(false); got.err == nil || got.answered {
			t.Errorf("%s, closed: %+v", address.network, got)
		}
		a.close()
	}
}

func TestExec(t *testing.T) {
	var ran []string
	code, failure := 0, error(nil)
	run := func(ctx context.Context, argv []string) (int, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the program has no time limit")
		}
		ran = argv
		return code, failure
	}
	a := newExec(Target{Exec: []string{"/check", "-x"}, Timeout: time.Second}, run)
	defer a.close()
	if got := a.ask(false); got.err != nil || !got.answered || got.figure != 0 {
		t.Errorf("%+v", got)
	}
	if !slices.Equal(ran, []string{"/check", "-x"}) {
		t.Errorf("ran %q", ran)
	}
	code = 2
	if got := a.ask(false); got.err == nil || got.figure != 2 || !got.answered {
		t.Errorf("exit code 2: %+v", got)
	}
	failure = errors.New("not allowed")
	if got := a.ask(false); !errors.Is(got.err, failure) || got.answered {
		t.Errorf("not allowed: %+v", got)
	}
	if got := newExec(Target{Exec: []string{"/check"}}, nil).ask(false); !errors.Is(got.err, errNoExec) {
		t.Errorf("without anybody to run it: %+v", got)
	}
}
