package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/internal/heal"
	"github.com/salveops/salve/agent/internal/helper"
)

func TestLeave(t *testing.T) {
	file := filepath.Join(t.TempDir(), "allow")
	list := helper.List{Never: []string{"dbus.*"}, May: []helper.Entry{{Pattern: "web-*.service", Verbs: []string{"reset-failed", "start"}},
		{Pattern: "*", Verbs: []string{"kill"}}}}
	if err := os.WriteFile(file, []byte(list.Text()), 0o644); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(damaged, []byte("may *\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, file, unit, verbs string
		want                    heal.Leave
	}{
		{"all of it", file, "web-1.service", "start reset-failed", heal.Leave{}},
		{"a verb less", file, "web-1.service", "start stop", heal.Leave{Refused: "stop on web-1.service"}},
		{"another unit", file, "db.service", "start", heal.Leave{Refused: "start on db.service"}},
		{"never", file, "dbus.service", "kill", heal.Leave{Refused: "kill on dbus.service"}},
		{"no list", file + "x", "web-1.service", "start", heal.Leave{Unknown: "is not there"}},
		{"damaged", damaged, "web-1.service", "start", heal.Leave{Unknown: "no list of Salve's"}},
	} {
		got := leaveBy(tc.file, tc.unit, strings.Fields(tc.verbs))
		if got.Refused != tc.want.Refused || (got.Unknown == "") != (tc.want.Unknown == "") ||
			!strings.Contains(got.Unknown, tc.want.Unknown) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
