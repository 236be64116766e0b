package permit

import (
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// FuzzReadRecord: what is read is whole, and reading what was written gives the same.
func FuzzReadRecord(f *testing.F) {
	f.Add([]byte(`{"nonce":"n","answered":true,"epoch":3,"generation":"g2","index":9,"left":["g1"]}`))
	f.Add([]byte(`{"epoch":18446744073709551615}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := ReadRecord(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadRecord(again); err != nil {
			t.Errorf("%s was read and is refused when it is written: %v", again, err)
		}
		b := New(Options{Host: me}, r, nil)
		b.Hello("next")
	})
}

// FuzzHeld: an attempt's record with any permit is judged without a panic, and a book takes what is judged whole.
func FuzzHeld(f *testing.F) {
	f.Add([]byte(`{"token":{"generation":"g1","n":1},"epoch":1,"targets":[{"service":"web","host":"h1"}],"ends":5,"boot_id":"b"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var h Held
		if json.Unmarshal(raw, &h) != nil || h.Check() != nil {
			return
		}
		b := New(Options{Host: me}, Record{}, []Restored{{Attempt: "a", Held: h}})
		b.Hello("n")
		if len(b.Send(1)) != 1 {
			t.Error("what is open is not told")
		}
	})
}

// FuzzAnswers: whatever a node answers, the book stands.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{}, []byte{}, []byte{}, uint64(1))
	f.Fuzz(func(_ *testing.T, welcome, grant, refusal []byte, n uint64) {
		var w logpb.Welcome
		var g logpb.Grant
		var r logpb.Refusal
		if proto.Unmarshal(welcome, &w) != nil || proto.Unmarshal(grant, &g) != nil || proto.Unmarshal(refusal, &r) != nil {
			return
		}
		a := newAgent()
		a.greet()
		_ = a.welcomed(&w)
		a.ask(logpb.Serving_SERVING_DOWN)
		a.next()
		a.Granted(n, &g)
		a.Refused(n, &r)
		a.Order(w.GetGeneration(), n, []*logpb.Token{g.GetToken()})
		a.Settles(a.now, nil)
		a.Settled(a.now, TokenOf(g.GetToken()), &r)
		a.Doubts()
	})
}
