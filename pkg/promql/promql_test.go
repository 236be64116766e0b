package promql

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vector is what Prometheus 2.42 answers, with those elements.
func vector(elements string) string {
	return `{"status":"success","data":{"resultType":"vector","result":[` + elements + `]}}`
}

// figure is the number of a host in an answer.
func figure(label, host, answer string) (Figure, error) {
	a, err := read([]byte(answer), label)
	if err != nil {
		return Figure{}, err
	}
	return a.Figure(host)
}

func TestRead(t *testing.T) {
	moment := time.UnixMilli(1795815255255)
	three := Figure{Value: 3, Known: true, At: moment}
	one := `{"metric":{"instance":"web-1:9100"},"value":[1795815255.255,"3"]}`
	two := one + `,{"metric":{"instance":"web-10"},"value":[1795815255.255,"4"]},{"metric":{},"value":[1795815255.255,"5"]}`
	tests := []struct {
		name, label, host, answer string
		want                      Figure
		err                       string
	}{
		{"vector", "", "", vector(one), three, ""},
		{"scalar", "", "", `{"status":"success","data":{"resultType":"scalar","result":[1795815255.255,"3"]}}`, three, ""},
		{"empty", "", "", vector(""), Figure{}, ""},
		{"nothing", "", "", `{"status":"success","data":{"resultType":"vector","result":null}}`, Figure{}, ""},
		{"not a number", "", "", vector(`{"metric":{},"value":[1,"NaN"]}`), Figure{At: time.Unix(1, 0)}, ""},
		{"infinite", "", "", vector(`{"metric":{},"value":[1,"-Inf"]}`), Figure{At: time.Unix(1, 0)}, ""},
		{"too large", "", "", vector(`{"metric":{},"value":[1,"1e999"]}`), Figure{At: time.Unix(1, 0)}, ""},
		{"several", "", "", vector(two), Figure{}, "the answer has 3 elements: aggregate"},
		{"by host and port", "instance", "web-1", vector(two), three, ""},
		{"by host", "instance", "web-10", vector(two), Figure{Value: 4, Known: true, At: moment}, ""},
		{"by another host", "instance", "web", vector(two), Figure{}, ""},
		{"by another label", "job", "web-1", vector(two), Figure{}, ""},
		{"twice", "instance", "web-1", vector(one + "," + one), Figure{}, `2 elements of the answer have instance = "web-1": aggregate`},
		{"histogram", "", "", vector(`{"metric":{},"histogram":[1,{"count":"1"}]}`), Figure{}, "is a histogram"},
		{"matrix", "", "", `{"status":"success","data":{"resultType":"matrix","result":[]}}`, Figure{}, "is a matrix"},
		{"text", "", "", `{"status":"success","data":{"resultType":"string","result":[1,"a"]}}`, Figure{}, "is a string"},
		{"refused", "", "", `{"status":"error","errorType":"bad_data","error":"parse error"}`, Figure{}, "bad_data: parse error"},
		{"no JSON", "", "", `<html>`, Figure{}, "not the JSON of a Prometheus server"},
		{"other JSON", "", "", `[]`, Figure{}, "not the JSON of a Prometheus server"},
		{"no status", "", "", `{}`, Figure{}, ": "},
		{"short value", "", "", vector(`{"metric":{},"value":[1]}`), Figure{}, "a moment and a number"},
		{"word", "", "", vector(`{"metric":{},"value":[1,"x"]}`), Figure{}, `"x" is no number`},
		{"far moment", "", "", vector(`{"metric":{},"value":[1e300,"1"]}`), Figure{}, "beyond all years"},
		{"no scalar", "", "", `{"status":"success","data":{"resultType":"scalar","result":null}}`, Figure{}, "read answer"},
	}
	for _, tt := range tests {
		got, err := figure(tt.label, tt.host, tt.answer)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

// server is asked by clients of these tests.
func server(t *testing.T, answer http.HandlerFunc) string {
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

func ask(t *testing.T, q Query) (*Answer, error) {
	c := New(q)
	defer c.Close()
	return c.Ask(t.Context())
}

// What is asked, and how a server knows who asks.
func TestAsk(t *testing.T) {
	var got []string
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, basic := r.BasicAuth()
		got = append(got, r.Method+" "+r.URL.Path+" "+r.FormValue("query")+" "+r.FormValue("timeout"))
		if basic {
			got = append(got, user+":"+password)
		} else if a := r.Header.Get("Authorization"); a != "" {
			got = append(got, a)
		}
		_, _ = io.WriteString(w, strings.Replace(vector(""), `"data"`, `"warnings":["half"],"data"`, 1))
	})
	hush := filepath.Join(t.TempDir(), "hush")
	if err := os.WriteFile(hush, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, q := range []Query{{}, {User: "salve", SecretFile: hush}, {SecretFile: hush}} {
		q.URL, q.Expr, q.Timeout = url+"/prometheus/", "sum(a + b)", 10*time.Second
		if a, err := ask(t, q); err != nil || !slices.Equal(a.Warnings, []string{"half"}) {
			t.Errorf("%+v, %v", a, err)
		}
	}
	question := "POST /prometheus/api/v1/query sum(a + b) 10000ms"
	if diff := cmp.Diff([]string{question, question, "salve:hush", question, "Bearer hush"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := ask(t, Query{URL: url, Timeout: time.Second, SecretFile: hush + "!"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the secret: %v", err)
	}
}

// What can go wrong on the way is told without the address, in which something secret may stand.
func TestFaults(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"refused", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"status":"error","errorType":"execution","error":"too many samples"}`)
		}, "status 422: execution: too many samples"},
		{"denied", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, "status 401: "},
		{"moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/else", http.StatusFound) }, "status 302: "},
		{"slow", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body) // or the server does not see that nobody waits any more
			<-r.Context().Done()
		}, "deadline exceeded"},
		{"long", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat(" ", most)+vector(""))
		}, "more than 1048576 bytes; aggregate"},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, vector("")[:20])
		}, "read answer: unexpected EOF"},
	}
	for _, tt := range tests {
		timeout := 10 * time.Second
		if tt.name == "slow" {
			timeout = 100 * time.Millisecond
		}
		_, err := ask(t, Query{URL: server(t, tt.answer) + "/?key=hidden", Timeout: timeout})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
	for _, url := range []string{"http://127.0.0.1:1/?key=hidden", "ftp://127.0.0.1/?key=hidden"} {
		if _, err := ask(t, Query{URL: url, Timeout: time.Second}); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// FuzzAnswer: whatever a server says, reading it ends, and what is known is one finite number.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(vector(`{"metric":{"instance":"web-1:9100"},"value":[1795815255.255,"3"]}`)), "instance", "web-1")
	f.Fuzz(func(t *testing.T, raw []byte, label, host string) {
		a, err := figure(label, host, string(raw))
		if a.Known && (err != nil || a.Value-a.Value != 0) {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
