package spec

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// List is the operation that reads which permits are open; its output are their tokens, in order.
type List struct{}

// Tokens are the open permits as a list gives them.
func Tokens(ps []*logpb.Permit) []Token {
	out := make([]Token, 0, len(ps))
	for _, p := range ps {
		out = append(out, tokenOf(p.GetToken()))
	}
	return order(out)
}

func order(ts []Token) []Token {
	slices.SortFunc(ts, func(a, b Token) int {
		if a.Generation != b.Generation {
			return slices.Compare([]string{a.Generation}, []string{b.Generation})
		}
		return int(int64(a.N) - int64(b.N))
	})
	return ts
}

// seen is a table in a search: it never changes, and its text is made once.
type seen struct {
	table *Table
	text  string
	hash  uint64
}

func see(t *Table) *seen {
	s := &seen{table: t, text: t.String()}
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.text))
	s.hash = h.Sum64()
	return s
}

// Model is the table as porcupine asks for it: histories of commands and lists, with the answers that clients
// saw, beginning with a table on which nothing is in flight. An operation whose answer nobody saw has no
// output, and returns never, if nobody knows more: it may have happened at any time since, or not. Entries have
// no index there, so that what compares indices, which are rights to act alone and logs that went back, is no
// part of it; nor is time.
func Model(begin *Table) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return see(begin) },
		Step: func(state, input, output any) (bool, any) {
			s := state.(*seen)
			if _, ok := input.(List); ok {
				return output == nil || slices.Equal(output.([]Token), s.table.open()), s
			}
			next := s.table.Clone()
			var r *logpb.Result
			if output != nil {
				r = output.(*logpb.Result)
			}
			if next.Step(Point{Index: math.MaxUint64}, input.(*logpb.Command), r) != nil {
				return false, s
			}
			return true, see(next)
		},
		Equal:             func(a, b any) bool { return a.(*seen).text == b.(*seen).text },
		Hash:              func(s any) uint64 { return s.(*seen).hash },
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%v → %v", in, out) },
		DescribeState:     func(s any) string { return s.(*seen).text },
	}
}

func (t *Table) open() []Token {
	out := make([]Token, 0, len(t.Permits))
	for k := range t.Permits {
		out = append(out, k)
	}
	return order(out)
}

// History gathers operations. It is not safe for concurrent use. On nil nothing is gathered.
type History struct {
	operations []porcupine.Operation
	landed     map[int]span // in the log
	unanswered int
}

// Copy is the history so far: answers that come later are none of it.
func (h *History) Copy() *History {
	return &History{operations: slices.Clone(h.operations), landed: maps.Clone(h.landed), unanswered: h.unanswered}
}

// span is between two times.
type span struct{ from, to int64 }

// NewHistory is an empty one.
func NewHistory() *History { return &History{landed: map[int]span{}} }

// Never is the answer of who knows that nothing was done: such an operation is none.
type Never struct{}

// Call notes that a client asks for something. What it returns takes the answer, once.
func (h *History) Call(at int64, input any) func(at int64, output any) {
	if h == nil {
		return func(int64, any) {}
	}
	i := len(h.operations)
	h.operations = append(h.operations, porcupine.Operation{ClientId: i, Input: input, Call: at, Return: math.MaxInt64})
	h.unanswered++
	return func(at int64, output any) {
		if h.operations[i].Return == math.MaxInt64 {
			h.operations[i].Return, h.operations[i].Output = at, output
			h.unanswered--
		}
	}
}

// Landed notes that the log has a command: it came there at one time, and at another one it was seen to be
// committed. Commands that say the same must come in the order in which they were said.
func (h *History) Landed(appended, committed int64, c *logpb.Command) {
	if h == nil {
		return
	}
	for i, o := range h.operations {
		if asked, ok := o.Input.(*logpb.Command); ok && h.landed[i] == (span{}) && proto.Equal(asked, said(c)) {
			h.landed[i], h.operations[i].Input = span{appended, committed}, c
			return
		}
	}
}

// said is what the client said of a command: a leader adds where it came from, and to a hello what it sees, and names
// to be used.
func said(c *logpb.Command) *logpb.Command {
	if c.GetHello() == nil && c.GetFrom() == nil {
		return c
	}
	c = proto.CloneOf(c)
	c.From = nil
	if h := c.GetHello(); h != nil {
		h.Twin, h.NewStream, h.NewGeneration = false, "", ""
	}
	return c
}

// Unanswered is how many operations have no answer.
func (h *History) Unanswered() int { return h.unanswered }

// Len is how many operations there are.
func (h *History) Len() int { return len(h.operations) }

// Check asks whether there is an order of the operations, within their times, in which the table gives the answers
// that clients saw. The search for it may take for ever, so it begins where the log points: an order within the
// times that the log knows is within those of the clients, too. Only if there is none, every order is tried.
func (h *History) Check(begin *Table, within time.Duration) porcupine.CheckResult {
	if porcupine.CheckOperationsTimeout(Model(begin), h.told(), within) == porcupine.Ok {
		return porcupine.Ok
	}
	return porcupine.CheckOperationsTimeout(Model(begin), h.Operations(), within)
}

// Operations are those that may have happened.
func (h *History) Operations() []porcupine.Operation {
	return slices.DeleteFunc(slices.Clone(h.operations), func(o porcupine.Operation) bool { return o.Output == Never{} })
}

// told are the same for one who has read the log to its end. What nobody answered and the log does not have may
// have happened last of all.
func (h *History) told() []porcupine.Operation {
	var out []porcupine.Operation
	for i, o := range h.operations {
		at, landed := h.landed[i]
		if landed {
			o.Call, o.Return = max(o.Call, at.from), min(o.Return, at.to)
		}
		if o.Output != (Never{}) && (landed || o.Output != nil) {
			out = append(out, o)
		}
	}
	return out
}
