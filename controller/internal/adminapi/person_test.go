package adminapi_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/salveops/salve/controller/internal/adminapi/admintest"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

func label(name, value string) []*logpb.Label { return []*logpb.Label{{Name: name, Value: value}} }

func TestIncidents(t *testing.T) {
	r := newRig(t)
	list := func(req *adminpb.ListIncidentsRequest) []string {
		t.Helper()
		var out []string
		for _, i := range must[*adminpb.ListIncidentsResponse](t)(r.ListIncidents(r.ctx, req)).GetIncidents() {
			if len(i.GetTimeline()) > 0 {
				t.Errorf("incident %s is listed with its timeline", i.GetId())
			}
			out = append(out, i.GetService())
		}
		return out
	}
	for _, tt := range []struct {
		req  *adminpb.ListIncidentsRequest
		want string
	}{
		{&adminpb.ListIncidentsRequest{}, "checkout db"},
		{&adminpb.ListIncidentsRequest{All: true}, "checkout db checkout"},
		{&adminpb.ListIncidentsRequest{All: true, Limit: 1}, "checkout"},
		{&adminpb.ListIncidentsRequest{All: true, Service: "db"}, "db"},
		{&adminpb.ListIncidentsRequest{Service: "nothing"}, ""},
	} {
		if got := strings.Join(list(tt.req), " "); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.req, got, tt.want)
		}
	}
}

func TestIncidentIsFound(t *testing.T) {
	r := newRig(t)
	get := func(id string) (*adminpb.GetIncidentResponse, error) {
		return r.GetIncident(r.ctx, &adminpb.GetIncidentRequest{Id: id})
	}
	last := must[*adminpb.GetIncidentResponse](t)(get("last"))
	id := last.GetIncident().GetId()
	if len(last.GetPermits()) != 1 || len(last.GetAlerts()) != 1 || len(last.GetIncident().GetTimeline()) == 0 {
		t.Errorf("the story lacks something: %v", last)
	}
	if got := last.GetNames(); len(got) != 1 || got[0].GetName() != "web-3" {
		t.Errorf("its hosts are %v, want web-3", got)
	}
	for _, name := range []string{id, id[:4], strings.ToUpper(id[:8]), " " + id, "dddd4444", "dddd4444dddd4444dddd4444dddd4444"} {
		if got, err := get(name); err != nil || got.GetIncident().GetId() != id {
			t.Errorf("%q: got %s, %v", name, got.GetIncident().GetId(), err)
		}
	}
	for name, code := range map[string]codes.Code{
		"": codes.InvalidArgument, id[:3]: codes.InvalidArgument, "nonsense": codes.InvalidArgument,
		strings.Repeat("a", 33): codes.InvalidArgument, "ffffffff": codes.NotFound,
	} {
		_, err := get(name)
		wants(t, err, code, "", "")
	}
}

func TestAcknowledgeReleaseResolve(t *testing.T) {
	r := newRig(t)
	// The newest is being healed; the one before was handed to people.
	all := must[*adminpb.ListIncidentsResponse](t)(r.ListIncidents(r.ctx, &adminpb.ListIncidentsRequest{})).GetIncidents()
	id := all[1].GetId()
	ack := must[*adminpb.AcknowledgeResponse](t)(r.Acknowledge(r.ctx, &adminpb.AcknowledgeRequest{Id: id[:6], By: "ann"}))
	if i := ack.GetIncident(); i.GetAckBy() != "ann" || i.GetState() != logpb.IncidentState_INCIDENT_STATE_ACKNOWLEDGED {
		t.Errorf("after the acknowledgement it is %v", i)
	}
	if ack.GetAt().GetIndex() != r.index() {
		t.Errorf("it holds from %d on and the log is at %d", ack.GetAt().GetIndex(), r.index())
	}
	must[*adminpb.ReleaseResponse](t)(r.Release(r.ctx, &adminpb.ReleaseRequest{Id: id, By: "ann"}))
	_, err := r.Release(r.ctx, &adminpb.ReleaseRequest{Id: all[0].GetId(), By: "ann"})
	wants(t, err, codes.FailedPrecondition, "state", "nobody acknowledged")

	_, err = r.Resolve(r.ctx, &adminpb.ResolveRequest{Id: id, By: "ann"})
	wants(t, err, codes.InvalidArgument, "", "the reason is missing")
	end := must[*adminpb.ResolveResponse](t)(r.Resolve(r.ctx, &adminpb.ResolveRequest{Id: id, By: "ann", Reason: "by hand"}))
	if !strings.Contains(end.GetIncident().GetEnd(), "by hand") {
		t.Errorf("it ended as %q", end.GetIncident().GetEnd())
	}
	_, err = r.Acknowledge(r.ctx, &adminpb.AcknowledgeRequest{Id: id, By: "ann"})
	wants(t, err, codes.FailedPrecondition, "ended", "has ended")
}

