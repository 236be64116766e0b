package incident

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// ID is the name of the incident that begins with the alert: 32 hex digits. Everyone who knows the
// alert computes the same one, offline too. generation is that of the controller; "" on a host that
// has none.
func ID(generation string, first AlertKey) string {
	h := sha256.New()
	for _, part := range []string{generation, first.Host, first.Stream} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // so that no two lists read the same
		h.Write([]byte(part))
	}
	h.Write(binary.BigEndian.AppendUint64(nil, first.N))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
