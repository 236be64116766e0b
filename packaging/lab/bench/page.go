package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// perRoute is how many series a page has of each route: five codes, a histogram of 14 lines, a gauge.
const perRoute = 20

// page is a page of metrics as client_golang writes it. Its figures move each time that it is shown.
type page struct {
	handler http.Handler
	move    func()
	shown   atomic.Int64
}

// newPage is what a service with many routes tells of its requests, in about so many series.
func newPage(series int) *page {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests that were answered, by status.",
	}, []string{"route", "code"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "How long answers took.",
	}, []string{"route"})
	flying := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "http_requests_in_flight", Help: "Requests that are being answered.",
	}, []string{"route"})
	for n := range series / perRoute {
		route := fmt.Sprintf("/api/v1/item/%d", n)
		for _, code := range []string{"200", "201", "304", "404", "503"} {
			requests.WithLabelValues(route, code)
		}
		duration.WithLabelValues(route)
		flying.WithLabelValues(route)
	}
	return collected(func() {
		requests.WithLabelValues("/api/v1/item/0", "200").Add(10)
		duration.WithLabelValues("/api/v1/item/0").Observe(0.02)
	}, requests, duration, flying)
}

// newDepths is a page of so many gauges of one name.
func newDepths(series int) *page {
	depth := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "queue_depth", Help: "What waits."}, []string{"queue"})
	for n := range series {
		depth.WithLabelValues(strconv.Itoa(n))
	}
	return collected(depth.WithLabelValues("0").Inc, depth)
}

func collected(move func(), all ...prometheus.Collector) *page {
	r := prometheus.NewRegistry()
	r.MustRegister(all...)
	return &page{move: move, handler: promhttp.HandlerFor(r, promhttp.HandlerOpts{})}
}

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.move()
	p.handler.ServeHTTP(w, r)
	p.shown.Add(1)
}

// shelf serves pages in this process.
type shelf struct {
	server  http.Server
	address string // host:port
	pages   []*page
}

func newShelf(pages ...*page) (*shelf, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux, s := http.NewServeMux(), &shelf{address: l.Addr().String(), pages: pages}
	for i, p := range pages {
		mux.Handle(s.path(i), p)
	}
	s.server = http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = s.server.Serve(l) }() // ends with close
	return s, nil
}

func (s *shelf) path(i int) string { return fmt.Sprintf("/%d/metrics", i) }

func (s *shelf) url(i int) string { return "http://" + s.address + s.path(i) }

func (s *shelf) urls() []string {
	all := make([]string, len(s.pages))
	for i := range s.pages {
		all[i] = s.url(i)
	}
	return all
}

// shown is how often all pages were shown.
func (s *shelf) shown() (n int64) {
	for _, p := range s.pages {
		n += p.shown.Load()
	}
	return n
}

func (s *shelf) close() { _ = s.server.Close() }
