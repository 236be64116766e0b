package downgrade_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// insideEnv is set in the process whose mounts are its own.
const insideEnv = "DOWNGRADE_TEST_INSIDE"

// TestMain runs the tests in a process in which dpkg and apt-get have nothing to do with this machine: what they know, keep and
// install lies in memory.
func TestMain(m *testing.M) {
	_, missing := exec.LookPath("dpkg-deb")
	fuzzes := slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzz") }) // with pipes of its own
	switch {
	case os.Geteuid() != 0 || missing != nil || fuzzes:
	case os.Getenv(insideEnv) == "":
		os.Exit(inside())
	default:
		if err := stage(); err != nil {
			fmt.Fprintln(os.Stderr, "make a place for packages:", err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// inside runs this program again, in a namespace of its own.
func inside() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var ended *exec.ExitError
	if err := cmd.Run(); errors.As(err, &ended) {
		return ended.ExitCode()
	} else if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

const (
	repository = "/opt/repository"
	records    = "/var/lib/dpkg"
)

// stage hides what this machine has of packages, and makes a repository of some.
func stage() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, dir := range []string{records, "/var/lib/apt", "/var/cache/apt", "/var/log", "/etc/apt", "/opt"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	for _, dir := range []string{records + "/info", records + "/updates", records + "/triggers", "/etc/apt/apt.conf.d", "/etc/apt/preferences.d",
		"/etc/apt/trusted.gpg.d", "/var/log/apt", "/var/lib/apt/lists/partial", "/var/cache/apt/archives/partial", repository} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		records + "/status": "", "/etc/apt/sources.list": "deb [trusted=yes] file:" + repository + " ./\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	var index strings.Builder
	for _, control := range []string{
		"Package: shop\nVersion: 0.9\nDepends: glue\n", "Package: shop\nVersion: 1.0\n", "Package: shop\nVersion: 2.0\n",
		"Package: shop\nVersion: 3.0\n", "Package: common\nVersion: 1.0\n", "Package: common\nVersion: 2.0\n", "Package: glue\nVersion: 1.0\n",
		"Package: till\nVersion: 1.0\nDepends: shop (>= 2.0)\n", "Package: core\nVersion: 1.0\nEssential: yes\n",
	} {
		if err := build(control, &index); err != nil {
			return err
		}
	}
	if err := os.WriteFile(repository+"/Packages", []byte(index.String()), 0o644); err != nil {
		return err
	}
	out, err := exec.Command("apt-get", "update", "-q").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// build makes a package of that name and version, whose script does what a test puts into /opt/script.
func build(control string, index *strings.Builder) error {
	words := strings.Fields(control)
	name, version := words[1], words[3]
	control += "Architecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: of a test\n"
	dir, deb := filepath.Join("/opt/build", name+version), filepath.Join(repository, name+"_"+version+".deb")
	for path, text := range map[string]string{
		"DEBIAN/control":  control,
		"DEBIAN/postinst": "#!/bin/sh\nset -e\n[ ! -e /opt/script ] || . /opt/script\n",
		"opt/" + name:     version + "\n",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			return err
		}
	}
	if out, err := exec.Command("dpkg-deb", "-Znone", "--build", dir, deb).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	info, err := os.Stat(deb)
	if err != nil {
		return err
	}
	sum, err := exec.Command("sha256sum", deb).Output()
	if err != nil {
		return err
	}
	fmt.Fprintf(index, "%sFilename: ./%s\nSize: %d\nSHA256: %.64s\n\n", control, filepath.Base(deb), info.Size(), sum)
	return nil
}
