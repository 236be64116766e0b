package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/require"
)

// eventually polls a real process, which sends no event to wait for.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}

// realAlertmanager is Debian's Alertmanager, which pages a PagerDuty of the test.
type realAlertmanager struct {
	t    *testing.T
	url  string
	page *pagerDutyFake
}

const alertmanagerConfig = `
route:
  receiver: page
  group_by: [incident, severity]
  group_wait: 10ms
  group_interval: 100ms
receivers:
- name: page
  pagerduty_configs:
  - routing_key: %s
    url: %s
    client: '{{ .GroupLabels.incident }} {{ .GroupLabels.severity }}'
    description: '{{ .CommonAnnotations.summary }}'
`

func startAlertmanager(t *testing.T) *realAlertmanager {
	program, err := exec.LookPath("prometheus-alertmanager")
	require.That(t, "Alertmanager", err == nil, "Debian package prometheus-alertmanager")
	page, dir := startPagerDuty(t), t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	text := fmt.Sprintf(alertmanagerConfig, testRoutingKey, page.url())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := require.Port(t)
	cmd := exec.Command(program, "--config.file="+file, "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--cluster.listen-address=")
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	stop := run(t, cmd)
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("alertmanager:\n%s", log.String())
		}
	})
	am := &realAlertmanager{t, "http://" + address, page}
	eventually(t, "Alertmanager is ready", func() bool {
		resp, err := http.Get(am.url + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return am
}

// run starts a program that dies with the test. The kernel ties that to the thread that started it, so the thread
// waits for its end.
func run(t *testing.T, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Kill()
		<-ended
	}
}

// listed is an alert as Alertmanager lists it.
type listed struct {
	Labels, Annotations       map[string]string
	StartsAt, EndsAt          time.Time
	Fingerprint, GeneratorURL string
	Status                    struct{ State string }
}

// list is what fires of the incident, by Alertmanager's own reckoning.
func (am *realAlertmanager) list(incident string) (alerts []listed) {
	am.t.Helper()
	resp, err := http.Get(am.url + "/api/v2/alerts?filter=" + url.QueryEscape(fmt.Sprintf("incident=%q", incident)))
	if err != nil {
		am.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&alerts); err != nil || resp.StatusCode != http.StatusOK {
		am.t.Fatalf("%d, %v", resp.StatusCode, err)
	}
	return alerts
}

// severities are those of the incident's alerts.
func (am *realAlertmanager) severities(incident string) string {
	var found []string
	for _, a := range am.list(incident) {
		found = append(found, a.Labels["severity"])
	}
	slices.Sort(found)
	return strings.Join(found, " ")
}

// paged waits until so many pages have gone out, and hands out what they did.
func (am *realAlertmanager) paged(n int) (did []string) {
	am.t.Helper()
	eventually(am.t, fmt.Sprintf("%d pages", n), func() bool { return len(am.page.told()) >= n })
	for _, line := range am.page.told() {
		_, what, _ := strings.Cut(line, " ")
		did = append(did, what)
	}
	return did
}

// The whole life of an incident in a real Alertmanager: listed with its labels, the same when sent again, one severity
// at a time, ended by a resolve; and Alertmanager pages for it once per severity, and never for those that it only
// heard to be over. That PagerDuty's fake takes Alertmanager's own events shows that it is not stricter than it may be.
func TestRealAlertmanager(t *testing.T) {
	am := startAlertmanager(t)
	s, err := New(&config.Notifier{
		Kind: "alertmanager", Name: "am", URLs: []string{am.url}, Labels: map[string]string{"team": "payments"},
	}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	m := sample()
	m.At = time.Now().Add(-time.Second)
	send := func(kind Kind, severity string) {
		t.Helper()
		m.Kind, m.Severity = kind, severity
		if err := s.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	send(Trigger, "warning")
	first := am.list("0a")
	if len(first) != 1 {
		t.Fatalf("listed: %+v", first)
	}
	a := first[0]
	if a.Labels["alertname"] != AlertName || a.Labels["service"] != "checkout" || a.Labels["severity"] != "warning" ||
		a.Labels["team"] != "payments" || a.Annotations["description"] != m.Summary || a.Annotations["summary"] != m.Title {
		t.Errorf("listed %+v", a)
	}
	if left := time.Until(a.EndsAt); left < MannerOf(s).Lasts-time.Minute || left > MannerOf(s).Lasts {
		t.Errorf("lasts %v, said to last %v", left, MannerOf(s).Lasts)
	}

	m.At = time.Now()
	send(Reminder, "warning")
	again := am.list("0a")
	if len(again) != 1 || again[0].Fingerprint != a.Fingerprint || !again[0].StartsAt.Equal(a.StartsAt) {
		t.Errorf("sent again: %+v, was %+v", again, a)
	}
	if did := am.paged(1); did[0] != "opened" {
		t.Errorf("paged %q", did)
	}

	send(Trigger, "critical")
	if got := am.severities("0a"); got != "critical" {
		t.Errorf("graver now, and listed as %q", got)
	}
	did := am.paged(3)
	slices.Sort(did)
	if !slices.Equal(did, []string{"opened", "opened", "resolved"}) {
		t.Errorf("paged %q", did)
	}

	send(Resolve, "critical")
	eventually(t, "nothing fires any more", func() bool { return am.severities("0a") == "" })
	send(Resolve, "critical")
	did = am.paged(4)
	slices.Sort(did)
	open, bad := am.page.state()
	if !slices.Equal(did, []string{"opened", "opened", "resolved", "resolved"}) || open > 0 || len(bad) > 0 {
		t.Errorf("paged %q, %d open, refused %q", did, open, bad)
	}
}

// A page under a key of a node's own is another alert, and its resolve ends that one only.
func TestRealAlertmanagerAdoptedKey(t *testing.T) {
	am := startAlertmanager(t)
	s, err := New(&config.Notifier{Kind: "alertmanager", Name: "am", URLs: []string{am.url}}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	m := sample()
	for _, step := range []struct {
		kind  Kind
		dedup string
		want  [2]string
	}{
		{Trigger, "host-1/0a", [2]string{"", "critical"}},
		{Trigger, "", [2]string{"critical", "critical"}},
		{Resolve, "host-1/0a", [2]string{"critical", ""}},
		{Resolve, "", [2]string{"", ""}},
	} {
		m.Kind, m.Dedup = step.kind, step.dedup
		if err := s.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("after %s of %q: %q", step.kind, step.dedup, step.want), func() bool {
			return [2]string{am.severities("0a"), am.severities("host-1/0a")} == step.want
		})
	}
}

// What Alertmanager refuses is refused for good, and said with its own words.
func TestRealAlertmanagerRefuses(t *testing.T) {
	am := startAlertmanager(t)
	for name, n := range map[string]config.Notifier{
		"label":     {URLs: []string{am.url}, Labels: map[string]string{"not-a-label": "x"}},
		"wrong URL": {URLs: []string{am.url + "/elsewhere"}},
	} {
		n.Kind, n.Name = "alertmanager", "am"
		s, err := New(&n, Deps{})
		if err != nil {
			t.Fatal(err)
		}
		if e := Classify(s.Send(context.Background(), sample())); e == nil || !e.Permanent {
			t.Errorf("%s: %+v", name, e)
		} else if !strings.Contains(e.Error(), "answer was 4") {
			t.Errorf("%s: %v", name, e)
		}
	}
}
