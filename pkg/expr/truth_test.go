package expr

import "testing"

var truths = []Truth{Unknown, False, True}

// Kleene's logic, all of it: there are only 27 cases.
func TestLaws(t *testing.T) {
	for _, a := range truths {
		law(t, "double negation", a.Not().Not(), a)
		law(t, "idempotence", a.And(a), a.Or(a))
		law(t, "identity", a.And(True), a.Or(False))
		law(t, "domination by false", a.And(False), False)
		law(t, "domination by true", a.Or(True), True)
		for _, b := range truths {
			law(t, "commutative and", a.And(b), b.And(a))
			law(t, "commutative or", a.Or(b), b.Or(a))
			law(t, "de morgan", a.And(b).Not(), a.Not().Or(b.Not()))
			law(t, "absorption", a.Or(a.And(b)), a)
			for _, c := range truths {
				law(t, "associative and", a.And(b.And(c)), a.And(b).And(c))
				law(t, "associative or", a.Or(b.Or(c)), a.Or(b).Or(c))
				law(t, "distributive", a.And(b.Or(c)), a.And(b).Or(a.And(c)))
			}
		}
	}
	law(t, "unknown is not false", Unknown.Not(), Unknown)
	law(t, "the excluded third is not excluded", Unknown.Or(Unknown.Not()), Unknown)
}

func law(t *testing.T, name string, got, want Truth) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", name, got, want)
	}
}

func TestTruth(t *testing.T) {
	var zero Truth
	if zero != Unknown || Of(true) != True || Of(false) != False {
		t.Error("a truth is not what it says")
	}
	if Unknown.String() != "unknown" || True.String() != "true" || False.String() != "false" {
		t.Error("a truth has the wrong name")
	}
}
