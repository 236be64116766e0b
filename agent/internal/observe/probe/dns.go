package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// recordTypes are the records that a DNS probe can ask for.
var recordTypes = map[string]dnsmessage.Type{
	"": dnsmessage.TypeA, "A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "CNAME": dnsmessage.TypeCNAME,
	"MX": dnsmessage.TypeMX, "NS": dnsmessage.TypeNS, "PTR": dnsmessage.TypePTR, "SRV": dnsmessage.TypeSRV,
	"TXT": dnsmessage.TypeTXT,
}

// strays is how many answers to other questions may come before the right one.
const strays = 5

// dnsProtocol asks one server for a name, over UDP and, when the answer is too long for that, over TCP.
type dnsProtocol struct {
	udp, tcp endpoint
	question dnsmessage.Question
	expected []string
}

func newDNS(t Target) (dnsProtocol, error) {
	kind, ok := recordTypes[t.Type]
	if !ok {
		return dnsProtocol{}, fmt.Errorf("make question: no record type %q", t.Type)
	}
	name, err := dnsmessage.NewName(strings.TrimSuffix(t.DNS, ".") + ".")
	if err != nil {
		return dnsProtocol{}, fmt.Errorf("make question: %w", err)
	}
	p := dnsProtocol{
		udp: endpoint{network: "udp", address: t.Server}, tcp: dialed(t.Server),
		question: dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET},
	}
	for _, a := range t.Answers {
		p.expected = append(p.expected, canonical(a))
	}
	if _, err := p.pack(0); err != nil {
		return dnsProtocol{}, fmt.Errorf("make question: %w", err)
	}
	return p, nil
}

// pack writes the question as it goes over the wire.
func (p dnsProtocol) pack(id uint16) ([]byte, error) {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{p.question},
	}
	return m.Pack()
}

func (p dnsProtocol) dial(ctx context.Context, deadline time.Time) (*conn, error) {
	return p.udp.open(ctx, deadline)
}

func (dnsProtocol) sound(c *conn) bool { return c.quiet() }

func (p dnsProtocol) exchange(ctx context.Context, c *conn, deadline time.Time) (answer, fate) {
	id := uint16(rand.N(1 << 16))
	question, err := p.pack(id)
	if err != nil {
		return answer{err: fmt.Errorf("make question: %w", err)}, drop
	}
	_ = c.SetDeadline(deadline) // fails only on a closed connection, and then so does Write
	if _, err := c.Write(question); err != nil {
		return answer{err: fmt.Errorf("ask: %w", err)}, lost(err)
	}
	for range strays {
		n, err := c.Read(c.scratch[:])
		if err != nil {
			return answer{err: fmt.Errorf("ask: %w", err)}, lost(err)
		}
		a, again := p.judge(c.scratch[:n], id)
		if errors.Is(again, errTruncated) {
			return p.longer(ctx, question, id, deadline), keep
		}
		if again == nil {
			return a, keep
		}
	}
	return answer{err: errors.New("read answer: too many answers to other questions")}, drop
}

// longer asks over TCP.
func (p dnsProtocol) longer(ctx context.Context, question []byte, id uint16, deadline time.Time) answer {
	c, err := p.tcp.open(ctx, deadline)
	if err != nil {
		return answer{err: err}
	}
	defer c.Close()
	_ = c.SetDeadline(deadline)
	var size [2]byte
	binary.BigEndian.PutUint16(size[:], uint16(len(question)))
	if _, err := c.Write(append(size[:], question...)); err != nil {
		return answer{err: fmt.Errorf("ask over TCP: %w", err)}
	}
	c.limit.N = 2 + 1<<16
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		return answer{err: fmt.Errorf("read answer: %w", err)}
	}
	raw := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c.in, raw); err != nil {
		return answer{err: fmt.Errorf("read answer: %w", err)}
	}
	a, err := p.judge(raw, id)
	if err != nil {
		return answer{err: fmt.Errorf("read answer: %w", err)}
	}
	return a
}

var (
	errOther     = errors.New("it is no answer to the question")
	errTruncated = errors.New("the answer was cut off")
)

// judge reads an answer. The error says that it is none: errOther or errTruncated.
func (p dnsProtocol) judge(raw []byte, id uint16) (answer, error) {
	var parser dnsmessage.Parser
	h, err := parser.Start(raw)
	if err != nil || h.ID != id || !h.Response {
		return answer{}, errOther
	}
	q, err := parser.AllQuestions()
	if err != nil || len(q) > 1 || len(q) == 1 && !p.same(q[0]) || len(q) == 0 && h.RCode == dnsmessage.RCodeSuccess {
		return answer{}, errOther
	}
	if h.Truncated {
		return answer{}, errTruncated
	}
	a := answer{answered: true, figure: float64(h.RCode)}
	if h.RCode != dnsmessage.RCodeSuccess {
		a.err = fmt.Errorf("the server says %s", strings.TrimPrefix(h.RCode.String(), "RCode"))
		return a, nil
	}
	found, err := p.answers(&parser)
	if err != nil {
		return answer{err: fmt.Errorf("read answer: %w", err)}, nil
	}
	a.err = p.missing(found)
	return a, nil
}

func (p dnsProtocol) same(q dnsmessage.Question) bool {
	return q.Type == p.question.Type && q.Class == p.question.Class &&
		strings.EqualFold(q.Name.String(), p.question.Name.String())
}

// answers are the records of the type that was asked for, as text.
func (p dnsProtocol) answers(parser *dnsmessage.Parser) ([]string, error) {
	var found []string
	for {
		h, err := parser.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Type != p.question.Type {
			if err := parser.SkipAnswer(); err != nil {
				return nil, err
			}
			continue
		}
		r, err := parser.Answer()
		if err != nil {
			return nil, err
		}
		found = append(found, canonical(record(r.Body)))
	}
}

func (p dnsProtocol) missing(found []string) error {
	if len(found) == 0 {
		return errors.New("there is no record of that type")
	}
	for _, want := range p.expected {
		if !slices.Contains(found, want) {
			return fmt.Errorf("%q is not among the %d answers, the first is %.100q", want, len(found), found[0])
		}
	}
	return nil
}

// record is a record as people write it.
func record(body dnsmessage.ResourceBody) string {
	switch r := body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(r.A).String()
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(r.AAAA).String()
	case *dnsmessage.CNAMEResource:
		return r.CNAME.String()
	case *dnsmessage.NSResource:
		return r.NS.String()
	case *dnsmessage.PTRResource:
		return r.PTR.String()
	case *dnsmessage.MXResource:
		return fmt.Sprintf("%d %s", r.Pref, r.MX)
	case *dnsmessage.SRVResource:
		return fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, r.Target)
	case *dnsmessage.TXTResource:
		return strings.Join(r.TXT, "")
	}
	return ""
}

// canonical makes the ways alike in which one answer can be written: addresses, case, a dot at the end.
func canonical(text string) string {
	if ip, err := netip.ParseAddr(text); err == nil {
		return ip.String()
	}
	return strings.ToLower(strings.TrimSuffix(text, "."))
}
