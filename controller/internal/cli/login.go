package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/adminpb"
)

// maxLogin bounds the file of a login.
const maxLogin = 512 << 10

// login is what `salve login` leaves: by what this user is known to which controller.
type login struct {
	Addresses []string `json:"addresses"`
	Token     string   `json:"token,omitempty"`
	Bundle    string   `json:"bundle,omitempty"` // PEM: key, certificate, authorities
	Roots     string   `json:"roots,omitempty"`  // PEM: authorities, with a token
}

// loginPath is where the login of this user lies.
func (a *app) loginPath() string {
	if p := a.Getenv("SALVE_LOGIN"); p != "" {
		return p
	}
	if p := a.Getenv("XDG_CONFIG_HOME"); p != "" {
		return filepath.Join(p, "salve", "login.json")
	}
	if p := a.Getenv("HOME"); p != "" {
		return filepath.Join(p, ".config", "salve", "login.json")
	}
	return ""
}

// loggedIn reads the login of this user, nil if there is none.
func (a *app) loggedIn() (*login, error) {
	path := a.loginPath()
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read login: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("read login: others may read %s: chmod 600 it", path)
	case info.Size() > maxLogin:
		return nil, fmt.Errorf("read login: %s is too long", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read login: %w", err)
	}
	return parseLogin(text)
}

func parseLogin(text []byte) (*login, error) {
	var l login
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, fmt.Errorf("read login: %w; salve login makes it anew", err)
	}
	if (l.Token == "") == (l.Bundle == "") {
		return nil, errors.New("read login: it has neither a token nor a certificate; salve login makes it anew")
	}
	return &l, nil
}

// line is how the controller is spoken to: by the login, or without one in plain text, which pkg/transport allows on
// loopback only. An address on loopback that the login does not know, such as that of a controller for development,
// is spoken to in plain text.
func (a *app) line() (*transport.Transport, []grpc.DialOption, error) {
	l, err := a.loggedIn()
	if err != nil {
		return nil, nil, err
	}
	if l == nil || a.elsewhere(l) {
		lines, err := transport.New(transport.Options{})
		return lines, nil, err
	}
	return l.line()
}

// elsewhere reports whether the addresses are of this machine, and not of the login.
func (a *app) elsewhere(l *login) bool {
	nodes, err := a.nodes()
	return err == nil && !slices.ContainsFunc(nodes, func(n string) bool {
		host, _, _ := net.SplitHostPort(n)
		ip, err := netip.ParseAddr(host)
		return slices.Contains(l.Addresses, n) || host != "localhost" && (err != nil || !ip.IsLoopback())
	})
}

func (l *login) line() (*transport.Transport, []grpc.DialOption, error) {
	o := transport.Options{Authorize: onlyController}
	var dial []grpc.DialOption
	if l.Bundle != "" {
		c, err := credential.Parse([]byte(l.Bundle))
		if err != nil {
			return nil, nil, fmt.Errorf("read login: %w", err)
		}
		if c.Expired(clock.Wall()) {
			return nil, nil, fmt.Errorf("the certificate of %s has ended on %s: salve login with another one", c.Name.ID,
				c.Leaf.NotAfter.Format(time.DateOnly))
		}
		o.TLS = c.Config()
	} else {
		roots, err := credential.Roots([]byte(l.Roots))
		if err != nil {
			return nil, nil, fmt.Errorf("read login: %w", err)
		}
		pool := x509.NewCertPool()
		for _, r := range roots {
			pool.AddCert(r)
		}
		o.TLS = &tls.Config{RootCAs: pool, ClientCAs: pool,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("this is no server") }}
		dial = append(dial, grpc.WithPerRPCCredentials(bearer(l.Token)))
	}
	lines, err := transport.New(o)
	return lines, dial, err
}

// onlyController lets only a node be the other end.
func onlyController(peer *x509.Certificate) error {
	name, err := identity.Of(peer)
	if err == nil && name.Kind != identity.Controller {
		err = fmt.Errorf("it is %s, and no controller", name.Short())
	}
	return err
}

// bearer is a token that goes with each call, over TLS only.
type bearer string

var _ credentials.PerRPCCredentials = bearer("")

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (bearer) RequireTransportSecurity() bool { return true }

