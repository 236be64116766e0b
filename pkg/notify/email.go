package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/transport"
)

// maxMailAnswer bounds all that a mail server says, its certificates included: its answers have as many lines as it likes.
const maxMailAnswer = 1 << 20

// email hands messages to a mail server. Off the host it insists on STARTTLS; on loopback plain text is fine, and
// where STARTTLS is offered there the certificate is not checked, because it is usually one made at
// installation.
type email struct {
	server string // host:port
	host   string
	from   *mail.Address
	to     []*mail.Address
	roots  *x509.CertPool
	now    func() time.Time
	local  func(net.Addr) bool // whether the server is on this host
}

func newEmail(n *config.Notifier, d Deps) (*email, error) {
	e := &email{server: n.SMTP, roots: d.Roots, now: d.Now, local: isLoopback}
	var err error
	if e.host, _, err = net.SplitHostPort(n.SMTP); err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	from := n.From
	if from == "" {
		from = "salve@" + domain(d.Host)
	}
	if e.from, err = mail.ParseAddress(from); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if e.to, err = mail.ParseAddressList(n.To); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	for _, a := range append([]*mail.Address{e.from}, e.to...) {
		if !plain(a.Address) {
			return nil, fmt.Errorf("address %q has characters that mail servers refuse", a.Address)
		}
	}
	return e, nil
}

// domain makes a host name fit for an address.
func domain(host string) string {
	host = strings.Trim(strings.Map(func(r rune) rune {
		if r < 128 && (r == '.' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return r
		}
		return '-'
	}, host), ".-")
	if host == "" {
		return "localhost"
	}
	return host
}

// plain reports printable ASCII without spaces and brackets.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' })
}

func (e *email) Send(ctx context.Context, m Message) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", e.server)
	if err != nil {
		return fmt.Errorf("reach mail server: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c, err := smtp.NewClient(transport.Bound(conn, maxMailAnswer), e.host)
	if err != nil {
		return refusal("greet", err)
	}
	if err := e.greet(c, conn); err != nil {
		return err
	}
	return e.deliver(c, m)
}

// greet says hello and turns on TLS.
func (e *email) greet(c *smtp.Client, conn net.Conn) error {
	if err := c.Hello(helloName(conn)); err != nil {
		return refusal("greet", err)
	}
	loopback := e.local(conn.RemoteAddr())
	if ok, _ := c.Extension("STARTTLS"); !ok {
		if loopback {
			return nil
		}
		return permanentf("mail server %s offers no STARTTLS, and plain text stays on this host", e.server)
	}
	cfg := &tls.Config{ServerName: e.host, RootCAs: e.roots, Time: clock.Wall, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: loopback}
	if err := c.StartTLS(cfg); err != nil {
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return permanentf("trust mail server: %w", err)
		}
		return refusal("start TLS", err)
	}
	return nil
}

// helloName is the address of our end in brackets, which every server must take; host names without a dot are
// refused by many.
func helloName(conn net.Conn) string {
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok && a.IP.To4() == nil {
		return "[IPv6:" + a.IP.String() + "]"
	} else if ok {
		return "[" + a.IP.String() + "]"
	}
	return "localhost"
}

func isLoopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// deliver sends one mail. Recipients that the server refuses do not keep it from the others.
func (e *email) deliver(c *smtp.Client, m Message) error {
	if err := c.Mail(e.from.Address); err != nil {
		return refusal("name sender", err)
	}
	var refused []error
	for _, to := range e.to {
		if err := c.Rcpt(to.Address); err != nil {
			refused = append(refused, refusal("name recipient "+to.Address, err))
		}
	}
	if len(refused) == len(e.to) {
		return worst(refused)
	}
	w, err := c.Data()
	if err != nil {
		return refusal("begin mail", err)
	}
	if _, err := w.Write(e.compose(m)); err != nil {
		return refusal("write mail", err)
	}
	if err := w.Close(); err != nil {
		if _, answered := errors.AsType[*textproto.Error](err); !answered {
			return &Error{Reached: true, Err: fmt.Errorf("end mail: %w", err)}
		}
		return refusal("end mail", err)
	}
	_ = c.Quit() // it has the mail
	if len(refused) > 0 {
		return &Error{Permanent: true, Reached: true, Err: errors.Join(refused...)}
	}
	return nil
}

// worst is one error for recipients that were all refused. It is permanent only if each was.
func worst(refused []error) error {
	permanent := true
	for _, err := range refused {
		permanent = permanent && Classify(err).Permanent
	}
	return &Error{Permanent: permanent, Err: errors.Join(refused...)}
}

// refusal is permanent if the server answered 5xx.
func refusal(what string, err error) error {
	answer, ok := errors.AsType[*textproto.Error](err)
	err = fmt.Errorf("%s: %w", what, err)
	if ok && answer.Code >= 500 && answer.Code <= 599 {
		return Permanent(err)
	}
	return err
}
