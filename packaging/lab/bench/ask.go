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
	server := http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte("ok\n"))
	})}
	defer server.Close()
	go func() { _ = server.Serve(l) }() // ends with Close
	own := s.agent(world{units: lonely, rules: service("app", probeBlocks("http://"+l.Addr().String()+healthPath))})
	peer := configured(nameMonit, "monitrc", func(dir string) string { return monitHosts(dir, l.Addr().String()) },
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
		fmt.Fprintf(&b, "check host p%d with address %s\n  if failed port %s protocol http request %q with timeout 1 seconds then alert\n",
			n, host, port, healthPath)
	}
	return b.String()
}
