package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/pkg/notify"
)

// pager is the person at the other end: it takes the agent's webhook messages on loopback, and checks
// that they come from someone who has the key.
type pager struct {
	addr   string
	key    []byte
	server *http.Server
	mail   chan struct{} // a token whenever a message came

	mu       sync.Mutex
	messages []message
}

// message is what came.
type message struct {
	service  string
	size     int
	evidence int // pieces
	problem  error
}

func (m message) check() error { return m.problem }

func newPager(key string) (*pager, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &pager{addr: l.Addr().String(), key: []byte(key), mail: make(chan struct{}, 1)}
	p.server = &http.Server{Handler: http.HandlerFunc(p.take), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = p.server.Serve(l) }() // ends with close
	return p, nil
}

func (p *pager) close() error { return p.server.Close() }

func (p *pager) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m := p.read(r.Header.Get(notify.SignatureHeader), body, time.Now())
	p.mu.Lock()
	p.messages = append(p.messages, m)
	p.mu.Unlock()
	select {
	case p.mail <- struct{}{}:
	default:
	}
	if m.problem != nil {
		http.Error(w, m.problem.Error(), http.StatusForbidden)
	}
}

// read does what any receiver should: it checks the signature and its age, and only then believes the
// body. It also wants in it what a person needs: the timeline and the evidence.
func (p *pager) read(signature string, body []byte, now time.Time) message {
	m := message{size: len(body)}
	if m.problem = p.verify(signature, body, now); m.problem != nil {
		return m
	}
	var told notify.Payload
	if err := json.Unmarshal(body, &told); err != nil {
		m.problem = fmt.Errorf("read message: %w", err)
		return m
	}
	m.service, m.evidence = told.Service, strings.Count(told.Details, "\n=== ")
	if m.evidence == 0 || !strings.Contains(told.Details, "  escalate  ") {
		m.problem = errors.New("the message comes without evidence or without timeline")
	}
	return m
}

// oldest is how long after its making a signed message is taken.
const oldest = 5 * time.Minute

// verify takes "t=UNIX,v1=HEX", where HEX is the HMAC-SHA256 of UNIX, a dot, and the body.
func (p *pager) verify(signature string, body []byte, now time.Time) error {
	stamp, rest, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("the message is not signed: %q", signature)
	}
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	got, err := hex.DecodeString(strings.TrimPrefix(rest, "v1="))
	if err != nil || !hmac.Equal(mac.Sum(nil), got) {
		return errors.New("the signature does not fit: it was made with another key, or for another message")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age.Abs() > oldest {
		return fmt.Errorf("the signature is %v old", age)
	}
	return nil
}

// await waits for the first message about a service, or one that is not right.
func (p *pager) await(ctx context.Context, service string) (message, error) {
	for {
		p.mu.Lock()
		for _, m := range p.messages {
			if m.service == service || m.problem != nil {
				p.mu.Unlock()
				return m, nil
			}
		}
		p.mu.Unlock()
		select {
		case <-p.mail:
		case <-ctx.Done():
			return message{}, fmt.Errorf("no message about %s came to the webhook: %w", service, ctx.Err())
		}
	}
}
