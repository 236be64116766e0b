package otlp

import (
	"encoding/base64"
	"errors"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
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

// errCompound is for values that are no single text. It reaches nobody.
var errCompound = errors.New("it is a list")

// attribute reads a KeyValue.
func attribute(raw []byte) (key, value string, err error) {
	f := fields{rest: raw}
	for f.next() {
		switch {
		case f.message(keyOfAttribute):
			key = string(f.raw)
		case f.message(valueOfAttribute):
			if value, err = text(f.raw); err != nil {
				return "", "", err
			}
		}
	}
	if f.err != nil {
		return "", "", f.err
	}
	if !utf8.ValidString(key) || !utf8.ValidString(value) {
		return "", "", errLetter
	}
	return key, value, nil
}

// text writes an AnyValue.
func text(raw []byte) (value string, err error) {
	f := fields{rest: raw}
	for f.next() {
		switch {
		case f.message(1):
			value, err = string(f.raw), nil
		case f.is(2, protowire.VarintType):
			value, err = strconv.FormatBool(f.n != 0), nil
		case f.is(3, protowire.VarintType):
			value, err = strconv.FormatInt(int64(f.n), 10), nil
		case f.is(4, protowire.Fixed64Type):
			value, err = strconv.FormatFloat(f.float(), 'g', -1, 64), nil
		case f.message(5), f.message(6):
			err = errCompound
		case f.message(7):
			value, err = base64.StdEncoding.EncodeToString(f.raw), nil
		}
	}
	if f.err != nil {
		return "", f.err
	}
	return value, err
}
