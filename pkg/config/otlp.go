package config

import (
	"fmt"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/glob"
)

func otlpKind() *kind {
	return &kind{
		labels: []string{"name"},
		blocks: []string{"metric"},
		attrs: []attr{
			{name: "grpc", typ: text, def: defaults.OTLPGRPC}, {name: "http", typ: text, def: defaults.OTLPHTTP},
			{name: "service_name", typ: text},
			{name: "every", typ: duration, def: defaults.OTLPEvery, least: int64(fastest), most: int64(slowestScrape)},
		},
	}
}

func (l *loader) decodeOTLP(b *block, s *Service) *OTLP {
	o := &OTLP{
		Name: b.name("otlp", checkWord), Range: b.header, ServiceName: s.Name, Every: b.duration("every"),
		GRPC: b.checked("grpc", checkReceiver), HTTP: b.checked("http", checkReceiver),
	}
	if b.has("service_name") {
		o.ServiceName = b.checked("service_name", checkGlob)
	}
	if o.GRPC == "" && o.HTTP == "" {
		l.fail(b.header, "Nothing to listen on", "%s has neither grpc nor http: nothing would come.", upper(b.what))
	}
	l.speaks(o.GRPC, "grpc", b)
	l.speaks(o.HTTP, "http", b)
	o.Metrics = l.decodeMetrics(b, o.Every)
	return o
}

// speaks complains about an address on which the other protocol is spoken. Blocks may share one for the same.
func (l *loader) speaks(address, protocol string, b *block) {
	key := func(protocol string) string { return "otlp " + protocol + "\n" + address }
	for _, other := range []string{"grpc", "http"} {
		if before, taken := l.first[key(other)]; taken && other != protocol && address != "" {
			b.fail(protocol, "Wrong value", "%s: %q is the address for %s at %s.", protocol, address, other, place(before))
		}
	}
	l.first[key(protocol)] = b.at(protocol)
}

// checkReceiver is for addresses on which others tell the agent something; "" is for not at all.
func checkReceiver(s string) string {
	if s == "" {
		return ""
	}
	if wrong := checkAddress(s); wrong != "" {
		return wrong
	}
	if wrong := checkLoopback(s); wrong != "" {
		return fmt.Sprintf("%q is not a loopback address, and anybody could send to it", s)
	}
	return ""
}

// checkGlob is for a glob of the attribute service.name.
func checkGlob(s string) string {
	if s == "" || !glob.Valid(s) {
		return fmt.Sprintf("%q is not a pattern of names, such as \"shop\" or \"shop-*\"", s)
	}
	return ""
}
