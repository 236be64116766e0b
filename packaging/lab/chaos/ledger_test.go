package chaos

import (
	"slices"
	"strings"
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

// page makes audit records of lines "BY WHAT TEXT", as a controller would.
func page(lines ...string) []*logpb.AuditRecord {
	var out []*logpb.AuditRecord
	var before []byte
	for i, line := range lines {
		f := strings.SplitN(line, " ", 3)
		r := &logpb.AuditRecord{N: uint64(i + 1), At: int64(i), Index: uint64(2 * i), By: f[0], What: f[1], Text: f[2],
			Previous: before}
		r.Hash = chain(r)
		before = r.Hash
		out = append(out, r)
	}
	return out
}

func newLedger() *Ledger {
	return NewLedger(Limits{Cap: 2, Fleet: 3}, func(rule string) string { return strings.Split(rule, "-")[0] })
}

func TestLedger(t *testing.T) {
	const first = "controller generation generation 0a begins: first start"
	for name, tc := range map[string]struct {
		lines []string
		wrong string // "": nothing
	}{
		"two at once, then a third": {[]string{first,
			"h1 grant permit 1@0a: restart for shop-hangs on h1", "h2 grant permit 2@0a: restart for shop-hangs on h2",
			"h1 settle permit 1@0a: serving", "h3 grant permit 3@0a: start for shop-down on h3"}, ""},
		"three at once": {[]string{first,
			"h1 grant permit 1@0a: restart for shop-hangs on h1", "h2 grant permit 2@0a: restart for shop-hangs on h2",
			"h3 grant permit 3@0a: start for shop-down on h3"}, "3 hosts of shop are acting, and 2 may be"},
		"unknown goes on counting": {[]string{
			"h1 grant permit 1@0a: restart for shop-hangs on h1", "h2 grant permit 2@0a: restart for shop-hangs on h2",
			"h1 settle permit 1@0a: unknown; it counts until nothing of it runs and the host serves",
			"h3 grant permit 3@0a: start for shop-down on h3"}, "3 hosts of shop"},
		"cleared does not": {[]string{
			"h1 grant permit 1@0a: restart for shop-hangs on h1", "h2 grant permit 2@0a: restart for shop-hangs on h2",
			"h1 settle permit 1@0a: unknown; it counts", "h1 settle permit 1@0a: cleared",
			"h3 grant permit 3@0a: start for shop-down on h3"}, ""},
		"the fleet": {[]string{
			"h1 grant permit 1@0a: restart for shop-hangs on h1", "h2 grant permit 2@0a: restart for shop-hangs on h2",
			"h3 grant permit 3@0a: restart for cart-hangs on h3", "h1 grant permit 4@0a: restart for cart-hangs on h1",
		}, ""},
		"too many of the fleet": {[]string{
			"h1 grant permit 1@0a: restart for shop-hangs on h1", "h2 grant permit 2@0a: restart for shop-hangs on h2",
			"h3 grant permit 3@0a: restart for cart-hangs on h3", "h4 grant permit 4@0a: restart for cart-hangs on h4",
		}, "4 hosts are acting, and 3 may be"},
		"twice for one place": {[]string{
			"h1 grant permit 1@0a: restart for shop-hangs on h1", "h1 grant permit 2@0a: start for shop-down on h1",
		}, "shop on h1, which permit 1@0a had"},
		"a token again": {[]string{
			"h1 grant permit 2@0a: restart for shop-hangs on h1", "h1 settle permit 2@0a: unused",
			"h2 grant permit 2@0a: restart for shop-hangs on h2"}, "tokens must rise"},
		"settled twice": {[]string{
			"h1 grant permit 1@0a: restart for shop-hangs on h1", "h1 settle permit 1@0a: failed",
			"h1 settle permit 1@0a: failed"}, "does not hold"},
		"settled by another": {[]string{
			"h1 grant permit 1@0a: restart for shop-hangs on h1", "h2 settle permit 1@0a: failed"}, "does not hold"},
		"by force": {[]string{
			"h1 grant permit 1@0a: restart for shop-hangs on h1", "me settle permit 1@0a by force: I am sure",
		}, "no settlement by a host"},
		"a new generation": {[]string{first,
			"controller generation generation 0b begins, everything is paused: why"}, "a new generation"},
		"a clone": {[]string{"controller quarantine host h1: another machine"}, "quarantine by controller"},
		"a person": {[]string{first, "me acknowledge incident 01234567: has it", "controller breaker it opens",
			"controller halt it failed"}, ""},
		"paused": {[]string{first,
			"me pause pause-1: service:shop for 5s: why", "h1 grant permit 1@0a: start for shop-down on h1",
		}, "shop on h1, which was paused (pause-1)"},
		"another is paused": {[]string{
			"me pause pause-1: service:shop for 5s: why", "h1 grant permit 1@0a: start for cart-down on h1"}, ""},
		"paused no more": {[]string{
			"me pause pause-1: service:shop for 5s: why",
			"me pause pause-2: service:shop for 5s: why",
			"controller resume pause-1 has ended: service:shop", "me resume pause-2: service:shop",
			"me resume service:shop: what failed on two hosts in a row may be tried again",
			"h1 grant permit 1@0a: start for shop-down on h1"}, ""},
		"not a grant": {[]string{"h1 grant permit: what"}, "is no grant"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			l.Take(page(tc.lines...))
			got := strings.Join(l.Wrong(), "\n")
			if (got == "") != (tc.wrong == "") || !strings.Contains(got, tc.wrong) {
				t.Errorf("wrong is %q, want %q", got, tc.wrong)
			}
		})
	}
}

