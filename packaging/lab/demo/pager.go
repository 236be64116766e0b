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
	"sync"
	"time"
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
	m := p.read(r.Header.Get("Salve-Signature"), body)
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

// read checks the signature and that the message holds what a person needs.
func (p *pager) read(signature string, body []byte) message {
	m := message{size: len(body)}
	mac := hmac.New(sha256.New, p.key)
	mac.Write(body)
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); !hmac.Equal([]byte(want), []byte(signature)) {
		m.problem = fmt.Errorf("signature %q does not fit", signature)
		return m
	}
	var told struct {
		Incident struct {
			Service  string
			Evidence []json.RawMessage
			Timeline []json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &told); err != nil {
		m.problem = fmt.Errorf("read message: %w", err)
		return m
	}
	m.service, m.evidence = told.Incident.Service, len(told.Incident.Evidence)
	if m.evidence == 0 || len(told.Incident.Timeline) == 0 {
		m.problem = errors.New("the message comes without evidence or timeline")
	}
	return m
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
