package reboot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
)

// tick is the unit of time in /proc/PID/stat, on every architecture.
const tick = 10 * time.Millisecond

// boot is one life of the host. The kernel's name of it is not enough: containers on one machine share it, and it outlives
// them. So the start of PID 1 is part of it, which a new one of its own cannot have.
type boot struct {
	ID    string        `json:"id"`
	Began time.Duration `json:"began"` // CLOCK_BOOTTIME at which PID 1 began
}

// booted reads which boot this is. root is a prefix of every path, "" on a real host.
func booted(root string) (boot, error) {
	id, err := os.ReadFile(filepath.Join(root, "/proc/sys/kernel/random/boot_id"))
	if err != nil {
		return boot{}, err
	}
	stat, err := os.ReadFile(filepath.Join(root, "/proc/1/stat"))
	if err != nil {
		return boot{}, err
	}
	b := boot{ID: strings.TrimSpace(string(id))}
	if b.ID == "" {
		return boot{}, errors.New("the kernel's name of the boot is empty")
	}
	b.Began, err = began(stat)
	return b, err
}

// began is the start of the process whose stat it is.
func began(stat []byte) (time.Duration, error) {
	start := kind.StatField(stat, 22)
	if start == "" {
		return 0, errors.New("/proc/1/stat is cut short")
	}
	n, err := strconv.ParseUint(start, 10, 48)
	return time.Duration(n) * tick, err
}

func (b boot) String() string {
	return fmt.Sprintf("%.8s", b.ID)
}
