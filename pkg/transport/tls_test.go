package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// lineTest is one pair of ends.
type lineTest struct {
	name           string
	server, client Options
	want           []string // one of them is part of the error; none: the line works
}

func lineTests(t *testing.T) []lineTest {
	ca, other := newAuthority(t), newAuthority(t)
	naked := ca.config(t, "agent") // a client that shows nothing
	naked.Certificates, naked.GetCertificate = nil, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
	lax := ca.config(t, "controller") // a server whose reload callback forgets to ask for certificates
	lax.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return ca.config(t, "controller"), nil }
	old := ca.config(t, "agent")
	old.MaxVersion = tls.VersionTLS12
	controllers := onlyRole("controller")
	return []lineTest{
		{"both of one CA", Options{TLS: ca.config(t, "controller")}, Options{TLS: ca.config(t, "agent")}, nil},
		{"client of another CA", Options{TLS: ca.config(t, "controller")},
			Options{TLS: mixed(ca.config(t, "agent"), other.config(t, "agent"))}, []string{"unknown certificate authority", "bad certificate"}},
		{"server of another CA", Options{TLS: mixed(ca.config(t, "controller"), other.config(t, "controller"))},
			Options{TLS: ca.config(t, "agent")}, []string{"certificate signed by unknown authority"}},
		{"client without a certificate", Options{TLS: ca.config(t, "controller")}, Options{TLS: naked}, []string{"certificate required"}},
		{"client without a certificate, reloaded server", Options{TLS: lax}, Options{TLS: naked}, []string{"certificate required"}},
		{"client without a certificate, where that is allowed",
			Options{TLS: ca.config(t, "controller"), Anonymous: true, Authorize: controllers}, Options{TLS: naked}, nil},
		{"client of another CA, where none is allowed", Options{TLS: ca.config(t, "controller"), Anonymous: true},
			Options{TLS: mixed(ca.config(t, "agent"), other.config(t, "agent"))}, []string{"unknown certificate authority", "bad certificate"}},
		{"client of the right role", Options{TLS: ca.config(t, "controller"), Authorize: controllers},
			Options{TLS: ca.config(t, "controller")}, nil},
		{"client of a wrong role", Options{TLS: ca.config(t, "controller"), Authorize: controllers},
			Options{TLS: ca.config(t, "agent")}, []string{"bad certificate"}},
		{"client of a wrong role, reloaded server", Options{TLS: lax, Authorize: controllers},
			Options{TLS: ca.config(t, "agent")}, []string{"bad certificate"}},
		{"server of a wrong role", Options{TLS: ca.config(t, "agent")},
			Options{TLS: ca.config(t, "agent"), Authorize: controllers}, []string{"refused: its role is"}},
		{"client in plain text", Options{TLS: ca.config(t, "controller")}, Options{}, []string{""}},
		{"server in plain text", Options{}, Options{TLS: ca.config(t, "agent")}, []string{"tls: "}},
		{"old TLS", Options{TLS: ca.config(t, "controller")}, Options{TLS: old}, []string{"no supported versions", "protocol version"}},
	}
}

// mixed trusts what one configuration trusts and shows the certificate of the other.
func mixed(trusts, shows *tls.Config) *tls.Config {
	trusts.Certificates = shows.Certificates
	return trusts
}

// TestBothEndsAreAsked: a bare line, as Raft uses it.
func TestBothEndsAreAsked(t *testing.T) {
	for _, tc := range lineTests(t) {
		t.Run(tc.name, func(t *testing.T) {
			got := echo(t, newTransport(t, tc.server), newTransport(t, tc.client))
			want := tc.want
			if want != nil { // the refusal is read only if it arrives before the client writes
				want = append(slices.Clip(want), "broken pipe", "connection reset")
			}
			verdict(t, got, got == "hello", want)
		})
	}
}

