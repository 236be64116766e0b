package notify

import (
	"context"
	"encoding/json"
	"path"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/config"
)

// slack posts to an incoming webhook of Slack. There a message has no key: one that is sent twice is shown twice.
type slack struct{ *poster }

// maxSection is the most that Slack takes in one section of text. Its letters are counted as bytes here, which are
// never fewer.
const maxSection = 3000

type slackMessage struct {
	Text   string       `json:"text"` // of notifications, and where blocks cannot be shown
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type string    `json:"type"`
	Text slackText `json:"text"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func newSlack(n *config.Notifier, d Deps) (*slack, error) {
	p, err := newPoster(n.URL, d, path.Base(n.URL)) // the path ends with what lets anybody write there
	if err != nil {
		return nil, err
	}
	return &slack{p}, nil
}

func (s *slack) Send(ctx context.Context, m Message) error {
	body, err := json.Marshal(slackCompose(m))
	if err != nil {
		return Permanent(err)
	}
	a, err := s.post(ctx, nil, body)
	if err != nil {
		return err
	}
	return a.judge()
}

func slackCompose(m Message) slackMessage {
	title := escaped(subject(m), maxSection-2)
	out := slackMessage{Text: title, Blocks: []slackBlock{section("*" + title + "*")}}
	if text := strings.TrimSpace(m.Summary); text != "" {
		out.Blocks = append(out.Blocks, section(escaped(text, maxSection)))
	}
	out.Blocks = append(out.Blocks, section(escaped(slackFacts(m), maxSection)))
	if text := strings.TrimSpace(m.Details); text != "" && m.Kind != Resolve {
		out.Blocks = append(out.Blocks, section(codeBlock(text)))
	}
	return out
}

func slackFacts(m Message) string {
	facts := []string{"incident " + orDash(m.Incident)}
	if m.Service != "" {
		facts = append(facts, "service "+m.Service)
	}
	return strings.Join(append(facts, m.At.Format(time.RFC3339)), " · ")
}

func section(text string) slackBlock {
	return slackBlock{Type: "section", Text: slackText{Type: "mrkdwn", Text: text}}
}

const fence = "```"

// codeBlock shows what a service wrote as it is.
func codeBlock(text string) string {
	return fence + "\n" + escaped(text, maxSection-2*len(fence)-2) + "\n" + fence
}

// escaped takes their meaning from the three letters that Slack reads as markup of links, users and channels, and from
// the fence, which would end a block of code. It cuts the result to size bytes, never within such a letter.
func escaped(text string, size int) string {
	text = strings.ReplaceAll(text, fence, "'''")
	letters := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	whole := letters.Replace(text)
	if len(whole) <= size {
		return whole
	}
	var b strings.Builder
	for _, r := range text {
		letter := letters.Replace(string(r))
		if b.Len()+len(letter) > size-len(clipped) {
			break
		}
		b.WriteString(letter)
	}
	return b.String() + clipped
}
