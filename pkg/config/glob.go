package config

import "strings"

// literally is a glob that matches exactly the text.
func literally(text string) string {
	return strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]").Replace(text)
}
