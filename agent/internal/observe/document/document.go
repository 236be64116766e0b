// Package document reads a JSON document again and again, from a URL or a file. What it reads is bounded.
package document

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/jsonpath"
)

// most bounds a document.
const most = 256 << 10

// Source is where a document is. Its methods are called one after another.
type Source struct {
	url, file string        // one of them
	client    *http.Client  // of url
	maxAge    time.Duration // of file
}

// HTTP is the document at a URL. A connection is kept; redirects are not followed, for the other place may be anywhere.
func HTTP(url string) *Source {
	return &Source{url: url, client: &http.Client{
		Transport: &http.Transport{
			MaxIdleConns: 1, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10, ReadBufferSize: 4 << 10,
			WriteBufferSize: 1 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// File is the document in a regular file, or behind a link to one. One that was last written longer ago than maxAge,
// by the wall clock, cannot be read; 0 is no limit.
func File(path string, maxAge time.Duration) *Source { return &Source{file: path, maxAge: maxAge} }

// Read reads the document as it is now, for jsonpath.Path.Number. The context bounds the time over HTTP.
func (s *Source) Read(ctx context.Context) (any, error) {
	read := s.open
	if s.client != nil {
		read = s.fetch
	}
	raw, err := read(ctx)
	if err != nil {
		return nil, err
	}
	return jsonpath.Decode(raw)
}

func (s *Source) fetch(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("User-Agent", "salve")
	req.Header.Set("Accept", "application/json")
	res, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", source.WithoutURL(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask: status %d", res.StatusCode)
	}
	return bounded(res.Body)
}

// open reads the file. That it opens without blocking is for a pipe in its place.
func (s *Source) open(context.Context) ([]byte, error) {
	f, err := os.OpenFile(s.file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("read file: it is not a regular file")
	}
	written := info.ModTime()
	if age := clock.Wall().Sub(written).Abs(); s.maxAge > 0 && age > s.maxAge {
		return nil, fmt.Errorf("read file: it was last written at %s, and max_age is %s",
			written.UTC().Format(time.RFC3339), s.maxAge)
	}
	return bounded(f)
}

func bounded(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	if len(raw) > most {
		return nil, fmt.Errorf("read document: it has more than %d bytes", most)
	}
	return raw, nil
}

// Close ends what is kept between two reads.
func (s *Source) Close() {
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
}
