package probe

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/salveops/salve/agent/agenttest"
)

func TestRealDNS(t *testing.T) {
	options := []string{
		"--local=/test/", "--host-record=shop.test,192.0.2.7,2001:db8::7", "--cname=www.test,shop.test",
		"--mx-host=test,mail.test,10", "--txt-record=txt.test,v=1,two", "--srv-host=_sip._tcp.test,sip.test,5060,1,2",
		"--ptr-record=7.2.0.192.in-addr.arpa,shop.test",
	}
	for i := range 60 { // too many for 512 bytes
		options = append(options, fmt.Sprintf("--host-record=many.test,192.0.2.%d", 100+i))
	}
	server := agenttest.DNS(t, options...)
	for _, tt := range []struct {
		target Target
		rcode  float64
		err    string // "": good
	}{
		{Target{DNS: "shop.test"}, 0, ""},
		{Target{DNS: "Shop.Test."}, 0, ""},
		{Target{DNS: "shop.test", Answers: []string{"192.0.2.7"}}, 0, ""},
		{Target{DNS: "shop.test", Answers: []string{"192.0.2.8"}}, 0,
			`"192.0.2.8" is not among the 1 answers, the first is "192.0.2.7"`},
		{Target{DNS: "www.test", Answers: []string{"192.0.2.7"}}, 0, ""},
		{Target{DNS: "www.test", Type: "CNAME", Answers: []string{"shop.test."}}, 0, ""},
		{Target{DNS: "shop.test", Type: "AAAA", Answers: []string{"2001:DB8:0::7"}}, 0, ""},
		{Target{DNS: "test", Type: "MX", Answers: []string{"10 mail.test"}}, 0, ""},
		{Target{DNS: "txt.test", Type: "TXT", Answers: []string{"v=1two"}}, 0, ""},
		{Target{DNS: "_sip._tcp.test", Type: "SRV", Answers: []string{"1 2 5060 sip.test"}}, 0, ""},
		{Target{DNS: "7.2.0.192.in-addr.arpa", Type: "PTR", Answers: []string{"SHOP.test"}}, 0, ""},
		{Target{DNS: "shop.test", Type: "MX"}, 0, "no record of that type"},
		{Target{DNS: "none.test"}, 3, "NameError"},
		{Target{DNS: "elsewhere.example"}, 5, "Refused"},
		{Target{DNS: "many.test", Answers: []string{"192.0.2.100", "192.0.2.159"}}, 0, ""},
	} {
		tt.target.Server, tt.target.Timeout = server, 5*time.Second
		a := newAsked(t, tt.target)
		for range 2 {
			got := a.ask(false)
			if !got.answered || got.figure != tt.rcode || (got.err == nil) != (tt.err == "") ||
				got.err != nil && !strings.Contains(got.err.Error(), tt.err) {
				t.Errorf("%s %s: %+v, want %q", tt.target.Type, tt.target.DNS, got, tt.err)
			}
			if a.idle == nil {
				t.Errorf("%s: the socket is not kept", tt.target.DNS)
			}
		}
	}
}

func TestDNSWithoutServer(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := newAsked(t, Target{DNS: "shop.test", Server: l.LocalAddr().String(), Timeout: 50 * time.Millisecond})
	if got := a.ask(false); !timedOut(got.err) || a.idle != nil {
		t.Errorf("a server that says nothing: %+v", got)
	}
	_ = l.Close()
	a.timeout = 5 * time.Second
	if got := a.ask(false); got.err == nil || timedOut(got.err) {
		t.Errorf("no server: %+v", got)
	}
}

// answered is what a server says to the question.
func answered(t testing.TB, p dnsProtocol, id uint16, change func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header: dnsmessage.Header{ID: id, Response: true}, Questions: []dnsmessage.Question{p.question},
		Answers: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: p.question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}},
		}},
	}
	change(&m)
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// An answer counts only if it belongs to the question.
func TestDNSStrays(t *testing.T) {
	p, err := newDNS(Target{DNS: "shop.test", Server: "127.0.0.1:53"})
	if err != nil {
		t.Fatal(err)
	}
	other := dnsmessage.MustNewName("other.test.")
	for name, change := range map[string]func(*dnsmessage.Message){
		"another number":   func(m *dnsmessage.Message) { m.ID++ },
		"a question":       func(m *dnsmessage.Message) { m.Response = false },
		"another name":     func(m *dnsmessage.Message) { m.Questions[0].Name = other },
		"another type":     func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeMX },
		"another class":    func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS },
		"without question": func(m *dnsmessage.Message) { m.Questions = nil },
		"two questions":    func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) },
	} {
		if got, err := p.judge(answered(t, p, 7, change), 7); err != errOther {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := p.judge(answered(t, p, 7, func(m *dnsmessage.Message) { m.Truncated = true }), 7); err != errTruncated {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := p.judge(answered(t, p, 7, func(*dnsmessage.Message) {}), 7); err != nil || got.err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// A server that sends strays first is still heard, and one that sends nothing else is given up.
func TestDNSStraysOnTheWire(t *testing.T) {
	for _, n := range []int{strays - 1, strays} {
		l, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		a := newAsked(t, Target{DNS: "shop.test", Server: l.LocalAddr().String(), Timeout: 5 * time.Second})
		go func() {
			b := make([]byte, 512)
			m, from, err := l.ReadFrom(b)
			if err != nil {
				return
			}
			for range n {
				_, _ = l.WriteTo([]byte("stray"), from)
			}
			var q dnsmessage.Message
			if q.Unpack(b[:m]) == nil {
				q.Response = true
				q.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{},
				}}
				raw, _ := q.Pack()
				_, _ = l.WriteTo(raw, from)
			}
		}()
		if got := a.ask(false); (got.err == nil) != (n < strays) {
			t.Errorf("%d strays: %+v", n, got)
		}
	}
}

func TestDNSWrongTargets(t *testing.T) {
	for _, target := range []Target{
		{DNS: strings.Repeat("x", 300)}, {DNS: strings.Repeat("x", 64) + ".test"}, {DNS: "a..test"}, {DNS: "a.test", Type: "ANY"},
	} {
		if _, err := newDNS(target); err == nil {
			t.Errorf("%+v is taken", target)
		}
	}
}

func FuzzDNSAnswer(f *testing.F) {
	p, err := newDNS(Target{DNS: "shop.test", Server: "127.0.0.1:53", Answers: []string{"192.0.2.7"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(answered(f, p, 7, func(*dnsmessage.Message) {}))
	f.Add(answered(f, p, 7, func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError }))
	f.Add(answered(f, p, 7, func(m *dnsmessage.Message) { m.Answers = nil }))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := p.judge(raw, 7)
		if err == nil && got.err == nil && (!got.answered || got.figure != 0) || err != nil && got != (answer{}) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
