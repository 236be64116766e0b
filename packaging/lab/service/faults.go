package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// maxLeak bounds what a leak may take, so that a forgotten one cannot hurt the machine.
const maxLeak = 512 << 20

// faults is what is wrong with the service at the moment; all of it can be switched by HTTP:
//
//	POST /fault/exit?code=1               ends the process
//	POST /fault/hang                      every other request waits until /fault/none
//	POST /fault/leak?mib=64&rate=16       takes 64 MiB at 16 MiB/s (rate 0: at once, before the answer)
//	POST /fault/errors?ratio=0.5          half of the work fails
//	POST /fault/slow?delay=300ms          every answer comes late
//	POST /fault/burn?cpus=1               keeps that many CPUs busy
//	POST /fault/none                      ends hang, errors, slow and burn; what leaked stays
type faults struct {
	mu    sync.Mutex
	ratio float64
	late  time.Duration
	hung  chan struct{} // nil: not hung; closed by /fault/none
	burn  chan struct{} // nil: not burning; closed by /fault/none
	hoard [][]byte
	taken atomic.Int64
}

func newFaults() *faults { return &faults{} }

// ServeHTTP switches one fault; the path is its name.
func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f.set(r.URL.Path, r.URL.Query()); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (f *faults) set(name string, q url.Values) error {
	switch name {
	case "exit":
		code, err := number(q, "code", 1)
		if err == nil {
			os.Exit(int(code))
		}
		return err
	case "hang":
		f.hang()
		return nil
	case "leak":
		return f.leak(q)
	case "errors":
		ratio, err := number(q, "ratio", 0.5)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ratio = ratio
		return err
	case "slow":
		late, err := time.ParseDuration(q.Get("delay"))
		f.mu.Lock()
		defer f.mu.Unlock()
		f.late = late
		return err
	case "burn":
		cpus, err := number(q, "cpus", 1)
		f.burnCPU(int(cpus))
		return err
	case "none":
		f.none()
		return nil
	}
	return fmt.Errorf("no fault %q", name)
}

// number reads a query parameter that must not be negative; def stands for a missing one.
func number(q url.Values, name string, def float64) (float64, error) {
	text := q.Get(name)
	if text == "" {
		return def, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0) {
		return 0, fmt.Errorf("%s: want a number that is not negative, not %q", name, text)
	}
	return v, nil
}

func (f *faults) hang() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hung == nil {
		f.hung = make(chan struct{})
	}
}

func (f *faults) none() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ratio, f.late = 0, 0
	if f.hung != nil {
		close(f.hung)
		f.hung = nil
	}
	if f.burn != nil {
		close(f.burn)
		f.burn = nil
	}
}

// delay makes a request wait as the faults hang and slow say.
func (f *faults) delay(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		hung, late := f.hung, f.late
		f.mu.Unlock()
		if hung != nil {
			select {
			case <-hung:
			case <-r.Context().Done():
				return
			}
		}
		if late > 0 {
			time.Sleep(late)
		}
		next.ServeHTTP(w, r)
	})
}

var errFault = errors.New("failed on purpose")

// fail is errFault for the share of calls that the fault errors says.
func (f *faults) fail() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rand.Float64() < f.ratio {
		return errFault
	}
	return nil
}

// leak takes memory and touches it, so that it is resident.
func (f *faults) leak(q url.Values) error {
	mib, err := number(q, "mib", 64)
	if err != nil {
		return err
	}
	rate, err := number(q, "rate", 0)
	if err != nil {
		return err
	}
	if rate == 0 {
		f.take(int(mib))
		return nil
	}
	go func() {
		tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer tick.Stop()
		for range int(mib) {
			<-tick.C
			f.take(1)
		}
	}()
	return nil
}

func (f *faults) take(mib int) {
	n := min(int64(mib)<<20, maxLeak-f.taken.Load())
	if n <= 0 {
		return
	}
	block := make([]byte, n)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hoard = append(f.hoard, block)
	f.taken.Add(n)
}

func (f *faults) leaked() int64 { return f.taken.Load() }

func (f *faults) burnCPU(cpus int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.burn != nil {
		return
	}
	stop := make(chan struct{})
	f.burn = stop
	for range cpus {
		go func() {
			for {
				select {
				case <-stop:
					return
				default: // on and on: CPU is to be burnt
					continue
				}
			}
		}()
	}
}
