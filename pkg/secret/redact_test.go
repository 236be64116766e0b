package secret

import (
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"restarted 3 workers, token bucket is empty": "restarted 3 workers, token bucket is empty",
		"password=hunter2 user=me":                   "password=[hidden] user=me",
		`{"db_password": "a b\"c", "n": 1}`:          `{"db_password": [hidden], "n": 1}`,
		"PGPASSWORD='a b' ran":                       "PGPASSWORD=[hidden] ran",
		"API-Key: 12345":                             "API-Key: [hidden]",
		"Authorization: Bearer abcdefgh.ijk":         "Authorization: Bearer [hidden]",
		"dial postgres://app:hunter2@db:5432/x":      "dial postgres://app:[hidden]@db:5432/x",
		"http://host:80/a":                           "http://host:80/a",
		"a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb": "a\n[hidden]\nb",
		"-----BEGIN PRIVATE KEY-----\nMII and the rest was cut":                     "[hidden]",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%q is kept as %q, want %q", in, got, want)
		}
	}
	if long := strings.Repeat("password=", 20_000); len(Redact(long)) > len(long) {
		t.Error("it has grown")
	}
}
