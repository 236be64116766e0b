package scrape

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/exposition"
)

// FuzzPages: whatever several pages in a row hold, reading them ends, and what is known is a number; a share is not
// below zero.
func FuzzPages(f *testing.F) {
	f.Add([]byte("http_requests_total{code=\"200\"} 1\nqueue_depth 1\n\x00http_requests_total{code=\"500\"} 5\n\x00" +
		"http_requests_total{code=\"500\"} 3\nhttp_request_duration_seconds_bucket{le=\"+Inf\"} 3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := newPage(Target{URL: "http://127.0.0.1/", Every: time.Second, Metrics: golden(t, 2*time.Second)})
		for i, text := range bytes.Split(b, []byte{0}) {
			p.parser.Reset(bytes.NewReader(text), exposition.Text)
			if p.take(0) != nil {
				p.set.Undo()
			} else {
				p.set.End(time.Duration(i+1) * time.Second)
			}
			for i := range 4 {
				v := p.figure(i)
				if v.Known && (v.Fault != nil || math.IsNaN(v.Value) || math.IsInf(v.Value, 0) || i < 2 && v.Value < 0) {
					t.Errorf("figure %d is %+v", i, v)
				}
			}
		}
	})
}
