package cache

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// item is a key of memcached, as it was at one look.
type item struct {
	key string
	cas uint64 // another one with each value that is stored; 0: the server does not count them
}

// longestKey is how many bytes memcached takes for one.
const longestKey = 250

// parseItem reads a line of a dump: "key=sess%3A0 exp=-1 la=1795826927 cas=1 fetch=no cls=1 size=68".
func parseItem(line string) (item, error) {
	var i item
	for word := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "key":
			i.key, err = url.PathUnescape(value)
		case "cas":
			i.cas, err = strconv.ParseUint(value, 10, 64)
		}
		if err != nil {
			return item{}, fmt.Errorf("unexpected line of a dump: %w", err)
		}
	}
	if i.key == "" {
		return item{}, fmt.Errorf("a line of a dump without a key")
	}
	return i, nil
}

// removal is the command that removes the item, unless something else was stored by its key since; "" if no command can name it.
func (i item) removal() string {
	word, flags := i.key, ""
	if strings.ContainsFunc(i.key, func(r rune) bool { return r <= ' ' || r == 127 }) { // would be another command
		word, flags = base64.StdEncoding.EncodeToString([]byte(i.key)), " b"
	}
	if len(word) > longestKey {
		return ""
	}
	if i.cas != 0 {
		flags += " C" + strconv.FormatUint(i.cas, 10)
	}
	return "md " + word + flags + "\r\n"
}
