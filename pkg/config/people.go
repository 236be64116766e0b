package config

import (
	"net/mail"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
)

// Kinds of notifiers.
const (
	Email    = "email"
	Webhook  = "webhook"
	ExecHook = "exec"
	Journald = "journald"
)

func notifierKinds() []string { return []string{Email, Webhook, ExecHook, Journald} }

func (l *loader) decodeNotifier(b *block) {
	n := &Notifier{Kind: b.labels[0], Name: b.labels[1], Range: b.header, Timeout: defaults.NotifierTimeout}
	if wrong := checkName(n.Name); wrong != "" {
		l.fail(b.labelAt, "Wrong name", "%s.", wrong)
	}
	l.unique("notifier", "", n.ID(), b.labelAt)
	switch n.Kind {
	case Email:
		n.To, n.SMTP = b.checked("to", checkRecipients), b.checked("smtp", checkAddress)
		n.From = "salve@" + l.agent.Host
		if b.has("from") {
			n.From = b.checked("from", checkSender)
		}
	case Webhook:
		n.URL, n.Secret = b.link(), b.secret("secret_file", "secret_env")
	case ExecHook:
		n.Command = b.command("command", ActionNotify)
	}
	if n.Kind != Journald {
		n.Timeout = b.duration("timeout")
	}
	l.agent.Notifiers = append(l.agent.Notifiers, n)
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

func (l *loader) decodeEscalation(b *block) {
	e := &Escalation{Name: b.name("escalation", checkName), Range: b.header}
	for _, s := range b.blocks("step") {
		notify := s.texts("notify")
		step := Step{After: s.duration("after"), Notify: plain(notify), Repeat: s.integer("repeat")}
		if s.has("notify") && len(notify) == 0 {
			s.fail("notify", "Nobody to tell", "A step must name a notifier.")
		}
		if step.Repeat > 0 && step.After == 0 {
			s.fail("repeat", "No time between repeats", "repeat needs after: each repeat comes that much later.")
		}
		l.told = append(l.told, notify...)
		e.Steps = append(e.Steps, step)
	}
	if len(e.Steps) == 0 {
		l.fail(b.header, "No step", "%s needs a step block.", upper(b.what))
	}
	l.agent.Escalations = append(l.agent.Escalations, e)
}

func (l *loader) decodeHeartbeat(b *block) {
	if h := l.agent.Heartbeat; h != nil {
		l.fail(b.header, "Duplicate heartbeat", "There is a heartbeat block already, at %s.", place(h.Range))
		return
	}
	l.agent.Heartbeat = &Heartbeat{URL: b.link(), Every: b.duration("every"), Range: b.header}
}

// checkPeople resolves who is told.
func (l *loader) checkPeople() {
	if l.rulesOnly {
		return
	}
	l.checkTold()
	lacking := ""
	for _, d := range l.rules {
		switch {
		case l.agent.Escalation(d.Escalate.To) != nil:
		case d.to.text != "":
			l.unknownEscalation(d.to)
		case lacking == "":
			lacking = d.Name
		}
	}
	if lacking != "" {
		when := ""
		if l.agent.Controller != nil {
			when = " while the controller is out of reach"
		}
		at := hcl.Range{Filename: l.sources.names[0], Start: hcl.InitialPos, End: hcl.InitialPos}
		l.warn(at, "Nobody to tell", "The rule %q escalates to %q, and there is no escalation of that name: nobody "+
			"would hear of what Salve cannot heal%s.", lacking, defaults.EscalateTo, when)
	}
}

// checkTold reports notifiers that a step names and that do not exist.
func (l *loader) checkTold() {
	var notifiers []string
	for _, n := range l.agent.Notifiers {
		notifiers = append(notifiers, n.ID())
	}
	for _, w := range l.told {
		if l.agent.Notifier(w.text) == nil {
			l.fail(w.at, "Unknown notifier", "There is no notifier %q; a step names one as KIND.NAME.%s", w.text,
				meant(w.text, notifiers))
		}
	}
}

// unknownEscalation is about a name that a rule gives. The controller may know it where this host does
// not; Agent.Paging says who is told while it cannot be reached.
func (l *loader) unknownEscalation(to word) {
	var known []string
	for _, e := range l.agent.Escalations {
		known = append(known, e.Name)
	}
	hint := meant(to.text, known)
	switch {
	case l.agent.Controller == nil:
		l.fail(to.at, "Unknown escalation", "There is no escalation %q.%s", to.text, hint)
	case hint != "":
		l.warn(to.at, "Unknown escalation", "There is no escalation %q on this host; the controller must have it.%s",
			to.text, hint)
	case l.agent.Escalation(defaults.EscalateTo) == nil:
		l.warn(to.at, "Nobody to tell", "There is no escalation %q and no %q on this host: nobody would hear of what "+
			"Salve cannot heal while the controller is out of reach.", to.text, defaults.EscalateTo)
	}
}
