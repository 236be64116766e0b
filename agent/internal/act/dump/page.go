package dump

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/salveops/salve/agent/internal/act/web"
)

// fetch writes the page at the URL, which is on loopback. Only a page that is there counts: no redirect, no error.
func fetch(ctx context.Context, page string, w io.Writer) error {
	client := web.Client()
	defer client.CloseIdleConnections()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(q)
	if err != nil {
		return told(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %.100q", page, answer.Status)
	}
	_, err = io.Copy(w, answer.Body)
	return told(ctx, err)
}

// told is why the context ended, if that is what went wrong.
func told(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if wrong, ok := err.(*url.Error); ok { // it repeats the URL
		return wrong.Err
	}
	return err
}
