package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// floods are what is sent to the agent: lines one by one, and as many as clients put into a packet. Both are below the
// 16 MiB a second from where on the agent refuses what comes.
var floods = []Flood{{Lines: 1, Rate: 40_000}, {Lines: 20, Rate: 10_000}}

// Flood is lines of StatsD that come at a rate, and what became of them.
type Flood struct {
	Lines int // of a packet
	Rate  int // packets a second that are meant to be sent
	Lost  int // those that the kernel dropped while it was watched, in all tries
	contender
}

// packets sends lines of StatsD to the agent.
func (s *Sources) packets(ctx context.Context) error {
	for _, f := range floods {
		f.Name = nameSalve
		for range s.opts.Tries {
			t, lost, err := s.flood(ctx, f)
			if err != nil {
				return err
			}
			f.Tries, f.Lost = append(f.Tries, t), f.Lost+lost
			s.logf("took %.0f packets a second of %d lines: %v each, %d lost", t.Rate(), f.Lines, t.Each(), lost)
		}
		s.result.Floods = append(s.result.Floods, f)
	}
	return nil
}

// flood is one try.
func (s *Sources) flood(ctx context.Context, f Flood) (t Try, lost int, err error) {
	ports, err := rig.FreePorts(1)
	if err != nil {
		return t, 0, err
	}
	address := ports[0]
	listens := func() int64 {
		if _, err := dropped(address); err != nil {
			return 0
		}
		return 1
	}
	err = s.within(func(dir string) error {
		w := world{units: lonely, rules: service("app", statsdBlock(address))}
		agent, err := w.start(ctx, s.opts.Agent, s.manager.Address, dir)
		if err != nil {
			return err
		}
		defer agent.Stop()
		if err := await(ctx, listens, 1); err != nil {
			return err
		}
		sent, stop, err := pour(address, f)
		if err != nil {
			return err
		}
		defer stop()
		if err := await(ctx, sent.Load, int64(f.Rate)); err != nil {
			return err
		}
		before, err := dropped(address)
		if err != nil {
			return err
		}
		if t, err = watch(ctx, agent.PID(), sent.Load, s.opts.Watch); err != nil {
			return err
		}
		after, err := dropped(address)
		lost = after - before
		t.Count -= int64(lost)
		if said := rig.LastLines(logOf(dir), logLines); strings.Contains(said, "too much comes") {
			return fmt.Errorf("the agent refuses %d packets a second of %d lines:\n%s", f.Rate, f.Lines, said)
		}
		return err
	})
	return t, lost, err
}

func statsdBlock(address string) string {
	return fmt.Sprintf(`  statsd "app" {
    listen = %q
    metric "error_rate" {
      ratio = ["http_requests{code=~'5..'}", "http_requests"]
    }
    metric "traffic" { rate = "http_requests" }
  }
`, address)
}

// pour sends packets until it is stopped, and counts them.
func pour(address string, f Flood) (sent *atomic.Int64, stop func(), err error) {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return nil, nil, err
	}
	packet := []byte(strings.Repeat("http.requests:1|c|#code:200,env:prod,host:web-17\n", f.Lines))
	sent = new(atomic.Int64)
	ends, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for began := time.Now(); ; {
			if float64(sent.Load()) >= time.Since(began).Seconds()*float64(f.Rate) {
				<-tick.C
			}
			select {
			case <-ends:
				return
			default:
			}
			_, _ = conn.Write(packet) // what is lost is counted where it is lost
			sent.Add(1)
		}
	}()
	return sent, func() {
		close(ends)
		<-ended
		_ = conn.Close()
	}, nil
}

// dropped is how many packets the kernel has dropped of a UDP socket on an IPv4 address. It fails if nobody listens
// there.
func dropped(address string) (int, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0, err
	}
	file, err := os.Open("/proc/net/udp")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) > 12 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
			return strconv.Atoi(f[12])
		}
	}
	return 0, fmt.Errorf("nobody listens on %s", address)
}
