package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// builder makes packages out of a folder of its own.
type builder struct {
	o       options
	stage   string
	version string
}

// prepare builds the programs for this machine, asks them for help, and renders what all architectures share.
func prepare(o options) (*builder, error) {
	stage, err := os.MkdirTemp("", "salve-pack-")
	if err != nil {
		return nil, err
	}
	b := &builder{o: o, stage: stage, version: packageVersion(o.git)}
	if err := b.render(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(stage))
	}
	return b, os.MkdirAll(o.out, 0o755)
}

func (b *builder) render() error {
	if err := b.compile(runtime.GOARCH); err != nil {
		return err
	}
	if err := b.shared(); err != nil {
		return err
	}
	for _, name := range b.o.packages {
		if err := os.MkdirAll(filepath.Join(b.stage, name), 0o755); err != nil {
			return err
		}
		for _, step := range []func(name string) error{b.documents, b.changes, b.scripts} {
			if err := step(name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// compile builds the programs for one architecture, as `make build` does.
func (b *builder) compile(arch string) error {
	const pkg = "github.com/salveops/salve/pkg/version"
	flags := fmt.Sprintf("-s -w -X %s.version=%s -X %s.commit=%s -X %s.date=%s",
		pkg, b.o.git.version, pkg, b.o.git.commit, pkg, b.o.git.date.Format("2006-01-02T15:04:05Z07:00"))
	for _, name := range b.o.packages {
		for _, program := range programs(name) {
			cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags,
				"-o", filepath.Join(b.stage, "bin", program), source(program))
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("build %s: %w\n%s", program, err, out)
			}
		}
	}
	return nil
}

// arch makes all packages of one architecture, and what says what is in them.
func (b *builder) arch(arch string) error {
	if arch != runtime.GOARCH || len(b.o.arches) > 1 {
		if err := b.compile(arch); err != nil {
			return err
		}
	}
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU()) // compressing takes most of the time
	for _, name := range b.o.packages {
		if err := b.bill(name, arch); err != nil {
			return errors.Join(fmt.Errorf("bill of %s: %w", name, err), group.Wait())
		}
		for _, format := range b.o.formats {
			group.Go(func() error {
				if err := b.pack(name, arch, format); err != nil {
					return fmt.Errorf("%s.%s: %w", name, format, err)
				}
				return nil
			})
		}
	}
	return group.Wait()
}

// pack fills in the recipe and runs nfpm.
func (b *builder) pack(name, arch, format string) error {
	recipe, err := os.ReadFile(filepath.Join("packaging", "nfpm", name+".yaml"))
	if err != nil {
		return err
	}
	values := map[string]string{
		"ARCH": arch, "VERSION": b.version, "STAGE": b.stage, "MAINTAINER": maintainer, "VENDOR": "Salve",
		"HOMEPAGE": homepage, "MTIME": b.o.git.date.Format("2006-01-02T15:04:05Z"),
		"COMPRESSION": b.o.compression, "UNITS": "/lib/systemd/system",
		"ZSH": "/usr/share/zsh/vendor-completions",
	}
	if format == "rpm" {
		values["UNITS"], values["ZSH"] = "/usr/lib/systemd/system", "/usr/share/zsh/site-functions"
	}
	var missing []string
	text := os.Expand(string(recipe), func(word string) string {
		value, ok := values[word]
		if !ok && word != "THIS" {
			missing = append(missing, word)
		}
		return value
	})
	if missing != nil {
		return fmt.Errorf("the recipe wants %s, which nobody knows", strings.Join(missing, ", "))
	}
	file := filepath.Join(b.stage, name+"."+format+".yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(b.o.nfpm, "package", "--config", file, "--packager", format, "--target", b.o.out)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(b.o.git.date.Unix(), 10))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nfpm: %w\n%s", err, out)
	}
	return nil
}

const (
	maintainer = "Salve <salveops@users.noreply.github.com>"
	homepage   = "https://github.com/salveops/salve"
)

// scripts fills in the maintainer scripts of the daemons.
func (b *builder) scripts(name string) error {
	d, ok := daemons()[name]
	if !ok {
		return nil
	}
	level, err := format(d.formatIn, d.formatName)
	if err != nil {
		return err
	}
	dir := filepath.Join(b.stage, name)
	if err := os.WriteFile(filepath.Join(dir, "format"), fmt.Appendln(nil, level), 0o644); err != nil {
		return err
	}
	files, err := filepath.Glob("packaging/scripts/*")
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no scripts in packaging/scripts: %w", err)
	}
	fill := strings.NewReplacer("@PACKAGE@", name, "@UNIT@", name+".service", "@ALSO@", d.also, "@STATE@", d.state,
		"@RUNTIME@", d.runtime, "@GENERATED@", d.generated, "@ENABLE@", strconv.FormatBool(d.enable), "@FORMAT@", strconv.Itoa(level))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		filled := fill.Replace(string(text))
		if strings.Contains(filled, "@") {
			return fmt.Errorf("%s has a word between @ that nobody knows", file)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(filled), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// daemon is what the maintainer scripts of a package differ in.
type daemon struct {
	state, runtime string
	also           string // units beside the daemon's own; a person enables them
	generated      string // what the running package makes and takes away again
	enable         bool   // comes up by itself once it is installed
	// The constant that says which format of its state the program writes, and the folder where it stands.
	formatIn, formatName string
}

func daemons() map[string]daemon {
	return map[string]daemon{
		"salve-agent": {state: "/var/lib/salve/agent", runtime: "/run/salve /run/salve-helper", enable: true,
			also:      "salve-agent-helper.socket salve-agent-helper.service",
			generated: "/etc/polkit-1/rules.d/40-salve-agent.rules /run/salve-helper/allow",
			formatIn:  "agent/internal/journal", formatName: "format"},
		// Whoever starts it makes a cluster of it, and how many nodes that has is a person's decision.
		"salve-controller": {state: "/var/lib/salve/controller", enable: false,
			formatIn: "controller/internal/state", formatName: "Format"},
	}
}
