package state

import (
	"fmt"
	"reflect"
)

// Verify computes the indices again from the tables and reports the first that differs. Tests ask it after
// every step; it costs as much as the whole state.
func (s *State) Verify() error {
	fresh := *s // shares the tables, and gets indices of its own
	fresh.rebuild()
	have, want := reflect.ValueOf(s.derived), reflect.ValueOf(fresh.derived)
	for i := range have.NumField() {
		if !sameIndex(have.Field(i), want.Field(i)) {
			return fmt.Errorf("index %q is %v, and follows from the tables as %v", have.Type().Field(i).Name,
				have.Field(i), want.Field(i))
		}
	}
	return nil
}

// sameIndex compares two indices. Records are compared by identity, for both point into the same tables;
// a key with nothing under it is as good as no key.
func sameIndex(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Map:
		return contains(a, b) && contains(b, a)
	case reflect.Struct:
		for i := range a.NumField() {
			if !sameIndex(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !sameIndex(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	}
	return a.Equal(b)
}

// contains reports whether a has all that b has.
func contains(a, b reflect.Value) bool {
	for it := b.MapRange(); it.Next(); {
		v := a.MapIndex(it.Key())
		empty := it.Value().Kind() == reflect.Map && it.Value().Len() == 0
		if !empty && (!v.IsValid() || !sameIndex(v, it.Value())) {
			return false
		}
	}
	return true
}
