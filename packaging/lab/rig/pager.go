package rig

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/pkg/notify"
)

// Pager is the person at the other end: it takes webhook messages, and checks that they come
// from someone who has the key.
type Pager struct {
	Addr   string           // host:port; any path
	Secret string           // what signs the messages
	Now    func() time.Time // of the senders' wall clocks; messages may not be older

	server *http.Server

	mu    sync.Mutex
	pages []Page
	news  chan struct{} // closed and replaced whenever a message came
}

// Page is one message that came.
type Page struct {
	notify.Payload
	Size    int   // of the body
	Problem error // why it is not to be believed, nil if it is
}

// Evidence is how many pieces of evidence it carries.
func (p Page) Evidence() int { return strings.Count(p.Details, "\n=== ") }

// NewPager opens a pager on loopback with a secret of its own.
func NewPager() (*Pager, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return NewPagerOn(l), nil
}

// NewPagerOn opens a pager at a listener, which it closes.
func NewPagerOn(l net.Listener) *Pager {
	p := &Pager{Addr: l.Addr().String(), Secret: rand.Text(), Now: time.Now, news: make(chan struct{})}
	p.server = &http.Server{Handler: http.HandlerFunc(p.take), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = p.server.Serve(l) }() // ends with Close
	return p
}

// Close takes no more messages.
func (p *Pager) Close() error { return p.server.Close() }

func (p *Pager) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	page := p.read(r.Header, body, p.Now())
	p.mu.Lock()
	p.pages = append(p.pages, page)
	close(p.news)
	p.news = make(chan struct{})
	p.mu.Unlock()
	if page.Problem != nil {
		http.Error(w, page.Problem.Error(), http.StatusForbidden)
	}
}

// read does what any receiver should: it checks the signature and its age, and only then believes the body.
func (p *Pager) read(h http.Header, body []byte, now time.Time) Page {
	page := Page{Size: len(body)}
	if page.Problem = p.verify(h.Get(notify.SignatureHeader), body, now); page.Problem != nil {
		return page
	}
	err := json.Unmarshal(body, &page.Payload)
	switch key := h.Get(notify.KeyHeader); {
	case err != nil:
		page.Problem = fmt.Errorf("read message: %w", err)
	case key != page.Key || key == "":
		page.Problem = fmt.Errorf("the message has the key %q and its header %q", page.Key, key)
	}
	return page
}

// oldest is how long after its making a signed message is taken.
const oldest = 5 * time.Minute

// verify takes "t=UNIX,v1=HEX", where HEX is the HMAC-SHA256 of UNIX, a dot, and the body.
func (p *Pager) verify(signature string, body []byte, now time.Time) error {
	stamp, rest, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("the message is not signed: %q", signature)
	}
	mac := hmac.New(sha256.New, []byte(p.Secret))
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

// Pages are the messages that came, oldest first.
func (p *Pager) Pages() []Page {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.pages)
}

// Await waits for the first message that pleases ok. One that is not to be believed ends the wait, too.
func (p *Pager) Await(ctx context.Context, what string, ok func(Page) bool) (Page, error) {
	for {
		p.mu.Lock()
		i := slices.IndexFunc(p.pages, func(page Page) bool { return page.Problem != nil || ok(page) })
		if i >= 0 {
			defer p.mu.Unlock()
			return p.pages[i], p.pages[i].Problem
		}
		news := p.news
		p.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return Page{}, fmt.Errorf("no %s came to the webhook: %w", what, ctx.Err())
		}
	}
}
