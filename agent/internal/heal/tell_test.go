package heal

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// What is told fits into an entry of the controller's log, whatever a program has printed or a mount point is called.
func TestWhatIsToldIsBounded(t *testing.T) {
	t.Parallel()
	endless := strings.Repeat("ä", 200<<10)
	a := &incident.Alert{Rule: "full", Instance: "/" + endless, Condition: endless}
	ev := incident.Event{Text: "x" + endless, Fields: map[string]string{}}
	for n := range 1000 {
		a.Values = append(a.Values, incident.Value{Signal: "host.disk", Text: endless})
		ev.Fields[fmt.Sprintf("field-%04d", n)] = endless
	}
	alert, line := alertOf(a, nil, "local"), lineOf(ev)
	for _, m := range []proto.Message{alert, line} {
		if n := proto.Size(m); n > 200<<10 {
			t.Errorf("%T has %d bytes", m, n)
		}
	}
	for _, text := range []string{
		alert.GetInstance(), alert.GetCondition(), line.GetText(), line.GetFields()[0].GetValue(),
	} {
		if !utf8.ValidString(text) || !strings.HasSuffix(text, "ä…") {
			t.Errorf("cut wrongly: …%s", text[len(text)-8:])
		}
	}
	if n := len(alert.GetInstance()); n > maxInstance {
		t.Errorf("the instance has %d bytes", n)
	}
	if got := alertOf(&incident.Alert{Instance: "/var"}, nil, "").GetInstance(); got != "/var" {
		t.Errorf("what is short became %q", got)
	}
}

// The controller learns how good remedies are, and nothing of what only looks.
func TestOutcomesAreTold(t *testing.T) {
	t.Parallel()
	var line logpb.Story
	tellOutcome(&incident.Attempt{Kind: "restart", Remedy: "r", Outcome: incident.Ineffective})(&line)
	if got := line.GetOutcome(); got.GetIneffective() != 1 || got.GetRemedy() != "r" {
		t.Errorf("told: %v", got)
	}
	if tellOutcome(&incident.Attempt{Kind: "dump", Remedy: "r", Outcome: incident.Ineffective}) != nil {
		t.Error("a dump counts as a remedy that did not help")
	}
}
