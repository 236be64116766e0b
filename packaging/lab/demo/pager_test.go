package main

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
const told = `{"version": 1, "service": "a", "details": "12:00  escalate  handed over\n\n=== unit\nfailed\n\n=== top\n"}`

func TestPager(t *testing.T) {
	now := time.Now()
	sign := func(key, body string) string { return notify.Sign([]byte(key), now, []byte(body)) }
	for name, tc := range map[string]struct {
		body, signature string
		status          int
		problem         string // part of it; "" is none
	}{
		"good":        {told, sign("key", told), 200, ""},
		"other key":   {told, sign("other", told), 403, "does not fit"},
		"other body":  {told, sign("key", told+" "), 403, "does not fit"},
		"unsigned":    {told, "", 403, "not signed"},
		"no hash":     {told, "t=1", 403, "does not fit"},
		"old":         {told, notify.Sign([]byte("key"), now.Add(-time.Hour), []byte(told)), 403, "old"},
		"no JSON":     {"hello", sign("key", "hello"), 403, "read message"},
		"no evidence": {`{"service": "a"}`, sign("key", `{"service": "a"}`), 403, "without evidence"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := newPager("key")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = p.close() }()
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+p.addr+"/page", strings.NewReader(tc.body))
			req.Header.Set(notify.SignatureHeader, tc.signature)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			m, err := p.await(t.Context(), "a")
			if err != nil || resp.StatusCode != tc.status {
				t.Fatalf("answer %d, want %d; %v", resp.StatusCode, tc.status, err)
			}
			switch {
			case tc.problem == "" && (m.check() != nil || m.evidence != 2 || m.service != "a"):
				t.Errorf("message is %+v", m)
			case tc.problem != "" && (m.check() == nil || !strings.Contains(m.check().Error(), tc.problem)):
				t.Errorf("problem is %v, want %q", m.check(), tc.problem)
			}
		})
	}
}

func TestPagerGivesUp(t *testing.T) {
	p, err := newPager("key")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := p.await(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}
