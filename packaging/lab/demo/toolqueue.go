package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// worker is a template whose instances take jobs over a connection each, no more than about twenty a second.
const worker = unitPrefix + "worker@.service"

const takeJobs = `exec 3<>/dev/tcp/${0/:/\/}; while echo take >&3 && read -r -u 3; do sleep 0.05; done`

// jobEvery is how often one comes while there is much to do: too often for one worker.
const jobEvery = 33 * time.Millisecond

func instance(n int) string { return strings.Replace(worker, "@", fmt.Sprintf("@%d", n), 1) }

// openQueue hands jobs out, and starts the first worker.
func (s *toolbox) openQueue(context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.onClose(l.Close)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // it is closed
			}
			go s.app.handOut(c)
		}
	}()
	u := rig.Unit{Description: "Salve demo: worker %i", Exec: []string{"/bin/bash", "-c", takeJobs, l.Addr().String()}}
	if err := s.manager.WriteUnit(worker, u.String()); err != nil {
		return err
	}
	s.onClose(func() error {
		if s.manager.Private {
			return nil // they end with it
		}
		_, err := s.manager.Systemctl("stop", strings.Replace(worker, "@", "@*", 1))
		return err
	})
	_, err = s.manager.Systemctl("start", instance(1))
	return err
}

// handOut gives a worker a job for each line that it says, if there is one.
func (a *app) handOut(c net.Conn) {
	defer c.Close()
	for asked := bufio.NewScanner(c); asked.Scan(); {
		if n := a.jobs.Load(); n > 0 && a.jobs.CompareAndSwap(n, n-1) {
			fmt.Fprintln(c, "job")
		} else {
			fmt.Fprintln(c, "none")
		}
	}
}

func (s *toolbox) longQueue() tool {
	return tool{tell: "more jobs come than one worker does", trial: trial{
		title: "a long queue", service: queue, want: healedBy("more-workers"),
		inflict: func(context.Context) error {
			s.keep(jobEvery, func(context.Context) { s.app.jobs.Add(1) })
			return nil
		},
		check: func(context.Context) (string, error) {
			for n := 1; n <= 3; n++ {
				if state, err := s.manager.Property(instance(n), "ActiveState"); err != nil || state != "active" {
					return "", fmt.Errorf("worker %d is %s, %w", n, state, err)
				}
			}
			waiting := s.app.jobs.Load()
			if waiting > 40 {
				return "", fmt.Errorf("%d jobs wait", waiting)
			}
			return fmt.Sprintf("1 → 3 workers run, as many jobs come, and %d wait", waiting), nil
		},
	}}
}
