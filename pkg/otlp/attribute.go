package otlp

import (
	"encoding/base64"
	"errors"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/salveops/salve/pkg/wire"
)

// Attributes are those of a resource or a point, as they came. They are valid as long as the request is.
type Attributes [][]byte

// Size is how many bytes they have.
func (a Attributes) Size() (n int) {
	for _, raw := range a {
		n += len(raw)
	}
	return n
}

// Find is the text of an attribute, "" if there is none.
func (a Attributes) Find(key string) string {
	for _, raw := range a {
		if k, v, err := attribute(raw); err == nil && k == key {
			return v
		}
	}
	return ""
}

// Each calls for every attribute, and ends with the first that cannot be read. Numbers and truths are written as text;
// an attribute that is a list or has attributes of its own is left out.
func (a Attributes) Each(each func(key, value string)) error {
	for _, raw := range a {
		k, v, err := attribute(raw)
		if err == nil {
			each(k, v)
		} else if !errors.Is(err, errCompound) {
			return err
		}
	}
	return nil
}

var errLetter = errors.New("a text in it is not UTF-8")

// errCompound is for values that are no single text. It reaches nobody.
var errCompound = errors.New("it is a list")

// attribute reads a KeyValue.
func attribute(raw []byte) (key, value string, err error) {
	f := wire.Of(raw)
	for f.Next() {
		switch {
		case f.Message(keyOfAttribute):
			key = string(f.Raw)
		case f.Message(valueOfAttribute):
			if value, err = text(f.Raw); err != nil {
				return "", "", err
			}
		}
	}
	if f.Err != nil {
		return "", "", f.Err
	}
	if !utf8.ValidString(key) || !utf8.ValidString(value) {
		return "", "", errLetter
	}
	return key, value, nil
}

// text writes an AnyValue.
func text(raw []byte) (value string, err error) {
	f := wire.Of(raw)
	for f.Next() {
		switch {
		case f.Message(1):
			value, err = string(f.Raw), nil
		case f.Is(2, protowire.VarintType):
			value, err = strconv.FormatBool(f.N != 0), nil
		case f.Is(3, protowire.VarintType):
			value, err = strconv.FormatInt(int64(f.N), 10), nil
		case f.Is(4, protowire.Fixed64Type):
			value, err = strconv.FormatFloat(f.Float(), 'g', -1, 64), nil
		case f.Message(5), f.Message(6):
			err = errCompound
		case f.Message(7):
			value, err = base64.StdEncoding.EncodeToString(f.Raw), nil
		}
	}
	if f.Err != nil {
		return "", f.Err
	}
	return value, err
}
