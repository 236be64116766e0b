package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

const (
	slowestStatsD = 10 * time.Second
	maxSocketPath = 107 // of what the kernel takes
)

func statsdKind() *kind {
	return &kind{
		labels: []string{"name"},
		blocks: []string{"metric"},
		attrs: []attr{
			{name: "listen", typ: text, required: true},
			{name: "every", typ: duration, def: defaults.StatsDEvery, least: int64(fastest), most: int64(slowestStatsD)},
		},
	}
}

func (l *loader) decodeStatsD(b *block) *StatsD {
	s := &StatsD{
		Name: b.name("statsd", checkWord), Range: b.header,
		Listen: b.checked("listen", checkStatsD), Every: b.duration("every"),
	}
	s.Metrics = l.decodeMetrics(b, s.Every)
	return s
}

// checkStatsD is for what the agent takes datagrams on.
func checkStatsD(s string) string {
	if socket, ok := strings.CutPrefix(s, "unixgram:"); ok {
		if len(socket) > maxSocketPath {
			return fmt.Sprintf("the path of a socket has at most %d bytes", maxSocketPath)
		}
		return checkAbsolute(socket)
	}
	if wrong := checkAddress(s); wrong != "" {
		return wrong + ", or unixgram:/path"
	}
	return checkReceiver(s)
}
