package probe

import (
	"context"
	"testing"
	"time"
)

// closer counts how often it is closed.
type closer struct{ closed int }

func (c *closer) Close() error {
	c.closed++
	return nil
}

// ready is a protocol whose connections are always good.
type ready struct{}

func (ready) dial(context.Context, time.Time) (*closer, error) { return &closer{}, nil }
func (ready) sound(*closer) bool                               { return true }
func (ready) exchange(context.Context, *closer, time.Time) (answer, fate) {
	return answer{answered: true}, keep
}

// One connection is kept, and none is left open after the end.
func TestLineKeepsOne(t *testing.T) {
	l := newLine(ready{}, time.Second)
	first, second, late := &closer{}, &closer{}, &closer{}
	l.put(&first, keep)
	l.put(&second, keep)
	if first.closed != 0 || second.closed != 1 {
		t.Errorf("closed %d and %d times", first.closed, second.closed)
	}
	l.close()
	l.put(&late, keep)
	if first.closed != 1 || late.closed != 1 || l.idle != nil {
		t.Errorf("after the end closed %d and %d times", first.closed, late.closed)
	}
}
