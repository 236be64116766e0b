package secret

import "regexp"

const hidden = "[hidden]"

// looks are the forms in which secrets get into the output of programs; what stands in the groups stays around it.
var looks = []*regexp.Regexp{
	regexp.MustCompile(`(?s)()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`),
	regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9+/_.~=-]{8,}`),
	regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+(@)`),
	regexp.MustCompile(`(?i)([a-z0-9_.-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"?\s*[:=]\s*)` +
		`(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s,;&"']+)`),
}

// Redact hides what looks like a secret in a text that others wrote: keys, values of names such as "password", passwords in
// URLs, what authorizes a request. It is a net and no wall: a secret that looks like any other word stays.
func Redact(text string) string {
	for _, look := range looks {
		text = look.ReplaceAllString(text, "${1}"+hidden+"${2}")
	}
	return text
}