func TestHosts(t *testing.T) {
	r := newRig(t)
	twin := admintest.NewHost(r.Log, 0x77, "web-1", "checkout") // another machine of the same name
	if err := twin.Hello(); err != nil {
		t.Fatal(err)
	}
	remove := func(host string, gone bool) error {
		_, err := r.RemoveHost(r.ctx, &adminpb.RemoveHostRequest{Host: host, By: "ann", Reason: "scrapped", Gone: gone})
		return err
	}
	wants(t, remove("web-1", false), codes.InvalidArgument, "", "means several hosts")
	wants(t, remove("web-9", false), codes.NotFound, "", "host web-9 not found")
	wants(t, remove("web-3", false), codes.FailedPrecondition, "acting", "say --gone")
	for _, host := range []string{"7777", "web-2"} { // by the beginning of its ID, by its name
		if err := remove(host, false); err != nil {
			t.Errorf("remove %s: %v", host, err)
		}
	}
	wants(t, remove("7777", false), codes.NotFound, "", "not found")
	if err := remove("web-3", true); err != nil {
		t.Errorf("remove with gone: %v", err)
	}
	if got := must[*adminpb.ListPermitsResponse](t)(r.ListPermits(r.ctx, &adminpb.ListPermitsRequest{})); len(got.GetPermits()) > 0 {
		t.Errorf("permits of a machine that is gone: %v", got.GetPermits())
	}
	count := func(removed bool) int {
		req := &adminpb.ListHostsRequest{Removed: removed}
		return len(must[*adminpb.ListHostsResponse](t)(r.ListHosts(r.ctx, req)).GetHosts())
	}
	if count(false) != 2 || count(true) != 5 {
		t.Errorf("%d hosts and %d with the removed ones, want 2 and 5", count(false), count(true))
	}
	_, err := r.AdoptHost(r.ctx, &adminpb.AdoptHostRequest{Host: "web-1", By: "ann"})
	wants(t, err, codes.FailedPrecondition, "host", "is not quarantined")
}

func TestPermits(t *testing.T) {
	r := newRig(t)
	generation := r.Open.GetToken().GetGeneration()
	token := &logpb.Token{Generation: generation[:8], N: r.Open.GetToken().GetN()}
	_, err := r.RevokePermit(r.ctx, &adminpb.RevokePermitRequest{Token: &logpb.Token{N: 99}, By: "ann", Reason: "x"})
	wants(t, err, codes.NotFound, "", "there is no open permit 99")
	_, err = r.RevokePermit(r.ctx, &adminpb.RevokePermitRequest{By: "ann", Reason: "x"})
	wants(t, err, codes.InvalidArgument, "", "a token is")
	must[*adminpb.RevokePermitResponse](t)(r.RevokePermit(r.ctx, &adminpb.RevokePermitRequest{Token: token, By: "ann", Reason: "x"}))
	list := must[*adminpb.ListPermitsResponse](t)(r.ListPermits(r.ctx, &adminpb.ListPermitsRequest{}))
	if got := list.GetPermits(); len(got) != 1 || got[0].GetRevoked() != "ann" {
		t.Errorf("after the revocation there are %v", got)
	}
	_, err = r.SettlePermit(r.ctx, &adminpb.SettlePermitRequest{Token: token, By: "ann", Reason: "x"})
	wants(t, err, codes.InvalidArgument, "", "force")
	must[*adminpb.SettlePermitResponse](t)(r.SettlePermit(r.ctx, &adminpb.SettlePermitRequest{Token: token, By: "ann", Reason: "x", Force: true}))
	_, err = r.SettlePermit(r.ctx, &adminpb.SettlePermitRequest{Token: token, By: "ann", Reason: "x", Force: true})
	wants(t, err, codes.NotFound, "", "no open permit")
}

