package version

import (
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestString(t *testing.T) {
	tests := []struct {
		name string
		in   Info
		want string
	}{
		{"bare", Info{Version: "dev", Go: "go1", OS: "linux", Arch: "arm64"}, "dev (go1 linux/arm64)"},
		{
			"full",
			Info{
				Version: "v1.2.0", Commit: "0123456789abcdef", Date: "2026-01-02T15:04:05Z",
				Go: "go1", OS: "linux", Arch: "amd64",
			},
			"v1.2.0 (0123456789ab, 2026-01-02T15:04:05Z, go1 linux/amd64)",
		},
		{
			"short commit", Info{Version: "v1", Commit: "abc", Go: "go1", OS: "linux", Arch: "amd64"},
			"v1 (abc, go1 linux/amd64)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.in.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFillKeepsWhatTheLinkerSaid(t *testing.T) {
	b := &debug.BuildInfo{
		Main:     debug.Module{Version: "v9.9.9"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "feed"}, {Key: "vcs.time", Value: "then"}},
	}
	got := Info{Version: "v1.0.0"}
	got.fill(b)
	if diff := cmp.Diff(Info{Version: "v1.0.0", Commit: "feed", Date: "then"}, got); diff != "" {
		t.Errorf("fill (-want +got):\n%s", diff)
	}
	got = Info{}
	got.fill(&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}})
	if diff := cmp.Diff(Info{}, got); diff != "" {
		t.Errorf("fill of a development build (-want +got):\n%s", diff)
	}
}

func TestGetAlwaysHasAVersion(t *testing.T) {
	if Get().Version == "" {
		t.Error("version is empty")
	}
}
