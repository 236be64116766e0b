package local

import (
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// clean replaces bytes that are no UTF-8 in every string of a message. Log lines and answers of
// probes may hold anything, and protobuf refuses a whole message for one bad byte.
func clean(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			cleanMap(fd, v.Map())
		case fd.IsList():
			cleanList(fd, v.List())
		case fd.Kind() == protoreflect.StringKind:
			if s, bad := cleanString(v.String()); bad {
				m.Set(fd, s)
			}
		case fd.Message() != nil:
			clean(v.Message())
		}
		return true
	})
}

func cleanList(fd protoreflect.FieldDescriptor, l protoreflect.List) {
	for i := range l.Len() {
		switch {
		case fd.Kind() == protoreflect.StringKind:
			if s, bad := cleanString(l.Get(i).String()); bad {
				l.Set(i, s)
			}
		case fd.Message() != nil:
			clean(l.Get(i).Message())
		}
	}
}

// cleanMap cleans keys and values of a map of strings; the API has no map of messages.
func cleanMap(fd protoreflect.FieldDescriptor, m protoreflect.Map) {
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		key, badKey := cleanString(k.String())
		val, bad := v, false
		if fd.MapValue().Kind() == protoreflect.StringKind {
			val, bad = cleanString(v.String())
		}
		if badKey {
			m.Clear(k)
		}
		if badKey || bad {
			m.Set(key.MapKey(), val)
		}
		return true
	})
}

func cleanString(s string) (protoreflect.Value, bool) {
	good := strings.ToValidUTF8(s, "\uFFFD")
	return protoreflect.ValueOfString(good), good != s
}

// cleanStream cleans what a stream sends.
type cleanStream struct{ grpc.ServerStream }

// SendMsg implements grpc.ServerStream.
func (s cleanStream) SendMsg(m any) error {
	cleanMessage(m)
	return s.ServerStream.SendMsg(m)
}

func cleanMessage(m any) {
	if p, ok := m.(proto.Message); ok && p != nil {
		clean(p.ProtoReflect())
	}
}
