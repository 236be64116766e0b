package signal

import "time"

// Families of the signals that tell how long ago something changed: of a service with its host, and of the host alone.
const (
	Change     = "change"
	HostChange = "host.change"
)

// AnyChange is the field of both that is about changes of every kind. The other fields are the kinds.
const AnyChange = "any"

// NoChange is what the signals say where nothing has changed for longer, or ever: a change as old as that explains
// nothing any more.
const NoChange = 7 * 24 * time.Hour

var changeFields = []field{
	{AnyChange, Seconds, event, "time since anything changed; 7 days where nothing has for so long"},
	{"deployment", Seconds, event, "time since somebody recorded a deployment"},
	{"configuration", Seconds, event, "time since somebody recorded a change of configuration"},
	{"package", Seconds, event, "time since packages were installed, upgraded or removed"},
	{"unit", Seconds, event, "time since systemd loaded another unit file or drop-in"},
	{"release", Seconds, event, "time since the link to the release led elsewhere"},
	{"binary", Seconds, event, "time since the program of a running unit was replaced, or since the unit runs the new one"},
}

// ChangeKinds are the kinds of changes.
func ChangeKinds() []string {
	kinds := make([]string, 0, len(changeFields)-1)
	for _, f := range changeFields[1:] {
		kinds = append(kinds, f.name)
	}
	return kinds
}
