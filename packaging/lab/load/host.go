package load

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// host is who a simulated agent says that it is. Hosts come in pairs that share two services; the even host
// asks for permits of the first service and the odd one for permits of the second:
//
//	pair p     host 2p         host 2p+1
//	s<p>a      asks            serves
//	s<p>b      serves          asks
//
// So every service has two hosts and a cap of 1, counting is real, each permit takes the whole cap of its
// service, and yet no caller stands in the way of another.
type host struct {
	i           int
	id          string // 32 hex digits
	name        string
	fingerprint string
	stream      string
	boot        string
	service     string   // that it asks permits for
	services    []string // of the pair
}

// newHost derives a host from the seed: the same one again is the same host.
func newHost(seed string, i int) host {
	pair := i / 2
	services := []string{fmt.Sprintf("s%da", pair), fmt.Sprintf("s%db", pair)}
	return host{
		i:           i,
		id:          derive(seed, "id", i),
		name:        fmt.Sprintf("load-%d", i),
		fingerprint: derive(seed, "fingerprint", i),
		stream:      derive(seed, "stream", i),
		boot:        derive(seed, "boot", i),
		service:     services[i%2],
		services:    services,
	}
}

func derive(seed, what string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", seed, what, i))
	return hex.EncodeToString(sum[:16])
}

// newNonce is random, for a run must not repeat the hello of an earlier one.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// detection is how long the simulated rules need to notice a fault.
const detection = 3 * time.Second

func (h *host) reports(services ...string) []*logpb.ServiceReport {
	var all []*logpb.ServiceReport
	for _, s := range services {
		all = append(all, &logpb.ServiceReport{
			Service: s, Serving: logpb.Serving_SERVING_YES, Detection: int64(detection), Tier: "standard",
		})
	}
	return all
}

// template holds the parts of a host's commands that never change, padded to a size.
type template struct {
	digest []byte
	rule   string // pads requests
	reason string // pads settlements
}

// newTemplate pads requests and settlements to size bytes as they stand in the log. Counters grow by a byte
// now and then; the padding is for middling ones. What is longer by itself stays so.
func newTemplate(h *host, size int) template {
	digest := sha256.Sum256([]byte("restart"))
	t := template{digest: digest[:], rule: "unit-failed", reason: "verified"}
	const n = 1 << 10
	token := &logpb.Token{Generation: strings.Repeat("0", 32), N: n}
	t.rule = padded(t.rule, size, func(rule string) *logpb.Command {
		t := template{digest: t.digest, rule: rule}
		return &logpb.Command{What: &logpb.Command_Request{Request: t.request(h, n, n)}}
	})
	t.reason = padded(t.reason, size, func(reason string) *logpb.Command {
		t := template{reason: reason}
		return &logpb.Command{What: &logpb.Command_Settle{
			Settle: t.settle(h, n, n, token, logpb.Settlement_SETTLEMENT_SERVING),
		}}
	})
	return t
}

// padded makes a text longer until the command with it has size bytes. Lengths have lengths of their own, so
// that it is tried and not computed.
func padded(text string, size int, command func(string) *logpb.Command) string {
	for missing := size - proto.Size(command(text)); missing > 0; missing = size - proto.Size(command(text)) {
		text += strings.Repeat("-", max(missing-4, 1))
	}
	return text
}
func (t *template) request(h *host, epoch, n uint64) *logpb.Request {
	return &logpb.Request{
		Host: h.id, Epoch: epoch, N: n, Rule: t.rule, Remedy: "restart", Digest: t.digest, Service: h.service,
		Claims: h.reports(h.service),
	}
}

func (t *template) settle(h *host, session, epoch uint64, token *logpb.Token, how logpb.Settlement) *logpb.Settle {
	return &logpb.Settle{
		Host: h.id, SessionEpoch: session, Token: token, Epoch: epoch, Settlement: how, Reason: t.reason,
		Claims: h.reports(h.service),
	}
}
