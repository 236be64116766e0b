package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/proto/adminpb"
)

const (
	// backupLimit bounds a backup and a restore.
	backupLimit  = 10 * time.Minute
	restorePiece = 256 << 10
)

func (a *app) raftSnapshot() *cobra.Command {
	c := &cobra.Command{
		Use:   "snapshot FILE",
		Short: "Write a backup of everything that the controller knows",
		Long: `Write a backup of everything that the controller knows to FILE, which must not exist yet. It appears there only
once it is whole. Evidence lies beside the log and is not in it.`,
		Args: exactly("the file to write"),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if _, err := os.Lstat(args[0]); err == nil {
			return fmt.Errorf("%s exists; a backup does not replace another one", args[0])
		}
		n, err := a.backup(c.Context(), args[0])
		if err == nil {
			fmt.Fprintf(c.OutOrStdout(), "wrote %s, %d bytes\n", args[0], n)
		}
		return err
	}
	return c
}

// backup writes to a file beside the one that is meant, and gives it the name when it is whole.
func (a *app) backup(ctx context.Context, name string) (n int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // readable by its owner only
	if err != nil {
		return 0, fmt.Errorf("write backup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	defer f.Close()
	err = a.controller(ctx, backupLimit, true, func(ctx context.Context, admin client) error {
		if n, err = f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		stream, err := admin.Snapshot(ctx, &adminpb.SnapshotRequest{By: a.by()})
		for err == nil {
			var piece *adminpb.SnapshotResponse
			if piece, err = stream.Recv(); err == nil {
				_, err = f.Write(piece.GetChunk())
				n += int64(len(piece.GetChunk()))
			}
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		return f.Truncate(n) // of an attempt before, on another node
	})
	if err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("write backup: %w", err)
	}
	if err := os.Link(f.Name(), name); err != nil { // a rename would replace what came to be meanwhile
		return 0, fmt.Errorf("write backup: %w", err)
	}
	return n, os.Remove(f.Name())
}

func (a *app) raftRestore() *cobra.Command {
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Replace everything that the controller knows by a backup",
		Long: `Replace everything that the controller knows by a backup. A new generation begins, and everything is paused:
each host has to say hello again, or be removed, before "salve resume all" is taken. What still runs on hosts
is entered as acting.`,
		Args: exactly("the file of a backup"),
	}
	out := addOutput(c)
	yes := addYes(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := os.Open(args[0])
		if err != nil {
			return fmt.Errorf("read backup: %w", err)
		}
		defer f.Close()
		if err := a.confirm(*yes, "The whole state is replaced by %s, and everything is paused", args[0]); err != nil {
			return err
		}
		return change(a, c, out, backupLimit, func(ctx context.Context, admin client) (*adminpb.RestoreResponse, error) {
			return restore(ctx, admin, f, a.by())
		}, func(w io.Writer, r *adminpb.RestoreResponse) {
			fmt.Fprintf(w, "restored; generation %s begins, and everything is paused\n", shortID(r.GetGeneration()))
			fmt.Fprintln(w, "See salve hosts for those that have not said hello, then: salve resume all")
		})
	}
	return c
}

// restore sends a backup from its beginning.
func restore(ctx context.Context, admin client, f *os.File, by string) (*adminpb.RestoreResponse, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	stream, err := admin.Restore(ctx)
	if err != nil {
		return nil, err
	}
	m := &adminpb.RestoreRequest{By: by, Confirmed: true}
	for {
		piece := make([]byte, restorePiece)
		n, err := f.Read(piece)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read backup: %w", err)
		}
		m.Chunk = piece[:n]
		if (n > 0 || m.GetConfirmed()) && stream.Send(m) != nil {
			break // the node has answered already; CloseAndRecv says what
		}
		if err != nil {
			break
		}
		m = &adminpb.RestoreRequest{}
	}
	return stream.CloseAndRecv()
}
