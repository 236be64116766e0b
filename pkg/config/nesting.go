package config

// Bounds of nesting. The HCL parser and everything that walks its tree are recursive; a megabyte of
// brackets would exhaust the stack, which Go cannot recover from.
const (
	maxNesting   = 100  // brackets within brackets, or operators before one operand
	maxQuestions = 1000 // conditionals in one file: a ? b : c ? d : …
)

// tooDeep finds the byte at which a source nests too deep. It reads the bytes without understanding
// them beyond comments and strings: where it errs, it errs on text that nobody writes.
func tooDeep(src []byte) (at int, deep bool) {
	depth, run, questions := 0, 0, 0
	for i := 0; i < len(src); i++ {
		if next := skip(src, i); next > i {
			i, run = next-1, run*sameOperand(src[i])
			continue
		}
		switch src[i] {
		case '(', '[', '{':
			depth++
			run = 0
		case ')', ']', '}':
			depth = max(0, depth-1)
			run = 0
		case '!', '-':
			run++
		case '?':
			questions++
		case ' ', '\t', '\r', '\n':
		default:
			run = 0
		}
		if depth > maxNesting || run > maxNesting || questions > maxQuestions {
			return i, true
		}
	}
	return 0, false
}

// sameOperand is 1 when what begins with c is a comment, which may stand between operators.
func sameOperand(c byte) int {
	if c == '"' {
		return 0
	}
	return 1
}

// skip is the end of the comment or string that begins at i, or i.
func skip(src []byte, i int) int {
	switch {
	case src[i] == '#', src[i] == '/' && i+1 < len(src) && src[i+1] == '/':
		for i < len(src) && src[i] != '\n' {
			i++
		}
	case src[i] == '/' && i+1 < len(src) && src[i+1] == '*':
		for i += 2; i < len(src); i++ {
			if src[i-1] == '*' && src[i] == '/' {
				return i + 1
			}
		}
	case src[i] == '"':
		for i++; i < len(src) && src[i] != '"' && src[i] != '\n'; i++ {
			if src[i] == '\\' {
				i++
			}
			if (src[i-1] == '$' || src[i-1] == '%') && i < len(src) && src[i] == '{' {
				return i // a template: what it holds is read as code
			}
		}
		return min(i+1, len(src))
	}
	return i
}