func TestSilencesAndChanges(t *testing.T) {
	r := newRig(t)
	made := must[*adminpb.SilenceResponse](t)(r.Silence(r.ctx, &adminpb.SilenceRequest{
		Match: label("host", "web-*"), By: "ann", Reason: "rack", For: 1e12,
	}))
	list := must[*adminpb.ListSilencesResponse](t)(r.ListSilences(r.ctx, &adminpb.ListSilencesRequest{}))
	if got := list.GetSilences(); len(got) != 1 || got[0].GetId() != made.GetId() {
		t.Errorf("silences: %v", got)
	}
	must[*adminpb.EndSilenceResponse](t)(r.EndSilence(r.ctx, &adminpb.EndSilenceRequest{Id: made.GetId(), By: "ann"}))
	_, err := r.EndSilence(r.ctx, &adminpb.EndSilenceRequest{Id: made.GetId(), By: "ann"})
	wants(t, err, codes.NotFound, "", "not found")

	for _, text := range []string{"release 1", "release 2"} {
		must[*adminpb.RecordChangeResponse](t)(r.RecordChange(r.ctx, &adminpb.RecordChangeRequest{
			Change: &logpb.Change{Host: "web-1", Kind: "deployment", Text: text, By: "ci", Id: "mine", At: 42},
		}))
	}
	changes := must[*adminpb.ListChangesResponse](t)(r.ListChanges(r.ctx, &adminpb.ListChangesRequest{}))
	if got := changes.GetChanges(); len(got) != 2 || got[0].GetText() != "release 2" || got[0].GetHost() != r.Web1.ID || got[0].GetAt() == 42 {
		t.Errorf("changes: %v", got)
	}
	audit := must[*adminpb.ListAuditResponse](t)(r.ListAudit(r.ctx, &adminpb.ListAuditRequest{After: 2})).GetRecords()
	if len(audit) == 0 || audit[0].GetN() != 3 || new(state.Chain).Take(audit[0]) != nil {
		t.Errorf("the audit after record 2 is %v", audit)
	}
}

// Whatever a caller puts into whichever text of whichever request: nothing of it comes into the log.
func TestNoMethodTakesHostileTexts(t *testing.T) {
	r := newRig(t)
	methods := adminpb.File_adminpb_admin_proto.Services().ByName("Admin").Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		if m.IsStreamingClient() || m.IsStreamingServer() {
			continue
		}
		for name, text := range map[string]string{"long": strings.Repeat("x", 5000), "control": "a\x1b[31m\nb"} {
			t.Run(string(m.Name())+"/"+name, func(t *testing.T) {
				before := r.index()
				req := newMessage(t, m.Input())
				fillTexts(req.ProtoReflect(), text)
				err := r.conn.Invoke(r.ctx, "/salve.admin.v1.Admin/"+string(m.Name()), req, newMessage(t, m.Output()))
				if r.index() != before {
					t.Errorf("it came into the log: %v, %v", req, err)
				}
			})
		}
	}
}

func newMessage(t *testing.T, d protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	return messageOf(t, d.FullName())
}

// fillTexts sets every text, and every number and flag to something that may be valid.
func fillTexts(m protoreflect.Message, text string) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch {
		case fd.IsList() && fd.Message() != nil:
			e := m.Mutable(fd).List().AppendMutable()
			fillTexts(e.Message(), text)
		case fd.IsList():
		case fd.Message() != nil:
			fillTexts(m.Mutable(fd).Message(), text)
		case fd.Kind() == protoreflect.StringKind:
			m.Set(fd, protoreflect.ValueOfString(text))
		case fd.Kind() == protoreflect.Int64Kind:
			m.Set(fd, protoreflect.ValueOfInt64(1e9))
		case fd.Kind() == protoreflect.BoolKind && fd.Name() != "until_resumed":
			m.Set(fd, protoreflect.ValueOfBool(true))
		}
	}
}
