package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/salveops/salve/pkg/incident"
)

// FuzzInspect feeds any bytes to the reader of files. It must neither panic nor hang.
func FuzzInspect(f *testing.F) {
	file, _ := sample(f)
	f.Add(file, uint32(0), byte(0))
	f.Add(file, uint32(2*pageSize+10), byte(1))
	f.Add(file[:3*pageSize], uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, file []byte, at uint32, flip byte) {
		if len(file) > 0 {
			file = bytes.Clone(file)
			file[int(at)%len(file)] ^= flip
		}
		if _, err := inspect(bytes.NewReader(file), int64(len(file))); err == nil {
			path := filepath.Join(t.TempDir(), fileName)
			must(t, os.WriteFile(path, file, 0o600))
			records(t, path) // bbolt agrees
		}
	})
}

// FuzzRecord feeds any bytes to the decoders of records.
func FuzzRecord(f *testing.F) {
	f.Add("attempt", "a1", seal("attempt", "a1", []byte(`{"id":"a1","phase":"intended"}`)))
	f.Add("meta", "format", encodeFormat(1))
	f.Add("meta", "sum", total{3, 9}.encode())
	f.Fuzz(func(t *testing.T, bucket, key string, value []byte) {
		_ = decode(bucket, key, value, new(incident.Attempt))
		_ = decode(bucket, key, value, new(incident.Incident))
		if v, err := decodeFormat(value); err == nil && !bytes.Equal(encodeFormat(v), value) {
			t.Errorf("format %q is not what version %d writes", value, v)
		}
		if s, err := decodeTotal(value); err == nil && !bytes.Equal(s.encode(), value) {
			t.Errorf("total %x is not what %+v writes", value, s)
		}
		if payload, err := unseal(bucket, key, seal(bucket, key, value)); err != nil || !bytes.Equal(payload, value) {
			t.Errorf("seal and unseal: %x became %x, %v", value, payload, err)
		}
	})
}