func (a *app) login() *cobra.Command {
	c := &cobra.Command{
		Use:   "login {--certificate FILE | --token-file FILE}",
		Short: "Say by what you are known to the controller",
		Long: `Say by what you are known to the controller, and keep it for the commands that follow: a certificate, such as
salve-controller init makes it, or a token that an admin made with "salve token create". It lies in
$SALVE_LOGIN, else in ~/.config/salve/login.json, which only you may read.

The addresses of --address are kept, too. "salve logout" forgets all of it.`,
		Args: atMost(0),
	}
	certificate := c.Flags().String("certificate", "", "file with key, certificate and authorities")
	token := c.Flags().String("token-file", "", "file with a token")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if (*certificate == "") == (*token == "") {
			return usagef("say either --certificate or --token-file")
		}
		path := a.loginPath()
		if path == "" {
			return errors.New("there is no home folder: say with $SALVE_LOGIN where the login lies")
		}
		nodes, err := a.nodes()
		if err != nil {
			return err
		}
		l := &login{Addresses: nodes}
		ask := l.withToken
		file := *token
		if *certificate != "" {
			ask, file = l.withCertificate, *certificate
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		lines, dial, err := ask(text)
		if err != nil {
			return err
		}
		who, err := a.whoAmI(c.Context(), lines, dial)
		if err != nil {
			return err
		}
		if l.Token != "" {
			l.Roots = string(who.GetRoots())
		}
		if err := l.keep(path); err != nil {
			return err
		}
		fmt.Fprintf(a.Out, "you are %s, %s, known by a %s until %s\n", who.GetName(), who.GetRole(), who.GetByWhat(),
			instant(who.GetUntil()))
		return nil
	}
	return c
}

// withToken is the line on which a token is tried: all that is known of the node is the token's fingerprint.
func (l *login) withToken(text []byte) (*transport.Transport, []grpc.DialOption, error) {
	t, err := identity.ParseToken(string(text))
	switch {
	case err != nil:
		return nil, nil, err
	case t.Use != identity.Access:
		return nil, nil, errors.New("this token lets a machine in (salve-agent enroll), and is none for a person")
	case len(t.Pin) == 0:
		return nil, nil, errors.New("this token is of a controller that speaks plain text: no login is needed there")
	}
	l.Token = t.String()
	lines, err := transport.New(transport.Options{Pin: t.Pin, Authorize: onlyController})
	return lines, []grpc.DialOption{grpc.WithPerRPCCredentials(bearer(l.Token))}, err
}

func (l *login) withCertificate(text []byte) (*transport.Transport, []grpc.DialOption, error) {
	c, err := credential.Parse(text)
	if err != nil {
		return nil, nil, err
	}
	if c.Name.Kind != identity.Operator {
		return nil, nil, fmt.Errorf("the certificate is for %s, and for no operator", c.Name.Short())
	}
	l.Bundle = string(text)
	return l.line()
}

func (l *login) keep(path string) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("keep login: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep login: %w", err)
	}
	return durable.Write(path, append(text, '\n'), 0o600)
}

// whoAmI asks the first node that can be reached.
func (a *app) whoAmI(ctx context.Context, lines *transport.Transport,
	dial []grpc.DialOption) (who *adminpb.WhoAmIResponse, err error) {
	nodes, err := a.nodes()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	s := &seeker{lines: lines, dial: dial, reads: true}
	err = s.seek(ctx, nodes, func(ctx context.Context, admin client) error {
		who, err = admin.WhoAmI(ctx, &adminpb.WhoAmIRequest{})
		return err
	})
	return who, err
}

func (a *app) logout() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Forget by what you are known to the controller",
		Long: `Forget by what you are known to the controller. A token goes on being good until it ends, or until
"salve token end".`,
		Args: atMost(0),
		RunE: func(*cobra.Command, []string) error {
			path := a.loginPath()
			if err := os.Remove(path); path == "" || errors.Is(err, fs.ErrNotExist) {
				fmt.Fprintln(a.Out, "there is no login")
			} else if err != nil {
				return fmt.Errorf("forget login: %w", err)
			}
			return nil
		},
	}
}

func (a *app) whoami() *cobra.Command {
	return &cobra.Command{
		Use:   "whoami",
		Short: "Say who the controller takes you for",
		Args:  atMost(0),
		RunE: func(c *cobra.Command, _ []string) error {
			lines, dial, err := a.line()
			if err != nil {
				return err
			}
			who, err := a.whoAmI(c.Context(), lines, dial)
			switch {
			case err != nil:
				return err
			case who.GetName() == "":
				fmt.Fprintln(a.Out, "nobody is asked who he is: this controller speaks plain text, and whoever is on its machine is admin")
			default:
				fmt.Fprintf(a.Out, "%s, %s, known by a %s until %s\n", who.GetName(), who.GetRole(), who.GetByWhat(),
					instant(who.GetUntil()))
			}
			return nil
		},
	}
}

// loginAddress is what the login says, where nothing else does.
func (a *app) loginAddress() string {
	if l, err := a.loggedIn(); err == nil && l != nil {
		return strings.Join(l.Addresses, ",")
	}
	return ""
}
