package main

import "errors"

// undo takes back, step by step, what was set up.
type undo struct{ steps []func() error }

// onClose registers what takes a step back; the last one goes first.
func (u *undo) onClose(f func() error) { u.steps = append(u.steps, f) }

func (u *undo) close() error {
	var errs []error
	for i := len(u.steps) - 1; i >= 0; i-- {
		errs = append(errs, u.steps[i]())
	}
	u.steps = nil
	return errors.Join(errs...)
}
