package identity

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
	"testing"
)

const host = "0123456789abcdef0123456789abcdef"

func TestParse(t *testing.T) {
	tests := []struct {
		uri  string
		want Name // zero: refused
	}{
		{"salve://controller/ctl-1", Name{Controller, "ctl-1", NoRole}},
		{"salve://host/" + host, Name{Host, host, NoRole}},
		{"salve://operator/ann/viewer", Name{Operator, "ann", Viewer}},
		{"salve://operator/ann@example.org/operator", Name{Operator, "ann@example.org", Steward}},
		{"salve://operator/ann/approver", Name{Operator, "ann", Approver}},
		{"salve://operator/ann/admin", Name{Operator, "ann", Admin}},
		{"spiffe://example.org/salve/controller/ctl-1", Name{Controller, "ctl-1", NoRole}},
		{"spiffe://example.org/salve/operator/ann/admin", Name{Operator, "ann", Admin}},
		{uri: ""},
		{uri: "salve://"},
		{uri: "salve://operator/ann"},                              // no role
		{uri: "salve://operator/ann/root"},                         // no such role
		{uri: "salve://operator/ann/Admin"},                        // words are in lower case
		{uri: "salve://operator/ann/admin/"},                       // more
		{uri: "salve://operator/ann/admin?x"},                      //
		{uri: "salve://operator//admin"},                           // nobody
		{uri: "salve://controller/ctl-1/admin"},                    // a node has no role
		{uri: "salve://host/web-1"},                                // a name is no ID
		{uri: "salve://host/" + strings.ToUpper(host)},             //
		{uri: "salve://agent/" + host},                             //
		{uri: "salve:host/" + host},                                //
		{uri: "SALVE://controller/ctl-1"},                          //
		{uri: "salve://operator/a%2Fb/admin"},                      //
		{uri: "salve://operator/.hidden/admin"},                    //
		{uri: "salve://operator/" + strings.Repeat("a", 65)},       //
		{uri: "salve://controller/" + strings.Repeat("a", 600)},    //
		{uri: "spiffe:///salve/controller/ctl-1"},                  // no domain
		{uri: "spiffe://example.org/other/controller/ctl-1"},       // not ours
		{uri: "https://example.org/salve/controller/ctl-1"},        //
		{uri: "salve://controller/ctl-1\n"},                        //
		{uri: "spiffe://example.org/salve/operator/ann/admin/etc"}, //
	}
	for _, tc := range tests {
		got, err := Parse(tc.uri)
		if got != tc.want || (err == nil) != (tc.want != Name{}) {
			t.Errorf("%q: %+v, %v", tc.uri, got, err)
		}
		if err != nil && !errors.Is(err, ErrName) {
			t.Errorf("%q: %v is no ErrName", tc.uri, err)
		}
		if strings.HasPrefix(tc.uri, "salve://") && err == nil && got.String() != tc.uri {
			t.Errorf("%q is written as %q", tc.uri, got)
		}
	}
}

func TestOneNameACertificate(t *testing.T) {
	tests := []struct {
		uris []string
		want string
	}{
		{nil, ""},
		{[]string{"https://example.org"}, ""},
		{[]string{"salve://controller/ctl-1"}, "controller/ctl-1"},
		{[]string{"https://example.org", "salve://controller/ctl-1"}, "controller/ctl-1"},
		{[]string{"salve://controller/ctl-1", "salve://operator/ann/admin"}, ""},
		{[]string{"salve://controller/ctl-1", "salve://controller/ctl-1"}, ""},
		{[]string{"salve://controller/ctl-1", "spiffe://a/salve/host/" + host}, ""},
		{[]string{"salve://controller/ctl-1", "salve:rubbish"}, ""},
		{[]string{"salve://rubbish", "salve://controller/ctl-1"}, ""},
	}
	for _, tc := range tests {
		c := &x509.Certificate{}
		for _, text := range tc.uris {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = append(c.URIs, u)
		}
		n, err := Of(c)
		if err == nil && n.Short() != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%q: %v, %v", tc.uris, n, err)
		}
	}
}

func TestRoles(t *testing.T) {
	for i, word := range Roles() {
		if r, err := ParseRole(word); err != nil || r != Role(i+1) || r.String() != word {
			t.Errorf("%q: %v, %v", word, r, err)
		}
	}
	for _, r := range []Role{-1, NoRole, roleSentinel} {
		if r.String() != "" {
			t.Errorf("%d is a role: %q", int(r), r)
		}
	}
	if _, err := ParseRole(""); err == nil {
		t.Error("no word is a role")
	}
}

func TestShort(t *testing.T) {
	for text, ok := range map[string]bool{
		"host/" + host: true, "operator/ann": true, "controller/ctl-1": true,
		"": false, "host": false, "host/web": false, "operator/a/b": false, "other/x": false,
	} {
		if _, _, err := ParseShort(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func token() Token {
	return Token{Use: Enroll, ID: "0123456789abcdef", Secret: bytes.Repeat([]byte{7}, SecretLen),
		Pin: bytes.Repeat([]byte{9}, PinLen)}
}

func TestToken(t *testing.T) {
	good := token().String()
	got, err := ParseToken(" " + good + "\n") // as it comes out of a file
	if err != nil || got.String() != good || !bytes.Equal(got.Hash(), token().Hash()) {
		t.Fatalf("%v, %v", got, err)
	}
	bare := token()
	bare.Pin = nil
	if got, err := ParseToken(bare.String()); err != nil || len(got.Pin) != 0 {
		t.Errorf("without a pin: %v", err)
	}
	for name, text := range map[string]string{
		"empty":          "",
		"cut":            good[:len(good)-4],
		"other use":      strings.Replace(good, "enroll", "root", 1),
		"other product":  strings.Replace(good, "salve", "sable", 1),
		"ID in capitals": strings.Replace(good, "abcdef", "ABCDEF", 1),
		"one part more":  good + ".x",
		"one part less":  strings.Replace(good, ".enroll", "", 1),
		"long":           good + strings.Repeat("A", maxToken),
		"line inside":    strings.Replace(good, "Bw", "B\nw", 1),
		"two tokens":     good + "\n" + good,
	} {
		got, err := ParseToken(text)
		if !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v, %v", name, got, err)
		} else if strings.Contains(err.Error(), encode(token().Secret)[:8]) {
			t.Errorf("%s: the error tells the secret", name)
		}
	}
}

// FuzzParse: whatever is taken is written back the same way, and nothing that is taken fails its own check.
func FuzzParse(f *testing.F) {
	f.Add("salve://host/" + host)
	f.Add("salve://operator/ann/admin")
	f.Add("spiffe://example.org/salve/controller/ctl-1")
	f.Fuzz(func(t *testing.T, uri string) {
		n, err := Parse(uri)
		if err != nil {
			return
		}
		if again, err := Parse(n.String()); err != nil || again != n || n.Check() != nil {
			t.Errorf("%q: %+v, then %+v, %v", uri, n, again, err)
		}
	})
}

// FuzzToken: each token has one spelling.
func FuzzToken(f *testing.F) {
	f.Add(token().String())
	f.Add("salve.access.0123456789abcdef..")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseToken(text)
		if err == nil && got.String() != strings.TrimSpace(text) {
			t.Errorf("%q is written as %q", text, got)
		}
	})
}
