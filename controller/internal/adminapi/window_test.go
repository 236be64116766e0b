package adminapi

import (
	"testing"
	"time"

	"github.com/salveops/salve/proto/logpb"
)

func TestTurn(t *testing.T) {
	nightly := &logpb.Window{From: "22:00", To: "06:00", Zone: "Europe/Berlin"}
	weekend := &logpb.Window{From: "00:00", To: "00:00", Days: []uint32{0, 6}}
	missing := &logpb.Window{From: "02:30", To: "04:00", Zone: "Europe/Berlin"}
	tests := []struct {
		name string
		w    *logpb.Window
		now  string
		open bool
		next string
	}{
		{"closed", nightly, "2026-03-02T12:00:00Z", false, "2026-03-02T21:00:00Z"},
		{"a second before", nightly, "2026-03-02T20:59:59Z", false, "2026-03-02T21:00:00Z"},
		{"open", nightly, "2026-03-02T23:00:00Z", true, "2026-03-03T05:00:00Z"},
		{"summer", nightly, "2026-07-02T12:00:00Z", false, "2026-07-02T20:00:00Z"},
		{"the night that is an hour shorter", nightly, "2026-03-28T22:00:00Z", true, "2026-03-29T04:00:00Z"},
		{"next week", weekend, "2026-03-02T12:00:00Z", false, "2026-03-07T00:00:00Z"},
		{"days that follow each other", weekend, "2026-03-07T12:00:00Z", true, "2026-03-08T00:00:00Z"},
		{"a beginning that the clocks jump over", missing, "2026-03-29T00:00:00Z", false, "2026-03-29T01:00:00Z"},
		{"a beginning that the clocks show twice", missing, "2026-10-24T23:00:00Z", false, "2026-10-25T00:30:00Z"},
		{"unknown zone", &logpb.Window{From: "22:00", To: "23:00", Zone: "Mars/Olympus"}, "2026-03-02T12:00:00Z", false, ""},
		{"never", &logpb.Window{From: "22:00", To: "23:00", Days: []uint32{9}}, "2026-03-02T12:00:00Z", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			open, next := turn(tt.w, now)
			got := ""
			if next != 0 {
				got = time.Unix(0, next).UTC().Format(time.RFC3339)
			}
			if open != tt.open || got != tt.next {
				t.Errorf("open %t, next %s; want %t, %s", open, got, tt.open, tt.next)
			}
		})
	}
}
