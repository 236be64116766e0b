package web

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// fill sets the plain fields of a request from a query. A name that the request does not have is an error:
// a mistyped filter must not look like none.
func fill(m proto.Message, q url.Values) error {
	fields := m.ProtoReflect().Descriptor().Fields()
	for name, values := range q {
		fd := fields.ByName(protoreflect.Name(name))
		if fd == nil || fd.Cardinality() == protoreflect.Repeated {
			return status.Errorf(codes.InvalidArgument, "the query has %q, which this method does not know", name)
		}
		if len(values) != 1 {
			return status.Errorf(codes.InvalidArgument, "the query has %q more than once", name)
		}
		v, err := parse(fd, values[0])
		if err != nil {
			return status.Errorf(codes.InvalidArgument, "%s=%q: %v", name, values[0], err)
		}
		m.ProtoReflect().Set(fd, v)
	}
	return nil
}

// parse reads one value. A bool without a value is true.
func parse(fd protoreflect.FieldDescriptor, s string) (protoreflect.Value, error) {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(s), nil
	case protoreflect.BoolKind:
		if s == "" {
			return protoreflect.ValueOfBool(true), nil
		}
		b, err := strconv.ParseBool(s)
		return protoreflect.ValueOfBool(b), err
	case protoreflect.Uint32Kind:
		n, err := strconv.ParseUint(s, 10, 32)
		return protoreflect.ValueOfUint32(uint32(n)), err
	case protoreflect.Uint64Kind:
		n, err := strconv.ParseUint(s, 10, 64)
		return protoreflect.ValueOfUint64(n), err
	case protoreflect.Int64Kind:
		n, err := strconv.ParseInt(s, 10, 64)
		return protoreflect.ValueOfInt64(n), err
	case protoreflect.BytesKind:
		if b, err := hex.DecodeString(s); err == nil {
			return protoreflect.ValueOfBytes(b), nil
		}
		b, err := base64.StdEncoding.DecodeString(s)
		return protoreflect.ValueOfBytes(b), err
	}
	return protoreflect.Value{}, status.Error(codes.InvalidArgument, "say this one in the body of a POST")
}
