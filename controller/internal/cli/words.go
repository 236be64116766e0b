package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/salveops/salve/controller/internal/story"
)

// span is a duration as people say it; "" if unset.
func span(d *durationpb.Duration) string {
	if d == nil {
		return ""
	}
	return story.Span(d)
}

// moment is a time in the zone of who reads it; "" if unset.
func moment(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Local().Format("2006-01-02 15:04:05")
}

// shortID is enough of an incident's ID to name it.
func shortID(id string) string { return id[:min(12, len(id))] }

// counts is "2 firing, 1 pending", or "none".
func counts(m map[string]uint32) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
