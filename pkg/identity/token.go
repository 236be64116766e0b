package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrToken: a text that is no token.
var ErrToken = errors.New("no token of Salve's")

// Use is what a token is for.
type Use string

// Uses of tokens.
const (
	Enroll Use = "enroll" // lets one machine in, once
	Access Use = "access" // stands for a certificate of an operator
)

// Sizes of a token's parts, in bytes.
const (
	tokenID   = 8
	SecretLen = 32
	PinLen    = sha256.Size
	maxToken  = 256
)

// Token is a secret with a name. Whoever has it needs nothing else to know the controller by: Pin is the fingerprint
// of the authority that signs the nodes' certificates.
//
//	salve.enroll.0123456789abcdef.SECRET.PIN
type Token struct {
	Use    Use
	ID     string // 16 hex digits; not secret
	Secret []byte
	Pin    []byte // empty: the controller speaks plain text, on this machine only
}

// String is the token as people hand it on. It holds the secret.
func (t Token) String() string {
	return fmt.Sprintf("salve.%s.%s.%s.%s", t.Use, t.ID, encode(t.Secret), encode(t.Pin))
}

// Hash is what the log keeps of the secret. The secret is 32 random bytes, so that one pass is enough.
func (t Token) Hash() []byte { return HashSecret(t.Secret) }

// HashSecret is the hash of a secret.
func HashSecret(secret []byte) []byte {
	sum := sha256.Sum256(append([]byte("salve token\x00"), secret...))
	return sum[:]
}

// ParseToken reads a token. Errors wrap ErrToken and never hold what was read.
func ParseToken(text string) (Token, error) {
	if len(text) > maxToken {
		return Token{}, fmt.Errorf("%w: too long", ErrToken)
	}
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 5 || parts[0] != "salve" {
		return Token{}, fmt.Errorf("%w: it has the form salve.USE.ID.SECRET.PIN", ErrToken)
	}
	t := Token{Use: Use(parts[1]), ID: parts[2]}
	var err error
	switch {
	case t.Use != Enroll && t.Use != Access:
		return Token{}, fmt.Errorf("%w: its use is unknown", ErrToken)
	case !ValidTokenID(t.ID):
		return Token{}, fmt.Errorf("%w: its ID is wrong", ErrToken)
	}
	if t.Secret, err = decode(parts[3]); err != nil || len(t.Secret) != SecretLen {
		return Token{}, fmt.Errorf("%w: its secret is wrong or was cut", ErrToken)
	}
	if t.Pin, err = decode(parts[4]); err != nil || len(t.Pin) != 0 && len(t.Pin) != PinLen {
		return Token{}, fmt.Errorf("%w: its fingerprint is wrong or was cut", ErrToken)
	}
	return t, nil
}

// TokenID is the ID that is made of random bytes, of which it takes 8.
func TokenID(random []byte) string { return hex.EncodeToString(random[:tokenID]) }

// ValidTokenID reports whether a text can be a token's ID.
func ValidTokenID(id string) bool { return len(id) == 2*tokenID && isHex(id) }

// Pin is the fingerprint of an authority: of its key, so that a renewed certificate of one key has the same.
func Pin(ca *x509.Certificate) []byte {
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	return sum[:]
}

var encoding = base64.RawURLEncoding.Strict() // each token has one spelling

func encode(b []byte) string { return encoding.EncodeToString(b) }

func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which base64 skips
		return nil, ErrToken
	}
	return encoding.DecodeString(s)
}
