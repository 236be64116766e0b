package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/salveops/salve/pkg/config"
)

// PayloadVersion is the version of Payload. Fields may be added within a version; none is removed, renamed or
// given another meaning.
const PayloadVersion = 1

// Payload is the body of a webhook and the standard input of a notifier program: one JSON object with
// "version" and the fields of Message.
type Payload struct {
	Version int `json:"version"`
	Message
}

func encodePayload(m Message) ([]byte, error) {
	body, err := json.Marshal(Payload{PayloadVersion, m})
	if err != nil {
		return nil, Permanent(err)
	}
	return body, nil
}

// Headers of a webhook.
const (
	// SignatureHeader is "t=UNIX,v1=HEX", where HEX is the HMAC-SHA256, under the notifier's secret, of UNIX, a
	// dot, and the body. A receiver computes it, compares in constant time, and refuses an old UNIX.
	SignatureHeader = "Salve-Signature"
	// KeyHeader holds Message.Key: requests with the same key are the same message.
	KeyHeader = "Idempotency-Key"
)

type webhook struct {
	*poster
	secret []byte
}

func newWebhook(n *config.Notifier, d Deps) (*webhook, error) {
	p, err := newPoster(n.URL, d, n.Secret)
	if err != nil {
		return nil, err
	}
	return &webhook{p, []byte(n.Secret)}, nil
}

func (w *webhook) Send(ctx context.Context, m Message) error {
	body, err := encodePayload(m)
	if err != nil {
		return err
	}
	header := http.Header{}
	header.Set(KeyHeader, m.Key)
	if len(w.secret) > 0 {
		header.Set(SignatureHeader, Sign(w.secret, w.now(), body))
	}
	a, err := w.post(ctx, header, body)
	if err != nil {
		return err
	}
	return a.judge()
}

// Sign is the value of SignatureHeader.
func Sign(secret []byte, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
