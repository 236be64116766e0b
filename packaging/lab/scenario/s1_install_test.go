//go:build lab

package scenario

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
)

// TestInstall: from bare hosts to a fleet, by the packages and the real enrolment. A fresh agent does nothing, every
// daemon is as shut in as promised, a shop that crashes is healed on every host, and certificates renew meanwhile.
func TestInstall(t *testing.T) {
	f := bare(t)
	f.installAll(release)
	f.freshAgents()
	f.shutIn()
	f.enrolAll()

	before := f.certificates()
	f.clock(18 * time.Hour) // two thirds of a day have gone, and some for those that wait longer
	for _, h := range f.web {
		f.crash(h)
		f.eventually(upTime, "the shop on "+h.Name+" serves again", f.unwell)
	}
	f.eventually(upTime, "certificates are renewed", func() string {
		for host, c := range f.certificates() {
			if c.SerialNumber.Cmp(before[host].SerialNumber) == 0 {
				return "not that of " + host
			}
		}
		return ""
	})
	if got := f.strangers(); got != "" {
		t.Errorf("after renewal: %s", got)
	}
	for _, h := range f.web {
		if n := f.watch.outagesOf(h, f.start); n != 1 {
			t.Errorf("the shop on %s was out %d times, and crashed once", h.Name, n)
		}
		f.eventually(upTime, h.Name+" tells how it healed", func() string {
			story, err := f.salveOn(h, "agent", "explain", "last")
			if err != nil || !strings.Contains(story, "verified") {
				return fmt.Sprint(err, story)
			}
			return ""
		})
	}
}

// freshAgents: an agent that was just installed watches, may do nothing, and says what to do next.
func (f *fleet) freshAgents() {
	f.t.Helper()
	f.each(f.web, func(ctx context.Context, h *booted.Host) error {
		status, err := f.salveOn(h, "agent", "status")
		if err != nil {
			return err
		}
		for _, want := range []string{"observe", "allow"} {
			if !strings.Contains(status, want) {
				return fmt.Errorf("%s: a fresh agent's status does not say %q:\n%s", h.Name, want, status)
			}
		}
		_, err = h.Exec(ctx, "dpkg", "--verify", "salve-agent", "salve")
		return err
	})
}

// shutIn: the units are as exposed as the documents say, and no more.
func (f *fleet) shutIn() {
	f.t.Helper()
	for _, u := range []struct {
		host *booted.Host
		unit string
		most float64
	}{
		{f.web[0], "salve-agent.service", 1.8},
		{f.ctl[0], "salve-controller.service", 1.2},
		{f.web[0], "salve-agent-polkit.service", 1.2},
		{f.web[0], "salve-agent-helper.service", 1.2},
	} {
		out := f.sh(u.host, "systemd-analyze --no-pager security "+u.unit+" | tail -n 1")
		_, rest, _ := strings.Cut(out, ": ")
		figure, _, _ := strings.Cut(rest, " ")
		got, err := strconv.ParseFloat(figure, 64)
		if err != nil || got > u.most {
			f.t.Errorf("%s may be %.1f at most: %s", u.unit, u.most, out)
		}
		f.t.Log(strings.TrimSpace(out))
	}
}

// certificates are those of the hosts.
func (f *fleet) certificates() map[string]*x509.Certificate {
	f.t.Helper()
	out := map[string]*x509.Certificate{}
	for _, h := range f.web {
		src, err := h.Read(booted.State + "/agent/identity.pem")
		if err != nil {
			f.t.Fatal(err)
		}
		for block, rest := pem.Decode([]byte(src)); block != nil && out[h.Name] == nil; block, rest = pem.Decode(rest) {
			if c, err := x509.ParseCertificate(block.Bytes); err == nil && !c.IsCA {
				out[h.Name] = c
			}
		}
		if out[h.Name] == nil {
			f.t.Fatalf("%s has no certificate", h.Name)
		}
	}
	return out
}
