package config

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Checks of single texts. Each returns what is wrong, as the rest of a sentence, or "".

const maxName = 64

var (
	wordName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
	freeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@:-]*$`)
)

// checkName is for names that only people and other blocks use.
func checkName(s string) string {
	if len(s) > maxName || !freeName.MatchString(s) {
		return fmt.Sprintf("%q is no name: up to %d letters, digits, and _ . @ : -", s, maxName)
	}
	return ""
}

// checkWord is for names that conditions use, as in probe.NAME.ok.
func checkWord(s string) string {
	if len(s) > maxName || !wordName.MatchString(s) {
		return fmt.Sprintf("%q cannot stand in a condition: a name has up to %d letters, digits, _ and -, "+
			"and begins with a letter", s, maxName)
	}
	return ""
}

func checkHost(s string) string {
	if len(s) > 253 || s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 127 || r == '/' }) {
		return "a host name has up to 253 letters, no spaces and no slashes"
	}
	return ""
}

func checkAbsolute(s string) string {
	if !path.IsAbs(s) || path.Clean(s) != s {
		return fmt.Sprintf("%q must be an absolute path without \"..\", \".\" and double slashes", s)
	}
	return ""
}

// checkAddress is for host:port.
func checkAddress(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Sprintf("%q must be host:port", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Sprintf("%q has no port from 1 to 65535", s)
	}
	if host == "" {
		return fmt.Sprintf("%q has no host", s)
	}
	return ""
}

// checkLoopback is for addresses that the agent listens on in plain text; "" is for not at all.
func checkLoopback(s string) string {
	if s == "" {
		return ""
	}
	if wrong := checkAddress(s); wrong != "" {
		return wrong
	}
	if host, _, _ := net.SplitHostPort(s); onLoopback(host) {
		return ""
	}
	return fmt.Sprintf("%q is not a loopback address; figures leave the host in plain text only through a proxy "+
		"of yours", s)
}

func onLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkDial is for what the agent connects to: host:port or unix:/path.
func checkDial(s string) string {
	if socket, ok := strings.CutPrefix(s, "unix:"); ok {
		return checkAbsolute(socket)
	}
	return checkAddress(s)
}

// checkURL is for http and https. Passwords do not belong into a configuration.
func checkURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "it is not a URL"
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Sprintf("%q is not an http:// or https:// URL", u.Redacted())
	case u.Hostname() == "":
		return "the URL names no host"
	case u.User != nil:
		return "a URL must not hold a user or password; secrets come from files"
	}
	if port := u.Port(); port != "" {
		return checkAddress(net.JoinHostPort(u.Hostname(), port))
	}
	return ""
}
