package chaos

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/localpb"
	"github.com/salveops/salve/proto/logpb"
)

func story(id string, state logpb.IncidentState, alerts ...*logpb.Alert) *adminpb.GetIncidentResponse {
	return &adminpb.GetIncidentResponse{Incident: &logpb.Incident{Id: id, State: state}, Alerts: alerts}
}

func TestLostAndTwice(t *testing.T) {
	one := func() *adminpb.GetIncidentResponse {
		return story("i1", resolved, &logpb.Alert{Key: &logpb.AlertKey{Host: "h", Stream: "s", N: 1}, HostName: "web-1",
			Local: "l1", Rule: "down"})
	}
	journals := map[string][]*localpb.Incident{"web-1": {
		{Summary: &localpb.IncidentSummary{Id: "l1"}, Alerts: []*localpb.Alert{{Rule: "down"}}},
	}}
	if lost := Lost(journals, []*adminpb.GetIncidentResponse{one()}); len(lost) > 0 {
		t.Errorf("lost: %v", lost)
	}
	if lost := Lost(journals, nil); len(lost) != 1 {
		t.Errorf("nothing came to the controllers, and lost are %v", lost)
	}
	if twice := Twice([]*adminpb.GetIncidentResponse{one()}); len(twice) > 0 {
		t.Errorf("twice: %v", twice)
	}
	other := one()
	other.Incident.Id = "i2"
	if twice := Twice([]*adminpb.GetIncidentResponse{one(), other}); len(twice) != 1 {
		t.Errorf("the alert is in two incidents, and twice are %v", twice)
	}
}

const (
	resolved  = logpb.IncidentState_INCIDENT_STATE_RESOLVED
	escalated = logpb.IncidentState_INCIDENT_STATE_ESCALATED
)

func told(kind notify.Kind, incident string) rig.Page {
	return rig.Page{Payload: notify.Payload{Message: notify.Message{Kind: kind, Incident: incident}}}
}

func TestUnheard(t *testing.T) {
	mine := story("i1", escalated)
	mine.Aliases = []string{"i0"}
	for name, c := range map[string]struct {
		pages []rig.Page
		want  []string
	}{
		"heard":                  {[]rig.Page{told(notify.Trigger, "i1")}, nil},
		"heard before the merge": {[]rig.Page{told(notify.Trigger, "i0")}, nil},
		"of another":             {[]rig.Page{told(notify.Trigger, "i2")}, []string{"i1"}},
		"never":                  {nil, []string{"i1"}},
	} {
		if got := Unheard([]*adminpb.GetIncidentResponse{mine, story("i3", resolved)}, c.pages); !cmp.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestUntold(t *testing.T) {
	for name, c := range map[string]struct {
		pages []rig.Page
		open  int
		wrong int
	}{
		"told":              {[]rig.Page{told(notify.Trigger, "i"), told(notify.Resolve, "i")}, 0, 0},
		"open":              {[]rig.Page{told(notify.Trigger, "i"), told(notify.Reminder, "i")}, 1, 0},
		"after the end":     {[]rig.Page{told(notify.Resolve, "i"), told(notify.Trigger, "i")}, 0, 1},
		"not to be trusted": {[]rig.Page{{Problem: errors.New("not signed")}}, 0, 1},
	} {
		if open, wrong := Untold(c.pages); len(open) != c.open || len(wrong) != c.wrong {
			t.Errorf("%s: open %v, wrong %v", name, open, wrong)
		}
	}
}
