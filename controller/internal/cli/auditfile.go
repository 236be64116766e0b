package cli

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/salveops/salve/proto/logpb"
)

// maxAuditLine bounds a line of an export: the texts in a record are bounded by the controller.
const maxAuditLine = 64 << 10

// auditLine is a record as `salve audit export` writes it, one a line. docs/audit.md promises these names.
type auditLine struct {
	N          uint64 `json:"n"`
	At         int64  `json:"at"` // nanoseconds since 1970
	Index      uint64 `json:"index"`
	By         string `json:"by"`
	Address    string `json:"address"`
	Credential string `json:"credential"`
	What       string `json:"what"`
	Incident   string `json:"incident"`
	Text       string `json:"text"`
	Previous   digest `json:"previous"`
	Hash       digest `json:"hash"`
}

// digest is a hash, in hex digits.
type digest []byte

// MarshalText implements encoding.TextMarshaler.
func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *digest) UnmarshalText(text []byte) (err error) {
	*d, err = hex.AppendDecode(nil, text)
	return err
}

// writeAuditLine writes a record with the newline after it.
func writeAuditLine(w io.Writer, r *logpb.AuditRecord) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(auditLine{
		N: r.GetN(), At: r.GetAt(), Index: r.GetIndex(), By: r.GetBy(), Address: r.GetAddress(),
		Credential: r.GetCredential(), What: r.GetWhat(), Incident: r.GetIncident(), Text: r.GetText(),
		Previous: r.GetPrevious(), Hash: r.GetHash(),
	})
}

// readAuditLine reads what writeAuditLine wrote, without the newline, and nothing else: a line with a name twice, one
// more or another order could say one thing here and another elsewhere.
func readAuditLine(line []byte) (*logpb.AuditRecord, error) {
	var x auditLine
	if err := json.Unmarshal(line, &x); err != nil {
		return nil, fmt.Errorf("this is no record: %w", err)
	}
	r := &logpb.AuditRecord{
		N: x.N, At: x.At, Index: x.Index, By: x.By, Address: x.Address, Credential: x.Credential, What: x.What,
		Incident: x.Incident, Text: x.Text, Previous: x.Previous, Hash: x.Hash,
	}
	var again bytes.Buffer
	if err := writeAuditLine(&again, r); err != nil {
		return nil, err
	}
	if !bytes.Equal(again.Bytes(), append(bytes.Clone(line), '\n')) {
		return nil, fmt.Errorf("record %d is not written as salve audit export writes it", x.N)
	}
	return r, nil
}

// readAuditFile hands over the records of an export, one after the other.
func readAuditFile(name string, from io.Reader, take func(*logpb.AuditRecord) error) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxAuditLine)
	lines.Split(wholeLines)
	n := 0
	for lines.Scan() {
		n++
		r, err := readAuditLine(lines.Bytes())
		if err == nil {
			err = take(r)
		}
		if err != nil {
			return brokenChain(fmt.Errorf("%s:%d: %w", name, n, err))
		}
	}
	switch err := lines.Err(); err {
	case nil:
		return nil
	case bufio.ErrTooLong, io.ErrUnexpectedEOF:
		return brokenChain(fmt.Errorf("%s:%d: this is no record: %w", name, n+1, err))
	default:
		return fmt.Errorf("read %s: %w", name, err)
	}
}

// wholeLines splits at newlines. What follows the last one is a line that was cut.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}
