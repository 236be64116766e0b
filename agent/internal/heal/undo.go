package heal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/incident"
)

// Undo is tried so often, with a pause in between.
const (
	undoTries = 3
	undoPause = 5 * time.Second
)

// undo takes the attempt back. It is exempt from budgets, pauses and autonomy. What cannot be taken back
// is unknown and goes to a person.
func (e *Engine) undo(ctx context.Context, r *run, a incident.Attempt) {
	e.o.Step("undo")
	undone, err := e.takeBack(ctx, r, a.ID)
	if errors.Is(err, ErrStopped) {
		return // the next start goes on with it
	}
	text := fmt.Sprintf("%s was taken back", r.remedy.Name)
	if err != nil {
		failed := fmt.Sprintf("%s could not be taken back: %v", r.remedy.Name, err)
		undone = a
		undone.Phase, undone.Reason = incident.Unknown, strings.TrimPrefix(a.Reason+"; "+failed, "; ")
		if e.end(&undone); undone.Phase != incident.Undone { // else who takes it back in time had more luck
			text = failed
		}
	} else if last, err := e.o.Journal.Attempt(a.ID); err != nil || last.Phase != undone.Phase {
		e.end(&undone) // it was done while the journal took nothing
	}
	e.post(func() {
		e.past.Put(&undone)
		r.attempt = &undone
		e.note(r.story, incident.EvUndo, text, map[string]string{"attempt": a.ID})
		if undone.Phase != incident.Undone {
			e.handOver(r.story, text)
		}
		e.finish(r)
	})
}

// takeBack tries a few times: systemd may just be coming back.
func (e *Engine) takeBack(ctx context.Context, r *run, id string) (incident.Attempt, error) {
	for try := 1; ; try++ {
		undone, err := e.o.Act.Undo(ctx, id)
		var refusal *kind.Refusal
		switch {
		case errors.Is(err, act.ErrStopping):
			return undone, ErrStopped
		case err == nil || try == undoTries || errors.As(err, &refusal) && !refusal.Temporary:
			return undone, err
		}
		e.log.Warn("cannot take an attempt back yet", "attempt", id, "try", try, "error", err)
		pause := time.NewTimer(undoPause)
		select {
		case <-pause.C:
		case <-r.left:
			pause.Stop()
			return undone, ErrStopped
		}
	}
}
