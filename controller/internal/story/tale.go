package story

import "time"

// Tale is an incident as it is told, whoever remembers it: the agent of a host, or the controller. Zero
// times are unknown.
type Tale struct {
	Tool     string // the command line by which it goes on: "salve agent" or "salve"
	Fleet    bool   // of several hosts: every line says of which
	ID       string
	Aliases  []string // names of incidents that were merged into it
	Service  string   // "" is about hosts
	Title    string
	Severity string
	State    string // "open", "healing", "escalated", "acknowledged", "resolved"
	Opened   time.Time
	End      string // how it ended, one sentence
	AckBy    string
	Keep     bool // acknowledged, and remedies go on
	Common   bool // many hosts have it: a breaker is open

	Detect, Act, Verify, Total *time.Duration // nil: not known

	Alerts     []Alert
	Forgotten  int // alerts that are no longer kept
	Timeline   []Event
	Dropped    int      // events that are no longer kept
	Clocks     []string // what has to be known about the hosts' clocks to read the times
	Attempts   []*Attempt
	Permits    []Permit
	Messages   []Message
	Evidence   []Evidence
	Escalation Escalation
	WouldHave  string // under autonomy "observe": the remedy that it would have run
}

// Alert is one firing of one rule for one instance.
type Alert struct {
	Host, Rule, Severity, Instance, Condition string
	Fired, Resolved                           time.Time
	Values                                    []string // "unit.failed = true"
	Blind                                     bool
	Muted                                     string // the service whose incident mutes it
}

// Event is one line of a timeline.
type Event struct {
	At       time.Time
	Offset   *time.Duration // since the incident opened; nil: not known
	Host     string         // "" is the controller, or the host that tells
	Service  string
	Incident string
	Type     string
	Text     string
	Fields   map[string]string
}

// Attempt is one run of one remedy.
type Attempt struct {
	Host, ID, Remedy, Kind, Target, By string
	Plan                               string // what it is about to do, of one that has not ended
	Phase                              string // as of the agent: "intended", "acted", "judged", …
	Outcome, Reason, Error             string
	Offset, Act, Verify                *time.Duration
	Undone                             bool
	Before, After                      string // what was noted then, as JSON of the kind
}

// Permit is the controller's leave for an attempt; only those that are not settled are told of.
type Permit struct {
	Token, Host, Remedy string
	Unit                string // that it acts on, "": none
	Granted             time.Time
	Unknown, Overdue    bool
	Revoked             string // who asked it to stop
}

// Message is one message to one place.
type Message struct {
	At              time.Time
	To, Kind, State string
	Tries           int
	Error           string
}

// Evidence is one bounded piece of diagnosis.
type Evidence struct {
	Host, Title string
	At          time.Time
	Text        string
	Size        int    // bytes; of a text that is not here, too
	Missing     string // why the text is not here
}

// Escalation is how far an incident has climbed.
type Escalation struct {
	Reason string
	Told   []string
	Due    time.Time // when it climbs on
}
