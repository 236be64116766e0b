package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/proto/adminpb"
)

func (a *app) fleetWatch() *cobra.Command {
	c := &cobra.Command{
		Use:   "watch",
		Short: "Follow what happens in the fleet, until interrupted",
		Args:  atMost(0),
	}
	out := addOutput(c)
	replay := c.Flags().Uint32("replay", 20, "show so many past lines first")
	service := c.Flags().String("service", "", "only lines of this service")
	c.RunE = func(c *cobra.Command, _ []string) error {
		req := &adminpb.WatchRequest{Service: *service, Replay: *replay}
		for {
			err := a.controller(c.Context(), 0, true, func(ctx context.Context, admin client) error {
				return follow(ctx, c.OutOrStdout(), *out, admin, req)
			})
			if c.Context().Err() != nil { // the person has seen enough
				return nil
			}
			var broke *broken
			if !errors.As(err, &broke) {
				return err
			}
			fmt.Fprintln(a.Err, "salve: the node went away, asking another one; what happens meanwhile may be missing here")
			req.Replay = 0
		}
	}
	return c
}

// broken: a stream that had begun ended.
type broken struct{ err error }

// Error implements error.
func (b *broken) Error() string { return b.err.Error() }

// follow shows the lines of one stream.
func follow(ctx context.Context, w io.Writer, out output, admin client, req *adminpb.WatchRequest) error {
	stream, err := admin.Watch(ctx, req)
	if err != nil {
		return err
	}
	for begun := false; ; begun = true {
		r, err := stream.Recv()
		switch {
		case err != nil && begun && (status.Code(err) == codes.Unavailable || errors.Is(err, io.EOF)):
			return &broken{err}
		case err != nil:
			return err
		case out == asTable:
			_, err = fmt.Fprintln(story.Printable(w), story.FleetLine(r))
		default:
			err = out.line(w, r)
		}
		if err != nil {
			return err
		}
	}
}
