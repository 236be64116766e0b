package etcd

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// request is a message to etcd, encoded by hand: two calls do not deserve etcd's client and its dependencies.
type request interface{ encode() []byte }

// response is a message from etcd.
type response interface{ decode(b []byte) error }

// codec is protobuf for the messages of this package.
type codec struct{}

var _ encoding.CodecV2 = codec{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(request)
	if !ok {
		return nil, fmt.Errorf("encode %T: not a request to etcd", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(m.encode())}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(response)
	if !ok {
		return fmt.Errorf("decode %T: not a response of etcd", v)
	}
	return m.decode(data.Materialize())
}

// putRequest is etcdserverpb.PutRequest.
type putRequest struct{ key, value []byte }

func (m *putRequest) encode() []byte {
	b := make([]byte, 0, len(m.key)+len(m.value)+2*(1+maxVarint))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, m.key)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendBytes(b, m.value)
}

const maxVarint = 10

// header is etcdserverpb.ResponseHeader, as far as it is needed.
type header struct{ member, revision uint64 }

func (h *header) decode(b []byte) error {
	return fields(b, func(n protowire.Number, v uint64, _ []byte) error {
		switch n {
		case 2:
			h.member = v
		case 3:
			h.revision = v
		}
		return nil
	})
}

// putResponse is etcdserverpb.PutResponse.
type putResponse struct{ header header }

func (m *putResponse) decode(b []byte) error {
	return fields(b, func(n protowire.Number, _ uint64, sub []byte) error {
		if n == 1 {
			return m.header.decode(sub)
		}
		return nil
	})
}

// statusRequest is etcdserverpb.StatusRequest, which is empty.
type statusRequest struct{}

func (statusRequest) encode() []byte { return nil }

// statusResponse is etcdserverpb.StatusResponse, as far as it is needed.
type statusResponse struct {
	header header
	leader uint64
	index  uint64
	term   uint64
}

func (m *statusResponse) decode(b []byte) error {
	return fields(b, func(n protowire.Number, v uint64, sub []byte) error {
		switch n {
		case 1:
			return m.header.decode(sub)
		case 4:
			m.leader = v
		case 5:
			m.index = v
		case 6:
			m.term = v
		}
		return nil
	})
}

// fields calls f for each field of a message: with v for a number, with sub for bytes or a message.
func fields(b []byte, f func(n protowire.Number, v uint64, sub []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed(n)
		}
		b = b[n:]
		var v uint64
		var sub []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			sub, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return malformed(n)
		}
		b = b[n:]
		if err := f(num, v, sub); err != nil {
			return err
		}
	}
	return nil
}

func malformed(n int) error {
	return errors.Join(errors.New("malformed message of etcd"), protowire.ParseError(n))
}
