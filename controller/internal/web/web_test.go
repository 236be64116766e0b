package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/salveops/salve/controller/internal/adminapi"
	"github.com/salveops/salve/controller/internal/adminapi/admintest"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/adminpb"
)

// site is a world that is served over HTTP.
type site struct {
	*admintest.World
	t    *testing.T
	api  *adminapi.Server
	base string
	stop context.CancelFunc
	done chan error
}

func newSite(t *testing.T) *site {
	t.Helper()
	w, err := admintest.NewWorld()
	if err != nil {
		t.Fatal(err)
	}
	lines, err := transport.New(transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	api := w.API()
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(NewCollector(api))
	s := New(Options{Admin: api, Address: "127.0.0.1:0", Listen: lines, Metrics: metrics, Unready: api.Unready})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	x := &site{World: w, t: t, api: api, base: "http://" + s.Addr().String(), stop: cancel, done: done}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
		done <- nil
	})
	return x
}

// call makes a request; headers are names and values in turn.
func (s *site) call(method, path, body string, headers ...string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func (s *site) post(method, body string) (int, string) {
	s.t.Helper()
	return s.call("POST", "/api/v1/"+method, body, "Content-Type", "application/json")
}

// Every method of the service is there, by its own name, but for the one that takes a stream.
func TestEveryMethodIsServed(t *testing.T) {
	s := newSite(t)
	_, text := s.call("GET", "/api/v1/", "")
	var listed struct{ Methods []string }
	if err := json.Unmarshal([]byte(text), &listed); err != nil {
		t.Fatal(err)
	}
	desc := adminpb.Admin_ServiceDesc
	if got, want := len(listed.Methods), len(desc.Methods)+len(desc.Streams)-1; got != want {
		t.Errorf("%d methods are listed, want %d", got, want)
	}
	for _, m := range desc.Methods {
		code, text := s.post(m.MethodName, "{}")
		if code != 200 && code != 400 || !json.Valid([]byte(text)) {
			t.Errorf("%s: %d %s", m.MethodName, code, text)
		}
		get, _ := s.call("GET", "/api/v1/"+m.MethodName, "")
		if reads := get != http.StatusMethodNotAllowed; reads != (code == 200 || strings.HasPrefix(m.MethodName, "Get")) {
			t.Errorf("%s: GET gives %d, POST %d", m.MethodName, get, code)
		}
	}
}

func TestCalls(t *testing.T) {
	s := newSite(t)
	json, form := []string{"Content-Type", "application/json"}, []string{"Content-Type", "text/plain"}
	tests := []struct {
		name, method, path, body string
		headers                  []string
		code                     int
		text                     string // part of the answer
	}{
		{"post", "POST", "ListHosts", `{"stale": true}`, json, 200, `"name":"web-1"`},
		{"names of the API", "POST", "Status", ``, json, 200, `"open_incidents":2`},
		{"charset", "POST", "Status", `{}`, []string{"Content-Type", "application/json; charset=utf-8"}, 200, `"leader":"c1"`},
		{"get", "GET", "ListIncidents?all&limit=1", "", nil, 200, `"incidents":[{"id":"`},
		{"get with a value", "GET", "ListIncidents?all=false&service=db", "", nil, 200, `"service":"db"`},
		{"get of one", "GET", "GetIncident?id=last", "", nil, 200, `"host_name":"web-3"`},
		{"write", "POST", "Silence", `{"match":[{"name":"service","value":"db"}],"by":"ann","reason":"x","for":"60000000000"}`, json, 200, `"id":"silence-`},
		{"unknown key", "GET", "ListIncidents?serivce=db", "", nil, 400, `serivce`},
		{"key twice", "GET", "ListIncidents?service=a&service=b", "", nil, 400, `more than once`},
		{"no number", "GET", "ListIncidents?limit=many", "", nil, 400, `many`},
		{"number too large", "GET", "ListIncidents?limit=4294967296", "", nil, 400, `out of range`},
		{"unknown field", "POST", "Status", `{"stael": true}`, json, 400, `stael`},
		{"no JSON", "POST", "Status", `stale`, json, 400, `as JSON`},
		{"form", "POST", "Status", `{}`, form, 415, `must be application/json`},
		{"write by get", "GET", "Resume?pause=all&by=ann", "", nil, 405, `POST it`},
		{"put", "PUT", "Status", `{}`, json, 405, `POST it`},
		{"no such method", "POST", "Destroy", `{}`, json, 404, `there is no method`},
		{"stream in", "POST", "Restore", `{}`, json, 404, `there is no method`},
		{"too large", "POST", "Status", `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, json, 413, `1 MiB`},
		{"invalid", "POST", "Acknowledge", `{"id":"last"}`, json, 400, `"code":"InvalidArgument"`},
		{"not found", "POST", "EndSilence", `{"id":"silence-99","by":"ann"}`, json, 404, `"code":"NotFound"`},
		{"refused", "POST", "RemoveHost", `{"host":"web-3","by":"ann","reason":"x"}`, json, 409, `"reason":"acting"`},
		{"page of another site", "POST", "Status", `{}`, append([]string{"Sec-Fetch-Site", "cross-site"}, json...), 403, `another site`},
		{"another origin", "POST", "Status", `{}`, append([]string{"Origin", "https://evil.example"}, json...), 403, `another site`},
		{"name that was made to mean loopback", "GET", "Status", "", []string{"Host", "evil.example:7602"}, 403, `loopback addresses only`},
		{"localhost", "GET", "Status", "", []string{"Host", "localhost:7602"}, 200, `"leader":"c1"`},
		{"IPv6", "GET", "Status", "", []string{"Host", "[::1]:7602"}, 200, `"leader":"c1"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, text := s.call(tt.method, "/api/v1/"+tt.path, tt.body, tt.headers...)
			if code != tt.code || !strings.Contains(text, tt.text) {
				t.Errorf("got %d %s, want %d and %q in it", code, text, tt.code, tt.text)
			}
		})
	}
}

