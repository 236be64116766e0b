package exposition

import (
	"bytes"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/salveops/salve/pkg/wire"
)

// link gives the last sample its exemplar, as OpenMetrics has it; nil is none.
func (l *lines) link(raw []byte) error {
	if raw == nil {
		return nil
	}
	start := len(l.text)
	text, _, err := appendExemplar(l.text, raw)
	l.text = text
	l.samples[len(l.samples)-1].Exemplar = text[start:len(text):len(text)]
	return err
}

// appendExemplar writes an exemplar as OpenMetrics has it, and says of when it is; 0: it does not say.
func appendExemplar(b, raw []byte) (text []byte, millis int64, err error) {
	var v float64
	b = append(b, '{')
	f := wire.Of(raw)
	for f.Next() {
		switch {
		case f.Message(1):
			if b, err = appendLabel(b, f.Raw); err != nil {
				return b, 0, err
			}
		case f.Is(2, protowire.Fixed64Type):
			v = f.Float()
		case f.Message(3):
			in := wire.Of(f.Raw)
			for in.Next() {
				switch {
				case in.Is(1, protowire.VarintType):
					millis += int64(in.N) * 1000
				case in.Is(2, protowire.VarintType):
					millis += int64(in.N) / 1e6
				}
			}
			if in.Err != nil {
				return b, 0, in.Err
			}
		}
	}
	b = appendFloat(append(bytes.TrimSuffix(b, []byte{','}), "} "...), v)
	if millis != 0 {
		b = appendFloat(append(b, ' '), float64(millis)/1000)
	}
	return b, millis, f.Err
}

// appendLabel writes a LabelPair as a text page has it, with a comma after it.
func appendLabel(b, raw []byte) ([]byte, error) {
	var key, value []byte
	f := wire.Of(raw)
	for f.Next() {
		switch {
		case f.Message(1):
			key = f.Raw
		case f.Message(2):
			value = f.Raw
		}
	}
	if f.Err != nil {
		return b, f.Err
	}
	if len(key) == 0 || name(key, false) != len(key) {
		return b, fmt.Errorf("the label %.40q has a name that no selector can have", key)
	}
	b = append(append(b, key...), `="`...)
	for _, c := range value {
		switch c {
		case '\n':
			b = append(b, '\\', 'n')
		case '\\', '"':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return append(b, `",`...), nil
}

func appendFloat(b []byte, v float64) []byte { return strconv.AppendFloat(b, v, 'g', -1, 64) }
