package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

const told = `{"incident": {"service": "a", "evidence": [{}, {}], "timeline": [{}]}}`

func sign(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestPager(t *testing.T) {
	for name, tc := range map[string]struct {
		body, signature string
		status          int
		problem         string // part of it; "" is none
	}{
		"good":        {told, sign("key", told), 200, ""},
		"other key":   {told, sign("other", told), 403, "does not fit"},
		"unsigned":    {told, "", 403, "does not fit"},
		"no JSON":     {"hello", sign("key", "hello"), 403, "read message"},
		"no evidence": {`{"incident": {}}`, sign("key", `{"incident": {}}`), 403, "without evidence"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := newPager("key")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = p.close() }()
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+p.addr+"/page", strings.NewReader(tc.body))
			req.Header.Set("Salve-Signature", tc.signature)
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
