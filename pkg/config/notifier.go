package config

import (
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/defaults"
)

// Kinds of notifiers. The controller's file takes all but exec.
const (
	Email        = "email"
	Webhook      = "webhook"
	ExecHook     = "exec"
	Journald     = "journald"
	PagerDuty    = "pagerduty"
	Slack        = "slack"
	Alertmanager = "alertmanager"
)

// SwallowsRepeats reports whether the place of a notifier, by the notifier's ID, tells nobody anew when it hears of
// an incident again that is open there already: it groups by the incident and has repeats of its own. Who
// repeats a step goes on to the next one there.
func SwallowsRepeats(id string) bool {
	kind, _, _ := strings.Cut(id, ".")
	return kind == PagerDuty || kind == Alertmanager
}

func (l *loader) decodeNotifier(b *block) {
	n := &Notifier{Kind: b.labels[0], Name: b.labels[1], Range: b.header, Timeout: defaults.NotifierTimeout}
	if wrong := checkName(n.Name); wrong != "" {
		l.fail(b.labelAt, "Wrong name", "%s.", wrong)
	}
	l.unique("notifier", "", n.ID(), b.labelAt)
	switch n.Kind {
	case Email:
		n.To, n.SMTP = b.checked("to", checkRecipients), b.checked("smtp", checkAddress)
		n.From = l.people.sender
		if b.has("from") {
			n.From = b.checked("from", checkSender)
		}
	case Webhook:
		n.URL, n.Secret = b.link(), b.secret("secret_file", "secret_env")
	case PagerDuty:
		n.URL, n.Secret = b.checked("url", checkSecretURL), b.routingKey()
	case Slack:
		n.URL = b.slackHook()
	case Alertmanager:
		l.decodeAlertmanager(n, b)
	case ExecHook:
		n.Command = b.command("command", ActionNotify)
	}
	if n.Kind != Journald {
		n.Timeout = b.duration("timeout")
	}
	l.people.notifiers = append(l.people.notifiers, n)
}

// link is a URL, from the file itself or, when who knows it may use it, from a secret file.
func (b *block) link() string {
	b.one("url", "url_file")
	if b.has("url") {
		return b.checked("url", checkURL)
	}
	url := b.secret("url_file", "")
	if url != "" && checkURL(url) != "" {
		b.fail("url_file", "Wrong value", "The file holds no http:// or https:// URL.")
	}
	return url
}

func checkRecipients(s string) string {
	if _, err := mail.ParseAddressList(s); err != nil || strings.ContainsAny(s, "\r\n") {
		return "these are no mail addresses separated by commas"
	}
	return ""
}

func checkSender(s string) string {
	if _, err := mail.ParseAddress(s); err != nil || strings.ContainsAny(s, "\r\n") {
		return "this is no mail address"
	}
	return ""
}

var (
	routingKey = regexp.MustCompile(`^[A-Za-z0-9]{32}$`)
	labelName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// routingKey is the key of a PagerDuty service's Events API v2 integration.
func (b *block) routingKey() string {
	b.one("routing_key_file", "routing_key_env")
	key := b.secret("routing_key_file", "routing_key_env")
	if key != "" && !routingKey.MatchString(key) {
		b.fail(b.source("routing_key_file", "routing_key_env"), "Wrong value",
			"This is no routing key: it has 32 letters and digits, and belongs to an integration \"Events API V2\".")
	}
	return key
}

// slackHook is the URL of an incoming webhook. Who knows it can post, so it is a secret.
func (b *block) slackHook() string {
	b.one("webhook_file", "webhook_env")
	hook := b.secret("webhook_file", "webhook_env")
	if hook != "" && checkSecretURL(hook) != "" {
		b.fail(b.source("webhook_file", "webhook_env"), "Wrong value", "This is no https:// URL of an incoming webhook.")
	}
	return hook
}

// source is which of two keys is set; the first when none is.
func (b *block) source(file, env string) string {
	if b.has(env) && !b.has(file) {
		return env
	}
	return file
}

// Labels by which Alertmanager knows an incident; see package notify.
func ownLabels() []string { return []string{"alertname", "incident", "service", "severity"} }

const maxMembers = 16

func (l *loader) decodeAlertmanager(n *Notifier, b *block) {
	n.Secret = b.secret("token_file", "token_env")
	secret := len(b.set("token_file", "token_env")) > 0
	list := b.texts("urls")
	if b.has("urls") && len(list) == 0 || len(list) > maxMembers {
		b.fail("urls", "Wrong number of members", "urls names 1 to %d members of a cluster.", maxMembers)
	}
	for _, w := range list {
		wrong := checkURL(w.text)
		if wrong == "" && strings.ContainsAny(w.text, "?#") {
			wrong = "it is the beginning of a URL, which /api/v2/alerts comes after"
		}
		if wrong == "" && secret {
			wrong = checkSecretURL(w.text)
		}
		if wrong != "" {
			l.fail(w.at, "Wrong value", "urls: %s.", wrong)
		}
		n.URLs = append(n.URLs, w.text)
	}
	n.Labels = b.dict("labels")
	for _, name := range slices.Sorted(maps.Keys(n.Labels)) {
		switch value := n.Labels[name]; {
		case !labelName.MatchString(name) || len(name) > maxName:
			b.fail("labels", "Wrong name", "%q is no name of a label: letters, digits and _.", name)
		case slices.Contains(ownLabels(), name):
			b.fail("labels", "Wrong name", "Salve sets the label %q itself.", name)
		case value == "":
			b.fail("labels", "Empty text", "An empty label means nothing.")
		}
	}
}

// checkSecretURL is for URLs that are secrets or are sent some: off the host, nothing but TLS.
func checkSecretURL(s string) string {
	if wrong := checkURL(s); wrong != "" {
		return wrong
	}
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" && !onLoopback(u.Hostname()) {
		return "a secret leaves the host by https:// only"
	}
	return ""
}
