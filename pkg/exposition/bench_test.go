package exposition

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// large is a page of 5,000 series of 50 names.
func large() []byte {
	var b bytes.Buffer
	for name := range 50 {
		fmt.Fprintf(&b, "# HELP app_requests_%d_total How many requests were answered.\n", name)
		fmt.Fprintf(&b, "# TYPE app_requests_%d_total counter\n", name)
		for i := range 100 {
			fmt.Fprintf(&b, "app_requests_%d_total{code=\"%d\",method=\"GET\",path=\"/api/v1/item/%d\",instance=\"a\"} %d\n",
				name, 200+i%5, i, 1000*i+name)
		}
	}
	return b.Bytes()
}

// BenchmarkPage reads a page of 5,000 series of which one name, or all, are wanted, and in the way of
// Prometheus' library, which has every line in memory.
func BenchmarkPage(b *testing.B) {
	page := large()
	one := []byte("app_requests_7_total")
	for _, c := range []struct {
		name  string
		wants func([]byte) bool
		found int
	}{
		{"one name", func(name []byte) bool { return bytes.Equal(name, one) }, 100},
		{"all", nil, 5000},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(page)))
			p, r := New(c.wants), bytes.NewReader(page)
			for b.Loop() {
				r.Reset(page)
				n := 0
				for p.Reset(r, Text); p.Next(); n++ {
				}
				if n != c.found || p.Err() != nil {
					b.Fatalf("%d samples, %v", n, p.Err())
				}
			}
		})
	}
	b.Run("expfmt", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			parser := expfmt.NewTextParser(model.UTF8Validation)
			if f, err := parser.TextToMetricFamilies(bytes.NewReader(page)); err != nil || len(f) != 50 {
				b.Fatalf("%d families, %v", len(f), err)
			}
		}
	})
}
