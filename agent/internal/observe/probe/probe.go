// Package probe asks services from outside whether they work: over HTTP and other protocols, by a TCP connection, or
// with a program. One goroutine keeps the schedule of all probes; another runs only while a question is
// open.
package probe

import (
	"context"
	"reflect"
	"time"
)

// Target is one probe of one service. Exactly one of HTTP, TCP, Exec, GRPC, DNS, TLS, Postgres and Redis is set.
// Addresses are host:port; where it says so, also unix:/path.
type Target struct {
	Service string
	Name    string
	Every   time.Duration // 0 means 1 s
	Timeout time.Duration // of one attempt; 0 means 500 ms
	Misses  int           // misses before ok turns false; 0 means 3
	Startup time.Duration // how long a kick lasts at most; 0 means 30 s

	HTTP   string // URL
	Status []int  // status codes that are good; none: 200 to 299
	Body   string // if set, must occur in the first 64 KiB of the answer

	TCP  string   // address or unix:/path
	Exec []string // a program and its arguments; exit code 0 is good

	GRPC   string // address or unix:/path of a server with grpc.health.v1
	Health string // the service of which it tells; "" means the server as a whole

	DNS     string   // the name to resolve
	Server  string   // address of the server that is asked
	Type    string   // of the record: A, AAAA, CNAME, MX, NS, PTR, SRV or TXT; "" means A
	Answers []string // each of them must be among the answers; none: any answer is good

	TLS     string        // address of a server with a certificate
	MinLeft time.Duration // how long the certificate must still be valid
	TLSName string        // what the certificate must be for; "" means the host of the address

	Postgres string // address, or path of a socket named .s.PGSQL.PORT; also of PgBouncer
	Database string
	Redis    string // address or unix:/path

	User         string // of Postgres; of Redis, where "" means the default user
	PasswordFile string // of both; "" means no password. Read at each connect.
	Secure       bool   // GRPC, Postgres and Redis: over TLS, with a trusted certificate for the host
	CAFile       string // TLS and Postgres: who is trusted; "" means the system's authorities. Read at each attempt.
}

// Defaults of a Target.
const (
	defaultEvery   = time.Second
	defaultTimeout = 500 * time.Millisecond
	defaultMisses  = 3
	defaultStartup = 30 * time.Second
	leastEvery     = 50 * time.Millisecond
)

func (t Target) normal() Target {
	if t.Every == 0 {
		t.Every = defaultEvery
	}
	t.Every = max(t.Every, leastEvery)
	if t.Timeout <= 0 {
		t.Timeout = defaultTimeout
	}
	if t.Misses <= 0 {
		t.Misses = defaultMisses
	}
	if t.Startup <= 0 {
		t.Startup = defaultStartup
	}
	return t
}

func (t Target) id() string { return t.Service + "\x00" + t.Name }

func (t Target) equal(o Target) bool { return reflect.DeepEqual(t, o) }

// figure is the signal that a probe of this kind has beside ok and latency; "" for none.
func (t Target) figure() string {
	switch {
	case t.HTTP != "", len(t.Exec) > 0, t.GRPC != "", t.DNS != "":
		return "status"
	case t.TLS != "":
		return "expires"
	}
	return ""
}

// ExecFunc runs a probe's program and returns its exit code. It returns an error if the program could
// not be run, is not allowed, or did not end before ctx did.
type ExecFunc func(ctx context.Context, argv []string) (code int, err error)

// answer is what an attempt gave.
type answer struct {
	err      error         // why it was a miss; nil: it was good
	answered bool          // there was a whole answer, good or bad
	latency  time.Duration // until then
	figure   float64       // that of Target.figure, if it answered
}

// asker asks one target. ask may run more than once at a time. close ends what is still running.
type asker interface {
	ask(fresh bool) answer
	close()
}

// newAsker makes the asker of a target. It fails for a target that says nothing that can be asked.
func newAsker(t Target, run ExecFunc) (asker, error) {
	switch {
	case t.HTTP != "":
		p, err := newHTTP(t)
		if err != nil {
			return nil, err
		}
		return newLine(p, t.Timeout), nil
	case t.TCP != "":
		return newLine(tcpProtocol{dialed(t.TCP)}, t.Timeout), nil
	case t.GRPC != "":
		return newLine(newGRPC(t), t.Timeout), nil
	case t.DNS != "":
		p, err := newDNS(t)
		if err != nil {
			return nil, err
		}
		return newLine(p, t.Timeout), nil
	case t.TLS != "":
		return newLine(newTLS(t), t.Timeout), nil
	case t.Postgres != "":
		return newLine(newPostgres(t), t.Timeout), nil
	case t.Redis != "":
		return newLine(newRedis(t), t.Timeout), nil
	}
	return newExec(t, run), nil
}
