package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/enroll"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/transport"
)

// identityFile is what an enrolment leaves in the state folder: key, certificate and authorities.
const identityFile = "identity.pem"

// lookForIdentity is how often a host without an identity looks whether it has been enrolled.
const lookForIdentity = 2 * time.Second

// lines are this host's ways to the controller: by the files of the tls block, by what an enrolment left, or, while
// there is neither, in plain text, which pkg/transport keeps on this machine. Once there is an identity no line is
// plain any more.
type lines struct {
	host      string // ID
	addresses []string
	path      string // of identityFile; "": the tls block names the files
	log       hclog.Logger
	plain     *transport.Transport
	opened    chan struct{} // closed once there is a store

	mu    sync.Mutex
	store *credential.Store // nil: none yet
	tls   *transport.Transport
}

// buildIdentity finds out who this host is to the controller.
func (a *agent) buildIdentity() (err error) {
	l := &lines{host: a.journal.Host(), addresses: a.cfg.Controller.Addresses, log: a.log.Named("identity"),
		opened: make(chan struct{})}
	a.identity = l
	if l.plain, err = transport.New(transport.Options{Log: a.log.Named("transport")}); err != nil {
		return err
	}
	if t := a.cfg.TLS; t != nil {
		return l.open(credential.Files{CA: t.CA, Cert: t.Cert, Key: t.Key})
	}
	l.path = filepath.Join(a.cfg.Data, identityFile)
	return l.find()
}

// find takes what an enrolment left, if there is anything. A file that is damaged is no reason to speak plain text.
func (l *lines) find() error {
	if _, err := os.Stat(l.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return l.open(credential.Bundle(l.path))
}

func (l *lines) open(f credential.Files) error {
	store, err := credential.Open(f, l.log)
	if err != nil {
		return err
	}
	if name := store.Current().Name; name.Kind != identity.Host || name.ID != l.host {
		return fmt.Errorf("%s: the certificate is for %s, and this is host/%s", f.Cert, name.Short(), l.host)
	}
	secured, err := transport.New(transport.Options{
		Source: func() *tls.Config { return store.Config() }, Authorize: enroll.Controller, Log: l.log,
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store, l.tls = store, secured
	close(l.opened)
	return nil
}

// changed is closed when this host has another certificate than at this moment, or its first.
func (l *lines) changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return l.opened
	}
	return l.store.Changed()
}

// dial makes a line to a node.
func (l *lines) dial(ctx context.Context, address string) (session.Line, error) {
	l.mu.Lock()
	t := l.tls
	l.mu.Unlock()
	if t == nil {
		line, err := session.Dialer(l.plain)(ctx, address)
		if errors.Is(err, transport.ErrPlainText) {
			err = errors.New("this host has not enrolled: salve-agent enroll --token … gives it an identity")
		}
		return line, err
	}
	return session.Dialer(t)(ctx, address)
}

// run waits for an identity, follows its files, and renews what an enrolment gave.
func (l *lines) run(ctx context.Context) error {
	if err := l.await(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	if l.path == "" {
		return l.store.Run(ctx)
	}
	go func() { _ = l.store.Run(ctx) }() // somebody may enrol this host anew; it ends with ctx
	r := enroll.Renewer{
		Store: l.store, Ask: enroll.Nodes(l.tls, func() []string { return l.addresses }), Log: l.log,
		Help: "once it has ended, this host enrols again, with a token of salve enroll token --host",
	}
	return r.Run(ctx)
}

// await ends with the first identity.
func (l *lines) await(ctx context.Context) error {
	ticker := time.NewTicker(lookForIdentity)
	defer ticker.Stop()
	for last := ""; !l.known(); {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := l.find(); err != nil && err.Error() != last {
				last = err.Error()
				l.log.Error("cannot use this host's identity", "error", err)
			}
		}
	}
	return nil
}

// known reports whether there is an identity.
func (l *lines) known() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.store != nil
}

// reload reads the files of the tls block now.
func (l *lines) reload() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	store := l.store
	l.mu.Unlock()
	if store == nil {
		return nil
	}
	_, err := store.Reload()
	return err
}

// tlsOf are the files of a tls block.
func tlsOf(cfg *config.Agent) []string {
	if cfg.TLS == nil {
		return nil
	}
	return []string{cfg.TLS.CA, cfg.TLS.Cert, cfg.TLS.Key}
}

// EnrollOptions of Enroll.
type EnrollOptions struct {
	Addresses []string // nodes of the controller; default: those of the configuration
	Token     string   // "": it is in TokenFile
	TokenFile string
	Out       io.Writer
}

// Enroll gives this host its identity for a token. It may be done before the agent runs, and while it runs.
func Enroll(ctx context.Context, o Options, e EnrollOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	cfg, diags := config.LoadAgent(o.ConfigFile, config.LoadOptions{})
	if diags.HasErrors() {
		return errors.New(problems(diags))
	}
	if len(e.Addresses) == 0 {
		e.Addresses = addressesOf(cfg)
	}
	token, err := e.token()
	switch {
	case err != nil:
		return err
	case len(e.Addresses) == 0:
		return errors.New("say with --controller, or with a controller block in the configuration, where the controller is")
	case cfg.TLS != nil:
		return errors.New("the tls block of the configuration names this host's certificate: enrolling would give another one that nobody uses")
	}
	if err := become(cfg.Data); err != nil {
		return err
	}
	host, err := journal.HostID(cfg.Data)
	if err != nil {
		return err
	}
	path := filepath.Join(cfg.Data, identityFile)
	if err := enroll.Enroll(ctx, enroll.Options{Addresses: e.Addresses, Token: token, Host: host, Name: cfg.Host,
		Path: path}); err != nil {
		return err
	}
	fmt.Fprintf(e.Out, "host %s is enrolled as %s; its agent takes that up by itself\n", cfg.Host, host)
	return nil
}

// token is what was said, or what the file holds.
func (e *EnrollOptions) token() (string, error) {
	if (e.Token == "") == (e.TokenFile == "") {
		return "", errors.New("say either --token or --token-file")
	}
	if e.Token != "" {
		return e.Token, nil
	}
	text, err := os.ReadFile(e.TokenFile)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// become goes on as whom the folder belongs to. The agent does not run as root, has to read what is made here, and
// must not be able to have root write elsewhere.
func become(dir string) error {
	owner, err := durable.OwnerOf(dir)
	if err != nil {
		return fmt.Errorf("look at state folder: %w", err)
	}
	if owner == nil {
		return nil // it is ours, or will be
	}
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(owner.GID), syscall.Setuid(owner.UID)); err != nil {
		return fmt.Errorf("go on as the owner of the state folder: %w", err)
	}
	return nil
}
