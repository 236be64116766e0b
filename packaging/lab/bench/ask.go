package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const (
	probesSecond = 200
	healthPath   = "/healthz"
)

// probes lets the agent and Monit ask a server 200 times a second, each of their questions once a second.
func (s *Sources) probes(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var asked atomic.Int64
	server := http.Server{ReadHeaderTimeout: time.Second}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte("ok\n"))
	})
	defer server.Close()
	go func() { _ = server.Serve(l) }() // ends with Close
	address := l.Addr().String()
	own := s.agent(world{units: lonely, rules: service("app", probeBlocks("http://"+address+healthPath))})
	peer := configured(nameMonit, "monitrc", func(dir string) string { return monitHosts(dir, address) },
		func(_, file string) []string { return []string{s.opts.Monit, "-I", "-c", file} })
	s.result.Probes, err = s.contest(ctx, asked.Load, own, peer)
	return err
}

func probeBlocks(url string) string {
	var b strings.Builder
	for n := range probesSecond {
		fmt.Fprintf(&b, "  probe \"p%d\" {\n    http  = %q\n    every = \"1s\"\n  }\n", n, url)
	}
	return b.String()
}

func monitHosts(dir, address string) string {
	var b strings.Builder
	b.WriteString(monitHead(dir))
	host, port, _ := strings.Cut(address, ":")
	for n := range probesSecond {
		fmt.Fprintf(&b, "check host p%d with address %s\n", n, host)
		fmt.Fprintf(&b, "  if failed port %s protocol http request %q with timeout 1 seconds then alert\n", port, healthPath)
	}
	return b.String()
}
