package rig

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/notify"
)

// told is a message with a timeline and two pieces of evidence.
const told = `{"version": 1, "key": "i/0", "service": "a", "details": "12:00  escalate  handed over\n\n=== unit\nfailed\n\n=== top\n"}`

func openPager(t *testing.T) *Pager {
	t.Helper()
	p, err := NewPager()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestPager(t *testing.T) {
	now := time.Now()
	sign := func(key, body string) string { return notify.Sign([]byte(key), now, []byte(body)) }
	for name, tc := range map[string]struct {
		body, signature, key string
		status               int
		problem              string // part of it; "" is none
	}{
		"good":        {told, sign("key", told), "i/0", 200, ""},
		"other key":   {told, sign("other", told), "i/0", 403, "does not fit"},
		"other body":  {told, sign("key", told+" "), "i/0", 403, "does not fit"},
		"unsigned":    {told, "", "i/0", 403, "not signed"},
		"no hash":     {told, "t=1", "i/0", 403, "does not fit"},
		"old":         {told, notify.Sign([]byte("key"), now.Add(-time.Hour), []byte(told)), "i/0", 403, "old"},
		"no JSON":     {"hello", sign("key", "hello"), "", 403, "read message"},
		"two names":   {told, sign("key", told), "i/1", 403, `its header "i/1"`},
		"no name":     {`{"service": "a"}`, sign("key", `{"service": "a"}`), "", 403, "has the key"},
		"name inside": {`{"service": "a"}`, sign("key", `{"service": "a"}`), "i/0", 403, "has the key"},
	} {
		t.Run(name, func(t *testing.T) {
			p := openPager(t)
			p.Secret = "key"
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+p.Addr+"/page", strings.NewReader(tc.body))
			req.Header.Set(notify.SignatureHeader, tc.signature)
			req.Header.Set(notify.KeyHeader, tc.key)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			m, err := p.Await(t.Context(), "message", func(m Page) bool { return m.Service == "a" })
			if resp.StatusCode != tc.status || len(p.Pages()) != 1 {
				t.Fatalf("answer %d, want %d; %d messages", resp.StatusCode, tc.status, len(p.Pages()))
			}
			switch {
			case tc.problem == "" && (err != nil || m.Evidence() != 2 || m.Size != len(tc.body)):
				t.Errorf("message is %+v, %v", m, err)
			case tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)):
				t.Errorf("problem is %v, want %q", err, tc.problem)
			}
		})
	}
}

func TestPagerGivesUp(t *testing.T) {
	p := openPager(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := p.Await(ctx, "message", func(Page) bool { return true }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}
