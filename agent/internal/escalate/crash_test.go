package escalate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/notify"
)

// life is what the engine does with the courier in one incident: it calls Send, then it journals how far it
// came, in the same journal.
var life = []struct {
	state    incident.State
	delivery incident.Delivery
}{
	{incident.Escalated, trigger(0, "a")},
	{incident.Escalated, trigger(1, "a", "b")},
	{incident.Resolved, bye("a", "b")},
}

const engineKey = "engine"

// live goes on with the life from where the journal says that it was. A patient engine leaves the courier
// time between the steps.
func live(t *testing.T, d *disk, boxes map[string]*mailbox, patient bool) {
	t.Helper()
	from := 0
	if text, ok := after(d.durable, d.queue)[engineKey]; ok {
		if err := json.Unmarshal(text, &from); err != nil {
			t.Fatal(err)
		}
	}
	senders := map[string]notify.Sender{}
	for id, b := range boxes {
		senders[id] = b
	}
	r := start(t, d, senders, nil)
	if patient {
		synctest.Wait()
	}
	for step := from; step < len(life); step++ {
		r.Send(story(life[step].state), life[step].delivery)
		if err := d.PutSoon(engineKey, step+1); err != nil {
			t.Fatal(err)
		}
		if patient {
			synctest.Wait()
		}
	}
	synctest.Wait()
	if r.Waiting() != 0 {
		t.Errorf("%d messages wait for ever", r.Waiting())
	}
	r.stop()
}

// moment is the world at one step of the courier: what is on disk, what may be, and what has arrived.
type moment struct {
	durable map[string][]byte
	queue   []write
	got     map[string][]string
}

// The agent is killed at every step of the loop, with every part of the queue written or not, and started
// again: nobody who was told misses the end, nothing follows it, and no message is lost.
func TestKilledAtEveryStep(t *testing.T) {
	for _, patient := range []bool{true, false} {
		var moments []moment
		synctest.Test(t, func(t *testing.T) {
			d := newDisk()
			boxes := map[string]*mailbox{"a": {}, "b": {}}
			d.step = func() {
				m := moment{maps.Clone(d.durable), slices.Clone(d.queue), map[string][]string{}}
				for id, b := range boxes {
					b.mu.Lock()
					m.got[id] = slices.Clone(b.got)
					b.mu.Unlock()
				}
				moments = append(moments, m)
			}
			live(t, d, boxes, patient)
		})
		crashes := 0
		for n, m := range moments {
			for written := range len(m.queue) + 1 {
				crashes++
				for _, after := range []bool{true, false} {
					name := fmt.Sprintf("patient=%v,%v step=%d written=%d/%d", patient, after, n, written, len(m.queue))
					synctest.Test(t, func(t *testing.T) { restart(t, name, m, written, after) })
				}
			}
		}
		t.Logf("patient=%v: %d crashes", patient, crashes)
	}
}

func restart(t *testing.T, name string, m moment, written int, patient bool) {
	d := newDisk()
	d.durable = after(m.durable, m.queue[:written])
	boxes := map[string]*mailbox{"a": {got: slices.Clone(m.got["a"])}, "b": {got: slices.Clone(m.got["b"])}}
	ended := strings.Contains(string(d.durable[filePrefix+"0a"]), `"closed"`)
	live(t, d, boxes, patient)
	for id, b := range boxes {
		got := b.received()
		end := strings.Index(got, "resolve")
		if last := strings.LastIndex(got, "trigger"); last >= 0 && end < last {
			t.Errorf("%s: %s got %q: the end is missing or is not the end", name, id, got)
		}
		for _, s := range life[:2] {
			wanted := slices.Contains(s.delivery.Notify, id) && patient && !ended
			if wanted && !strings.Contains(got, s.delivery.Key) {
				t.Errorf("%s: %s got %q: %s is lost", name, id, got, s.delivery.Key)
			}
		}
	}
}
