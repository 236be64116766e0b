package expr

// Truth is the value of a condition. The zero value is Unknown, so that what nobody answered never
// counts as an answer.
type Truth uint8

const (
	Unknown Truth = iota // cannot be said from what is known
	False
	True
)

// Of is the truth of a fact.
func Of(fact bool) Truth {
	if fact {
		return True
	}
	return False
}

// And is False as soon as one side is, whatever the other.
func (t Truth) And(o Truth) Truth {
	switch {
	case t == False || o == False:
		return False
	case t == True && o == True:
		return True
	}
	return Unknown
}

// Or is True as soon as one side is, whatever the other.
func (t Truth) Or(o Truth) Truth {
	switch {
	case t == True || o == True:
		return True
	case t == False && o == False:
		return False
	}
	return Unknown
}

// Not turns the known answers round.
func (t Truth) Not() Truth {
	switch t {
	case True:
		return False
	case False:
		return True
	}
	return Unknown
}

// String is "true", "false" or "unknown".
func (t Truth) String() string {
	switch t {
	case True:
		return "true"
	case False:
		return "false"
	}
	return "unknown"
}