// What was read once must be there again, in whatever pieces it comes.
func TestLedgerIsOneHistory(t *testing.T) {
	lines := []string{"h1 grant permit 1@0a: restart for shop-hangs on h1", "h1 settle permit 1@0a: serving",
		"h2 grant permit 2@0a: restart for shop-hangs on h2"}
	other := []string{lines[0], "h1 settle permit 1@0a: failed", lines[2]}
	changed := page(lines...)
	changed[1].Text = "permit 1@0a: failed"
	for name, tc := range map[string]struct {
		then  []*logpb.AuditRecord
		wrong string
	}{
		"as it was":     {page(lines...)[1:], ""},
		"nothing new":   {page(lines...)[1:2], ""},
		"gone":          {nil, "is not what it was"},
		"another one":   {page(other...)[1:], "is not what it was"},
		"with a gap":    {append(page(lines...)[1:2], page(append(lines, "me change x")...)[3]), "does not follow"},
		"without proof": {append(page(lines...)[1:2], changed[1]), "does not follow"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			l.Take(page(lines...)[:2])
			if l.After() != 1 || len(l.Wrong()) > 0 {
				t.Fatalf("after the first page: %d, %v", l.After(), l.Wrong())
			}
			l.Take(tc.then)
			got := strings.Join(l.Wrong(), "\n")
			if (got == "") != (tc.wrong == "") || !strings.Contains(got, tc.wrong) {
				t.Errorf("wrong is %q, want %q", got, tc.wrong)
			}
		})
	}
}

// A backup that is restored takes history back to where it was made, and to nowhere else.
func TestLedgerGoesBack(t *testing.T) {
	before := []string{"controller generation generation 0a begins: first start",
		"h1 grant permit 1@0a: restart for shop-hangs on h1", "h1 settle permit 1@0a: serving"}
	before = slices.Clip(before)
	since := append(before, "h2 grant permit 2@0a: restart for shop-hangs on h2")
	after := []string{"controller generation generation 0b begins, everything is paused: restored",
		"h3 grant permit 2@0b: restart for shop-hangs on h3"}
	other := append(slices.Clip(before[:2]), "h1 settle permit 1@0a: failed")
	running, ended := "h2 running h2 still runs restart under a permit of another time", "h2 settle permit 2@0a: serving"
	for name, tc := range map[string]struct {
		history []string
		expect  []string
		wrong   string
	}{
		"as it was":      {append(before, after...), []string{"generation"}, ""},
		"by nobody":      {append(before, after...), nil, "a new generation"},
		"another backup": {append(other, after...), []string{"generation"}, "is not what it was"},
		"what still runs": {append(append(before, after[0], running, ended), after[1]),
			[]string{"generation", "running"}, ""},
		"runs by itself":   {append(append(before, after...), running), []string{"generation"}, "running by h2"},
		"and is forgotten": {append(append(before, after...), ended), []string{"generation"}, "does not hold"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			l.Take(page(before...))
			restored := l.Backup()
			l.Take(page(since...)[2:])
			restored()
			l.Expect(tc.expect...)
			l.Take(page(tc.history...)[2:])
			if got := strings.Join(l.Wrong(), "\n"); (got == "") != (tc.wrong == "") || !strings.Contains(got, tc.wrong) {
				t.Errorf("wrong is %q, want %q", got, tc.wrong)
			}
			if got := strings.Join(l.Open(), " "); tc.wrong == "" && got != "2@0b" {
				t.Errorf("open are %s", got)
			}
		})
	}
}

// What is expected once is wrong again afterwards.
func TestLedgerUnexpects(t *testing.T) {
	lines := []string{"controller quarantine host h1: another machine", "controller quarantine host h2: another machine"}
	l := newLedger()
	l.Expect("quarantine")
	l.Take(page(lines...)[:1])
	l.Unexpect()
	l.Take(page(lines...))
	if got := strings.Join(l.Wrong(), "\n"); !strings.Contains(got, "host h2") || strings.Contains(got, "host h1") {
		t.Errorf("wrong is %q", got)
	}
}

func TestLedgerRemembers(t *testing.T) {
	l := newLedger()
	l.Take(page("h1 grant permit 1@0a: restart for shop-hangs on h1", "h2 grant permit 2@0a: start for cart-down on h2",
		"h1 settle permit 1@0a: serving", "h1 grant permit 3@0a: start for shop-down on h1",
		"h3 grant permit 4@0a: restart for shop-hangs on h3", "h3 settle permit 4@0a: unused"))
	shop, cart := Place{"shop", "h1"}, Place{"cart", "h2"}
	if !l.Holds(shop) || !l.Holds(cart) || l.Holds(Place{"shop", "h2"}) {
		t.Error("it does not know who holds a permit")
	}
	if l.Granted(shop) != 2 || l.Granted(cart) != 1 || l.Granted(Place{"shop", "h3"}) != 0 || l.Grants() != 4 ||
		l.Settled()["serving"] != 1 {
		t.Errorf("it counts %v, %d, %v", l.granted, l.Grants(), l.Settled())
	}
	if got := strings.Join(l.Open(), " "); got != "2@0a 3@0a" {
		t.Errorf("open are %s", got)
	}
}
