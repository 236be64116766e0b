package remedy

// GroupArgs are the arguments of scale_group.
type GroupArgs struct {
	Group string // of the remedy's own service
	Count
}

// Count says how many there are to be of something.
type Count struct {
	By       int // so many more, or fewer if it is negative; 0: To counts
	To       int // so many in all; 0: By counts
	Min, Max int // never fewer, never more
}

// maxGroup is how many instances scale_group may ask for.
const maxGroup = 10_000

// Want is how many there are to be where there are have now. Whoever asks for more never gets fewer, nor the other way round:
// what is outside the bounds already stays as it is.
func (c Count) Want(have int) int {
	switch within := func(n int) int { return min(max(n, c.Min), c.Max) }; {
	case c.By > 0:
		return max(have, within(have+c.By))
	case c.By < 0:
		return min(have, within(have+c.By))
	default:
		return within(c.To)
	}
}

// Names implements Args.
func (a *GroupArgs) Names() string { return a.Group }

// disruptive: only more instances are certainly no fewer.
func (c Count) disruptive() bool { return c.By <= 0 }

func scaleGroup() Spec {
	return Spec{
		Kind: ScaleGroup, Target: OnGroup, Disruptive: true, Shared: true, Undoable: true,
		Summary: "ask an autoscaler over HTTP for more instances of a group, or for fewer; undo asks for as many as there were",
		Needs: "An account of the autoscaler that may read and set the count of that group, and nothing else. Its token lies in a file " +
			"that only the agent's user can read, and is read for each request.",
		Worst: "more instances cost money, and what the fewest cannot do is not done. Never more are asked for than max and never fewer " +
			"than min, and a group that somebody scaled to nothing is left alone. What is sent is the count itself, so that " +
			"a request which arrives twice changes nothing. Whoever sets the count at the same moment wins if the server gives " +
			"a version or a strong ETag; without them a change within the milliseconds between question and order is overwritten. An " +
			"autoscaler that also follows rules of its own may set another count a minute later.",
		Back: "The count from before is on disk before anything is asked for, and undo sets it again, unless the count is no longer what " +
			"the remedy made it: somebody changed it, and it stays so. An answer that is lost is settled by reading the count, also by the " +
			"next agent.",
		Args: []Arg{
			{Name: "group", Type: String, Required: true, Target: true, Help: "name of a group block of the same service"},
			{Name: "by", Type: Integer, Least: -maxGroup, Most: maxGroup, Help: "so many more or, if it is negative, fewer than the " +
				"count is when the remedy begins"},
			{Name: "to", Type: Integer, Least: 1, Most: maxGroup, Help: "so many in all, instead of by: several hosts that try it one " +
				"after the other get what one gets"},
			{Name: "min", Type: Integer, Default: "1", Least: 1, Most: maxGroup, Help: "never fewer than these"},
			{Name: "max", Type: Integer, Required: true, Least: 1, Most: maxGroup, Help: "never more than these"},
		},
		decode: func(r *reader) Args {
			a := &GroupArgs{Group: r.text("group"), Count: r.count()}
			if r.has("group") && a.Group == "" {
				r.problem("group", "the group has no name")
			}
			return a
		},
	}
}

// count reads by or to, within min and max.
func (r *reader) count() Count {
	c := Count{By: r.integer("by", 0), To: r.integer("to", 0), Min: r.integer("min", 1), Max: r.integer("max", 0)}
	switch {
	case r.has("by") == r.has("to"):
		r.problem("", "either by or to is needed: how many instances there are to be")
	case r.has("by") && c.By == 0:
		r.problem("by", "by is 0: nothing would change")
	}
	switch {
	case !r.has("max"):
	case c.Min > c.Max:
		r.problem("min", "min (%d) is above max (%d)", c.Min, c.Max)
	case r.has("to") && (c.To < c.Min || c.To > c.Max):
		r.problem("to", "to (%d) must lie from min (%d) to max (%d)", c.To, c.Min, c.Max)
	}
	return c
}
