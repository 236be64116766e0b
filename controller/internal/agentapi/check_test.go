package agentapi

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// What is too long or too much is refused, and the refusal names the field.
func TestBoundsNameTheField(t *testing.T) {
	t.Parallel()
	name, digest := long(maxName+1), make([]byte, maxDigest+1)
	reports := func(n int, name string) (out []*logpb.ServiceReport) {
		for range n {
			out = append(out, &logpb.ServiceReport{Service: name})
		}
		return out
	}
	event := func(e *logpb.Event) proto.Message { return &logpb.Events{Event: []*logpb.Event{{}, e}} }
	fired := func(a *logpb.Alert) proto.Message { return event(&logpb.Event{What: &logpb.Event_Fired{Fired: a}}) }
	story := func(c *logpb.Story) proto.Message { return event(&logpb.Event{What: &logpb.Event_Story{Story: c}}) }
	page := func(c *logpb.LocalPage) proto.Message { return event(&logpb.Event{What: &logpb.Event_Page{Page: c}}) }
	for want, m := range map[string]proto.Message{
		"hello.name has 257 bytes; at most 256":       &logpb.Hello{Name: name},
		"hello.services has 1001 items; at most 1000": &logpb.Hello{Services: reports(maxServices+1, "s")},
		"hello.services[1].service has 257 bytes":     &logpb.Hello{Services: append(reports(1, "s"), reports(1, name)...)},
		"hello.services[0].service is empty":          &logpb.Hello{Services: reports(1, "")},
		"hello.services[0].depends_on[1] has 257 bytes": &logpb.Hello{Services: []*logpb.ServiceReport{
			{Service: "s", DependsOn: []string{"a", name}}}},
		"hello.services[0].depends_on has 101 items": &logpb.Hello{Services: []*logpb.ServiceReport{
			{Service: "s", DependsOn: make([]string, maxDepends+1)}}},
		"hello.running[0].targets[0].resource has": &logpb.Hello{Running: []*logpb.Running{
			{Targets: []*logpb.Target{{Resource: name}}}}},
		"hello.running[0].digest has 65 bytes": &logpb.Hello{Running: []*logpb.Running{{Digest: digest}}},
		"hello.labels[0].value has 257 bytes":  &logpb.Hello{Labels: []*logpb.Label{{Value: name}}},
		"hello has 2":                          &logpb.Hello{Services: reports(maxServices, long(maxName))}, // 261,000 bytes
		"request.unit has 257 bytes":           &logpb.Request{Unit: name},
		"request.digest has 65 bytes":          &logpb.Request{Digest: digest},
		"request.targets has 1001 items":       &logpb.Request{Targets: make([]*logpb.Target, maxTargets+1)},
		"request.claims[0].detection is negative": &logpb.Request{Claims: []*logpb.ServiceReport{
			{Service: "s", Detection: -1}}},
		"settle.reason has 4097 bytes":         &logpb.Settle{Reason: long(maxText + 1)},
		"settle.token.generation has":          &logpb.Settle{Token: &logpb.Token{Generation: name}},
		"edges.edge has 1001 items":            &logpb.Edges{Edge: edges(maxEdges+1, "s")},
		"edges.edge[0].service has":            &logpb.Edges{Edge: edges(1, name)},
		"edges has 2":                          &logpb.Edges{Edge: edges(maxEdges, long(maxName))},
		"confirm.generation has":               &logpb.ConfirmStanding{Generation: name},
		"events.stream has":                    &logpb.Events{Stream: name},
		"events.event has 10001 items":         &logpb.Events{Event: make([]*logpb.Event, maxCount+1)},
		"events.event[1].fired.rule has 257":   fired(&logpb.Alert{Rule: name}),
		"events.event[1].fired.local has 257":  fired(&logpb.Alert{Local: name}),
		"events.event[1].fired.values has":     fired(&logpb.Alert{Values: make([]string, maxItems+1)}),
		"events.event[1] has 300":              fired(&logpb.Alert{Condition: long(300_000)}),
		"events.event[1].story.local has 257":  story(&logpb.Story{Local: name}),
		"events.event[1].story.outcome.remedy": story(&logpb.Story{Outcome: &logpb.Statistic{Remedy: name}}),
		"events.event[1].story.event.fields[0].name": story(&logpb.Story{Event: &logpb.TimelineEvent{
			Fields: []*logpb.Label{{Name: name}}}}),
		"events.event[1].story.evidence[0].digest has 65": story(&logpb.Story{
			Evidence: []*logpb.EvidenceRef{{Digest: digest}}}),
		"events.event[1].hand_over.local has": event(&logpb.Event{What: &logpb.Event_HandOver{
			HandOver: &logpb.HandOver{Local: name}}}),
		"events.event[1].page.key has":            page(&logpb.LocalPage{Key: name}),
		"events.event[1].page.notifiers[1] has":   page(&logpb.LocalPage{Notifiers: []string{"a", name}}),
		"events.event[1].page.notifiers has 1001": page(&logpb.LocalPage{Notifiers: make([]string, maxItems+1)}),
	} {
		if err := checked(m); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s…", err, want)
		}
	}
}

// What is as long and as much as may be is taken, and fits into an entry of the log.
func TestBoundsTakeTheMost(t *testing.T) {
	t.Parallel()
	name := long(maxName)
	for _, m := range []proto.Message{
		&logpb.Hello{Name: name, Services: []*logpb.ServiceReport{{Service: name, DependsOn: []string{name}}}},
		&logpb.Request{Unit: name, Rule: name, Digest: make([]byte, maxDigest)},
		&logpb.Events{Event: []*logpb.Event{{What: &logpb.Event_Fired{Fired: &logpb.Alert{
			Rule: name, Instance: long(4096), Condition: long(10_000), Values: []string{long(10_000)}}}}}},
	} {
		if err := checked(m); err != nil {
			t.Error(err)
		}
	}
}

func edges(n int, service string) (out []*logpb.Edge) {
	for range n {
		out = append(out, &logpb.Edge{Service: service})
	}
	return out
}

// checked is the judgement of a message whose host and epoch are those of its session.
func checked(m proto.Message) error {
	x, r := &session{}, &agentpb.ConnectRequest{}
	switch m := m.(type) {
	case *logpb.Hello:
		m.Host, m.Nonce = "h1", "n"
		return checkHello(m)
	case *logpb.Request:
		r.What = &agentpb.ConnectRequest_Request{Request: m}
	case *logpb.Settle:
		r.What = &agentpb.ConnectRequest_Settle{Settle: m}
	case *logpb.Edges:
		r.What = &agentpb.ConnectRequest_Edges{Edges: m}
	case *logpb.ConfirmStanding:
		r.What = &agentpb.ConnectRequest_Confirm{Confirm: m}
	case *logpb.Events:
		r.What = &agentpb.ConnectRequest_Events{Events: m}
	}
	return checkMessage(x, r)
}