func TestFaultsOfTheCluster(t *testing.T) {
	s := newSite(t)
	s.Follow("c2", "127.0.0.2:7600", 0)
	code, text := s.post("Status", "{}")
	if code != http.StatusMisdirectedRequest || !strings.Contains(text, `"metadata":{"address":"127.0.0.2:7600","leader":"c2"}`) {
		t.Errorf("on a follower: %d %s", code, text)
	}
	s.Follow("", "", time.Minute)
	if code, text = s.post("Status", "{}"); code != 503 || !strings.Contains(text, `"reason":"NO_QUORUM"`) {
		t.Errorf("without a leader: %d %s", code, text)
	}
	if code, text = s.call("GET", "/api/v1/Status?stale", ""); code != 200 || !strings.Contains(text, `"stale":"60000000000"`) {
		t.Errorf("stale: %d %s", code, text)
	}
	if code, text = s.call("GET", "/readyz", ""); code != 503 || text != "node c1 has heard no leader for 1m0s\n" {
		t.Errorf("/readyz: %d %s", code, text)
	}
	if code, text = s.call("GET", "/healthz", ""); code != 200 || text != "ok\n" {
		t.Errorf("/healthz: %d %s", code, text)
	}
}

func TestReadyAndMetrics(t *testing.T) {
	s := newSite(t)
	if code, text := s.call("GET", "/readyz", ""); code != 200 || text != "ok\n" {
		t.Errorf("/readyz: %d %s", code, text)
	}
	_, text := s.call("GET", "/metrics", "")
	for _, want := range []string{
		`salve_controller_up 1`, `salve_controller_leads 1`, `salve_controller_hosts{state="known"} 4`,
		`salve_controller_permits_open 1`, `salve_controller_incidents{state="escalated"} 1`, `salve_controller_raft_term 3`,
		`salve_controller_build_info{node="c1",version="v0.0.0-test"} 1`,
		`salve_controller_config_reload_ok 1`, `salve_controller_config_reloads_refused_total 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	s.Refuse("controller.hcl:7: no such key")
	_, text = s.call("GET", "/metrics", "")
	for _, want := range []string{
		`salve_controller_config_reload_ok 0`, `salve_controller_config_reloads_refused_total 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	if code, _ := s.call("POST", "/metrics", ""); code != http.StatusMethodNotAllowed {
		t.Errorf("POST /metrics: %d", code)
	}
}

// A stream is one JSON document a line, and ends with its client and with the node.
func TestStream(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", s.base+"/api/v1/Watch?replay=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got := answer.Header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("the stream is %s", got)
	}
	lines := bufio.NewScanner(answer.Body)
	next := func(want string) {
		t.Helper()
		if !lines.Scan() || !json.Valid(lines.Bytes()) || !strings.Contains(lines.Text(), want) {
			t.Fatalf("got %q, %v, want %q in it", lines.Text(), lines.Err(), want)
		}
	}
	next(`"type":"intent"`)
	if err := s.Web3.Tell(s.Web3.Line("dddd4444dddd4444dddd4444dddd4444", "act", "done")); err != nil {
		t.Fatal(err)
	}
	next(`"text":"done"`)
	s.stop() // the node: a stream that has begun says why it ends, and holds nothing up
	next(`"error":{`)
	if lines.Scan() {
		t.Errorf("after its end there comes %q", lines.Text())
	}
}

