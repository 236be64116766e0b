package journal

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/salveops/salve/proto/logpb"
)

// The outbox on disk.
const (
	bucketOutbox = "outbox" // "e", number → event; "m" → marks
	eventPrefix  = "e"
	keyMarks     = "m"
)

// marks is what is remembered beside the events.
type marks struct {
	Stream string           `json:"stream"`
	Gone   uint64           `json:"gone,omitempty"`
	Acked  uint64           `json:"acked,omitempty"`
	Seen   []seen           `json:"seen,omitempty"`
	Moved  map[string]moved `json:"moved,omitempty"`
}

// marks are those of now. The caller holds mu.
func (o *Outbox) marks() marks {
	m := marks{Stream: o.stream, Gone: o.gone, Acked: o.acked, Seen: slices.Clone(o.seen)}
	if len(o.moved) > 0 {
		m.Moved = make(map[string]moved, len(o.moved))
		for from, to := range o.moved {
			m.Moved[from.String()] = to
		}
	}
	return m
}

func marksOp(m marks) op {
	raw, err := json.Marshal(m)
	if err != nil {
		panic("journal: marks cannot be marshalled: " + err.Error()) // plain fields only
	}
	return put(bucketOutbox, keyMarks, raw)
}

func eventOp(ev *logpb.Event) (op, error) {
	raw, err := protojson.Marshal(ev)
	if err != nil {
		return op{}, fmt.Errorf("write journal: event %d: %w", ev.GetN(), err)
	}
	return put(bucketOutbox, numberKey(ev.GetN()), raw), nil
}

func decodeEvent(k, v []byte) (*logpb.Event, error) {
	raw, err := unseal(bucketOutbox, string(k), v)
	ev := new(logpb.Event)
	if err == nil {
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, ev)
	}
	if n, ok := numberOf(k); err == nil && (!ok || n != ev.GetN()) {
		err = fmt.Errorf("it says that it is number %d", ev.GetN())
	}
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", bucketOutbox, k, err)
	}
	return ev, nil
}

// sanitize makes every text of a message one that can be encoded: programs print what they like.
func sanitize(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		isText, isMessage := f.Kind() == protoreflect.StringKind, f.Kind() == protoreflect.MessageKind
		switch {
		case f.IsList():
			for l, i := v.List(), 0; i < l.Len(); i++ {
				if isText {
					l.Set(i, valid(l.Get(i)))
				} else if isMessage {
					sanitize(l.Get(i).Message())
				}
			}
		case isText:
			m.Set(f, valid(v))
		case isMessage:
			sanitize(v.Message())
		}
		return true
	})
}

func valid(text protoreflect.Value) protoreflect.Value {
	return protoreflect.ValueOfString(strings.ToValidUTF8(text.String(), "?"))
}

func numberKey(n uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte(eventPrefix), n))
}

func numberOf(k []byte) (uint64, bool) {
	if len(k) != len(eventPrefix)+8 || !strings.HasPrefix(string(k), eventPrefix) {
		return 0, false
	}
	return binary.BigEndian.Uint64(k[len(eventPrefix):]), true
}
