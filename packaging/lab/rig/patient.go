package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/require"
)

// pidHeader is where the lab service says which process answers.
const pidHeader = "Service-Pid"

// Patient is one lab service that runs as a unit.
type Patient struct {
	Name string // service name; the unit is NAME.service
	Addr string // host:port that it answers on
	http *http.Client
}

// NewPatient describes a patient; nothing is started.
func NewPatient(name, addr string) *Patient {
	// A new connection for each question: a kept one would die with the old process and cost a retry.
	return &Patient{Name: name, Addr: addr, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// Through makes the patient be asked over connections that dial makes.
func (p *Patient) Through(dial func(ctx context.Context, network, address string) (net.Conn, error)) *Patient {
	p.http.Transport.(*http.Transport).DialContext = dial
	return p
}

// Unit is the name of the patient's unit.
func (p *Patient) Unit() string { return p.Name + ".service" }

// URL is where path is answered.
func (p *Patient) URL(path string) string { return "http://" + p.Addr + path }

// Answer is what a patient said.
type Answer struct {
	Status int
	PID    int // the process that answered
	Body   string
}

// Get asks for a path.
func (p *Patient) Get(ctx context.Context, path string) (Answer, error) {
	return p.ask(ctx, http.MethodGet, path)
}

// Fault switches a fault, as "leak?mib=64"; see the service's list of them.
func (p *Patient) Fault(ctx context.Context, fault string) error {
	a, err := p.ask(ctx, http.MethodPost, "/fault/"+fault)
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("fault %s of %s: %s", fault, p.Name, strings.TrimSpace(a.Body))
	}
	return err
}

func (p *Patient) ask(ctx context.Context, method, path string) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.URL(path), nil)
	if err != nil {
		return Answer{}, err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return Answer{}, err
	}
	pid, err := strconv.Atoi(resp.Header.Get(pidHeader))
	if err != nil || pid <= 1 {
		return Answer{}, fmt.Errorf("%s answered without its process ID: is it the lab service?", p.Addr)
	}
	return Answer{Status: resp.StatusCode, PID: pid, Body: string(body)}, nil
}

const (
	askEvery   = time.Millisecond
	askTimeout = 50 * time.Millisecond
)

// Await asks /healthz every millisecond until an answer is 200 and pleases ok, and returns it. A
// question that a hung process does not answer is given up after 50 ms; its end resets the
// connection at once, so that this does not blunt the measurement.
func (p *Patient) Await(ctx context.Context, ok func(Answer) bool) (Answer, error) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		one, cancel := context.WithTimeout(ctx, askTimeout)
		a, err := p.Get(one, "/healthz")
		cancel()
		if err == nil && a.Status == http.StatusOK && ok(a) {
			return a, nil
		}
		if err == nil {
			err = fmt.Errorf("status %d from process %d", a.Status, a.PID)
		}
		select {
		case <-ctx.Done():
			return Answer{}, fmt.Errorf("%s does not answer as it must: %w", p.Name, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// AwaitNew waits for a 200 of another process than old.
func (p *Patient) AwaitNew(ctx context.Context, old int) (Answer, error) {
	return p.Await(ctx, func(a Answer) bool { return a.PID != old })
}

// AwaitAny waits for a 200 of any process.
func (p *Patient) AwaitAny(ctx context.Context) (Answer, error) {
	return p.Await(ctx, func(Answer) bool { return true })
}

const (
	lowPort, highPort = 20000, 32000
	portBlock         = 128 // processes with neighbouring IDs begin to search so far apart
)

// FreePorts finds n loopback ports that nobody has, and holds them for as long as this process runs: see require.Hold.
// They lie below the range from which the kernel takes the source ports of outgoing connections, and processes begin to
// search at different places, for programs that hold nothing.
func FreePorts(n int) ([]string, error) {
	first := os.Getpid() * portBlock % (highPort - lowPort)
	var found []string
	var held []func()
	for i := 0; i < highPort-lowPort && len(found) < n; i++ {
		port := lowPort + (first+i)%(highPort-lowPort)
		addr, release, err := require.Hold(port)
		if err != nil {
			continue
		}
		found, held = append(found, addr), append(held, release)
	}
	if len(found) < n {
		for _, release := range held {
			release()
		}
		return nil, fmt.Errorf("only %d of %d loopback ports are free from %d to %d", len(found), n, lowPort, highPort)
	}
	return found, nil
}