// TestGRPC: the same pairs over gRPC.
func TestGRPC(t *testing.T) {
	for _, tc := range lineTests(t) {
		t.Run(tc.name, func(t *testing.T) {
			server, l, err := newTransport(t, tc.server).GRPC(context.Background(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			healthpb.RegisterHealthServer(server, health.NewServer())
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			defer func() { server.Stop(); <-served }()
			conn, err := newTransport(t, tc.client).Client(context.Background(), l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_, err = healthpb.NewHealthClient(conn).Check(context.Background(), &healthpb.HealthCheckRequest{})
			verdict(t, errText(err), err == nil, tc.want)
		})
	}
}

func verdict(t *testing.T, got string, worked bool, want []string) {
	t.Helper()
	if worked != (want == nil) {
		t.Fatalf("got %q, want one of %q", got, want)
	}
	for _, w := range want {
		if strings.Contains(got, w) {
			return
		}
	}
	if want != nil {
		t.Errorf("got %q, want one of %q in it", got, want)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestHTTP: HTTP/2 with a certificate, and a client that has none only where that is allowed.
func TestHTTP(t *testing.T) {
	ca := newAuthority(t)
	for _, anonymous := range []bool{false, true} {
		tr := newTransport(t, Options{TLS: ca.config(t, "controller"), Anonymous: anonymous})
		server, l, err := tr.HTTP(context.Background(), "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Proto)
		}))
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		for _, shows := range []bool{true, false} {
			config := ca.config(t, "agent")
			if !shows {
				config.Certificates = nil
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
			got, err := get(client, "https://"+l.Addr().String())
			if worked := err == nil; worked != (shows || anonymous) {
				t.Errorf("anonymous %t, client shows a certificate %t: %v", anonymous, shows, err)
			} else if worked && got != "HTTP/2.0" {
				t.Errorf("protocol %q", got)
			}
			client.CloseIdleConnections()
		}
		_ = server.Close()
		<-served
	}
}

func get(c *http.Client, url string) (string, error) {
	r, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

// TestUnsafeConfigurations: what would trust everybody is refused.
func TestUnsafeConfigurations(t *testing.T) {
	ca := newAuthority(t)
	for name, spoil := range map[string]func(*tls.Config){
		"InsecureSkipVerify": func(c *tls.Config) { c.InsecureSkipVerify = true },
		"RootCAs":            func(c *tls.Config) { c.RootCAs = nil },
		"ClientCAs":          func(c *tls.Config) { c.ClientCAs = nil },
		"certificate":        func(c *tls.Config) { c.Certificates = nil },
	} {
		config := ca.config(t, "controller")
		spoil(config)
		if _, err := New(Options{TLS: config}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForKeepsTheRest: another port's question does not change the first one's.
func TestForKeepsTheRest(t *testing.T) {
	ca := newAuthority(t)
	all := newTransport(t, Options{TLS: ca.config(t, "controller")})
	raft := all.For(onlyRole("controller"))
	agent := newTransport(t, Options{TLS: ca.config(t, "agent")})
	if got := echo(t, all, agent); got != "hello" {
		t.Errorf("the port for everybody: %q", got)
	}
	if got := echo(t, raft, agent); got == "hello" {
		t.Error("the port for controllers let an agent in")
	}
}

// TestCallerVerifyConnectionStays: a check that the caller had is not lost.
func TestCallerVerifyConnectionStays(t *testing.T) {
	ca := newAuthority(t)
	config := ca.config(t, "controller")
	config.VerifyConnection = func(tls.ConnectionState) error { return errors.New("revoked") }
	asked := false
	server := newTransport(t, Options{TLS: config, Authorize: func(*x509.Certificate) error { asked = true; return nil }})
	if got := echo(t, server, newTransport(t, Options{TLS: ca.config(t, "agent")})); got == "hello" || asked {
		t.Errorf("got %q, Authorize asked: %t", got, asked)
	}
}

// TestGRPCBounds: a message beyond the bound is refused, and callers may add options of their own.
func TestGRPCBounds(t *testing.T) {
	tr := newTransport(t, Options{})
	server, l, err := tr.GRPC(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	healthpb.RegisterHealthServer(server, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() { server.Stop(); <-served }()
	conn, err := tr.Client(context.Background(), l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = healthpb.NewHealthClient(conn).Check(context.Background(),
		&healthpb.HealthCheckRequest{Service: strings.Repeat("x", maxRequest+1)})
	if err == nil || !strings.Contains(err.Error(), "received message larger than max") {
		t.Errorf("a message of more than %d bytes: %v", maxRequest, err)
	}
}
