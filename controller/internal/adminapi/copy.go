package adminapi

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/salveops/salve/proto/logpb"
)

// copies are deep copies: records of the state must not be read after the lock is given back.
func copies[M proto.Message](records []M) []M {
	out := make([]M, len(records))
	for i, r := range records {
		out[i] = proto.CloneOf(r)
	}
	return out
}

// brief is a copy of an incident without its timeline.
func brief(i *logpb.Incident) *logpb.Incident {
	short := &logpb.Incident{}
	i.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Name() != "timeline" {
			short.ProtoReflect().Set(fd, v)
		}
		return true
	})
	return proto.CloneOf(short)
}

func open(i *logpb.Incident) bool { return i.GetState() != logpb.IncidentState_INCIDENT_STATE_RESOLVED }
