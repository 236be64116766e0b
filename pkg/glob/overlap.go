package glob

// Overlap reports whether some name can match both patterns. A class such as [a-z] counts as "any
// one letter", so the answer may be yes where the truth is no, never the other way round.
func Overlap(a, b string) bool {
	return meet(letters(a), letters(b))
}

// meet walks both patterns at once. row[j] says whether a[i:] and b[j:] can match a common name.
func meet(a, b []rune) bool {
	row := make([]bool, len(b)+1)
	for i := len(a); i >= 0; i-- {
		below := row // the row of i+1
		row = make([]bool, len(b)+1)
		for j := len(b); j >= 0; j-- {
			row[j] = step(a, b, i, j, row, below)
		}
	}
	return row[0]
}

func step(a, b []rune, i, j int, row, below []bool) bool {
	moreA, moreB := i < len(a), j < len(b)
	switch {
	case !moreA && !moreB:
		return true
	case moreA && a[i] == '*':
		return below[j] || moreB && row[j+1]
	case moreB && b[j] == '*':
		return row[j+1] || moreA && below[j]
	case !moreA || !moreB:
		return false
	}
	return (a[i] == b[j] || a[i] == '?' || b[j] == '?') && below[j+1]
}

// letters turns each class of the pattern into ?.
func letters(pattern string) []rune {
	var out []rune
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		if runes[i] != '[' {
			out = append(out, runes[i])
			continue
		}
		end := i + 2 // a class holds at least one letter, which may be ]
		for end < len(runes) && runes[end] != ']' {
			end++
		}
		if end >= len(runes) {
			return append(out, runes[i:]...)
		}
		out = append(out, '?')
		i = end
	}
	return out
}