func TestStreamThatDoesNotBegin(t *testing.T) {
	s := newSite(t)
	for path, want := range map[string]int{
		"GetEvidence?digest=" + strings.Repeat("00", 32): 404, "GetEvidence?digest=00": 400, "Watch?replay=x": 400,
	} {
		if code, text := s.call("GET", "/api/v1/"+path, ""); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, text, want)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	s := newSite(t)
	lines, err := transport.New(transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	second := New(Options{Admin: s.api, Address: strings.TrimPrefix(s.base, "http://"), Listen: lines, Unready: s.api.Unready})
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "serve HTTP: ") {
		t.Errorf("the address is taken, and the error is %v", err)
	}
}

// FuzzAPI sends anything to any method: the answer is JSON, and no fault of this side.
func FuzzAPI(f *testing.F) {
	for _, m := range adminpb.Admin_ServiceDesc.Methods {
		f.Add(m.MethodName, "", []byte(`{}`))
	}
	f.Add("ListIncidents", "all&limit=3&service=db", []byte(nil))
	f.Add("Pause", "", []byte(`{"scope":"checkout","by":"ann","reason":"x","for":"1000000000","wait":"1"}`))
	f.Add("RevokePermit", "", []byte(`{"token":{"generation":"1111","n":"3"},"by":"ann","reason":"x"}`))
	w, err := admintest.NewWorld()
	if err != nil {
		f.Fatal(err)
	}
	api := newAPI(w.API(), nil, hclog.NewNullLogger(), context.Background())
	f.Fuzz(func(t *testing.T, method, query string, body []byte) {
		if method == "Pause" && bytes.Contains(body, []byte("wait")) {
			body = bytes.ReplaceAll(body, []byte("wait"), []byte("by")) // else it may wait, which is no fault
		}
		for _, verb := range []string{"GET", "POST"} {
			r, err := http.NewRequestWithContext(t.Context(), verb, "/api/v1/x", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.URL.RawQuery = query
			r.SetPathValue("method", method)
			r.Header.Set("Content-Type", "application/json")
			if method == "Watch" {
				continue
			}
			a := &answer{header: http.Header{}}
			api.serve(a, r)
			if a.code == 500 || a.code == 0 || !json.Valid(a.body.Bytes()) && a.header.Get("Content-Type") == "application/json" {
				t.Errorf("%s %s: %d %s", verb, method, a.code, a.body.String())
			}
		}
	})
}

// answer keeps what a handler says.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(code int) {
	if a.code != 0 {
		panic(fmt.Sprint("two headers: ", a.code, code))
	}
	a.code = code
}

func (a *answer) Write(b []byte) (int, error) {
	if a.code == 0 {
		a.code = 200
	}
	return a.body.Write(b)
}
