package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

const (
	// reloadSocket is in the data folder, which is the node's alone. Whoever connects has the node reload, and reads how
	// that went: a signal has no answer.
	reloadSocket = "reload.sock"
	reloadOK     = "ok"
	reloadWithin = 30 * time.Second
)

// Reload has the running node of a configuration read it again, with its certificates, and returns why it was refused.
func Reload(ctx context.Context, o Options) error {
	file, err := check(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reloadWithin)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(file.Data, reloadSocket))
	if err != nil {
		return fmt.Errorf("ask the node, which does not run on this data folder: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	answer, err := io.ReadAll(conn)
	switch text := string(answer); {
	case err != nil:
		return fmt.Errorf("ask the node: %w", err)
	case text == "":
		return errors.New("the node ended before it had reloaded")
	case text != reloadOK:
		return errors.New(text)
	}
	return nil
}

// openReload opens the socket for Reload. What an earlier process left of it goes: the folder is locked by now.
func (c *controller) openReload(ctx context.Context) error {
	path := filepath.Join(c.file.Data, reloadSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open socket for reloads: %w", err)
	}
	var err error
	if c.reloadDoor, err = (&net.ListenConfig{}).Listen(ctx, "unix", path); err != nil {
		c.log.Warn("this node can be asked by SIGHUP only to reload", "error", err) // such as a path that is too long
		return nil
	}
	c.onStop("socket for reloads", func() error {
		if err := c.reloadDoor.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

// answerReloads serves the socket, one after the other.
func (c *controller) answerReloads(ctx context.Context) error {
	if c.reloadDoor == nil {
		return nil
	}
	defer context.AfterFunc(ctx, func() { _ = c.reloadDoor.Close() })()
	for {
		conn, err := c.reloadDoor.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("be asked to reload: %w", err)
		}
		c.answerReload(ctx, conn)
	}
}

func (c *controller) answerReload(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	answer := make(chan error, 1)
	select {
	case c.reloadAsked <- answer:
	case <-ctx.Done():
		return
	}
	select {
	case err := <-answer:
		text := reloadOK
		if err != nil {
			text = err.Error()
		}
		_ = conn.SetWriteDeadline(time.Now().Add(reloadWithin))
		_, _ = io.WriteString(conn, text) // who asked has gone, then
	case <-ctx.Done():
	}
}

// reloadOn reads the configuration again at each SIGHUP, and when it is asked to.
func (c *controller) reloadOn(ctx context.Context, hangup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
			_ = c.reloadNow() // it is told in the log, the status, and the metrics
		case answer := <-c.reloadAsked:
			answer <- c.reloadNow()
		}
	}
}

func (c *controller) reloadNow() error {
	c.notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	err := c.reload()
	c.reloads.note(err)
	state := "STATUS=" // the status of systemctl: nothing to say
	if err != nil {
		c.log.Error("configuration refused, the old one stays", "error", err)
		state += "configuration refused, the old one holds: " + strings.Join(strings.Fields(err.Error()), " ")
	}
	c.notify(daemon.SdNotifyReady + "\n" + state)
	return err
}
