package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// credentials stands at the beginning of a path for the folder that systemd makes for LoadCredential=.
const credentials = "$CREDENTIALS_DIRECTORY/"

// secret reads a secret from the file that NAME_file names or the variable that NAME_env names. It
// is "" when neither is set, or offline. The text of a secret never gets into a message.
func (b *block) secret(file, env string) string {
	if env != "" && b.has(env) {
		if b.has(file) {
			b.fail(env, "Two sources", "%s takes %s or %s, not both.", b.what, file, env)
		}
		return b.secretEnv(env)
	}
	if !b.has(file) {
		return ""
	}
	_, text := b.secretFile(file)
	return text
}

func (b *block) secretEnv(name string) string {
	variable := b.checked(name, checkWord)
	text := b.l.opts.Getenv(variable)
	if text == "" && !b.l.opts.Offline {
		b.fail(name, "No secret", "The environment has no %s.", variable)
	}
	return text
}

// secretFile resolves the path and reads the text, without the line break at its end.
func (b *block) secretFile(name string) (path, text string) {
	path = b.text(name)
	if rest, ok := strings.CutPrefix(path, credentials); ok {
		dir := b.l.opts.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" && b.l.opts.Offline {
			return path, ""
		}
		if dir == "" {
			b.fail(name, "No secret", "systemd gave no credentials: $CREDENTIALS_DIRECTORY is not set; "+
				"the unit needs LoadCredential=.")
			return path, ""
		}
		path = filepath.Join(dir, rest)
	}
	if wrong := checkAbsolute(path); wrong != "" {
		b.fail(name, "Wrong value", "%s: %s.", name, wrong)
		return path, ""
	}
	if b.l.opts.Offline {
		return path, ""
	}
	src, err := slurp(path)
	if err != nil {
		b.fail(name, "Cannot read the secret", "%s: %s. It must be readable for the user of the %s.", path, reason(err),
			b.l.program)
		return path, ""
	}
	text = strings.TrimRight(string(src), "\r\n")
	if text == "" || strings.ContainsAny(text, "\x00\r\n") {
		b.fail(name, "Cannot read the secret", "%s must hold one line of text.", path)
		return path, ""
	}
	b.warnReadable(name, path)
	return path, text
}

func (b *block) warnReadable(name, path string) {
	info, err := os.Stat(path)
	if err == nil && info.Mode()&0o004 != 0 {
		b.l.warn(b.at(name), "Readable secret", "%s can be read by everyone (mode %04o): %s.", path, info.Mode().Perm(),
			fmt.Sprintf("chmod o-r %s", path))
	}
}
