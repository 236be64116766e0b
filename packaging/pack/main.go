// Command pack makes Salve's packages: it builds the programs, renders what goes beside them out of their own help,
// and hands all of it to nfpm. The same commit gives the same bytes.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

func main() {
	o := options{}
	pflag.StringVar(&o.nfpm, "nfpm", ".tools/nfpm", "the program nfpm")
	pflag.StringVar(&o.out, "out", "dist", "folder for the packages")
	pflag.StringSliceVar(&o.formats, "formats", []string{"deb", "rpm"}, "what to make")
	pflag.StringSliceVar(&o.arches, "arches", []string{"amd64", "arm64"}, "for which machines, in Go's words")
	pflag.StringSliceVar(&o.packages, "packages", names(), "which packages to make")
	pflag.StringVar(&o.compression, "compression", "xz", "xz, or gzip, which is made faster")
	pflag.StringVar(&o.git.version, "version", "", "git describe")
	pflag.StringVar(&o.git.commit, "commit", "", "full hash")
	date := pflag.String("date", "", "of the commit, RFC 3339")
	pflag.Parse()
	if err := run(o, *date); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// options of one run.
type options struct {
	nfpm, out       string
	formats, arches []string
	packages        []string
	compression     string
	git             revision
}

// revision is the commit that is packed.
type revision struct {
	version string // git describe
	commit  string
	date    time.Time
}

func run(o options, date string) (err error) {
	if o.git.date, err = time.Parse(time.RFC3339, date); err != nil {
		return fmt.Errorf("--date: %w", err)
	}
	o.git.date = o.git.date.UTC()
	if o.git.version == "" || o.git.commit == "" {
		return errors.New("--version and --commit say what is packed, and may not be empty")
	}
	for _, f := range o.formats {
		if !slices.Contains([]string{"deb", "rpm"}, f) {
			return fmt.Errorf("--formats: %q is neither deb nor rpm", f)
		}
	}
	for _, p := range o.packages {
		if !slices.Contains(names(), p) {
			return fmt.Errorf("--packages: there is no package %q", p)
		}
	}
	b, err := prepare(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.stage)) }()
	for _, arch := range o.arches {
		if err := b.arch(arch); err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
	}
	return sums(o.out)
}

// names of the packages; each is also the name of its first program.
func names() []string { return []string{"salve-agent", "salve-controller", "salve"} }

// programs of a package.
func programs(name string) []string {
	if name == "salve-agent" {
		return []string{name, "salve-agent-helper"}
	}
	return []string{name}
}

// source is the main package of a program.
func source(name string) string {
	if strings.HasPrefix(name, "salve-agent") {
		return "./agent/cmd/" + name
	}
	return "./controller/cmd/" + name
}

// packageVersion makes a package's version out of `git describe`: "v1.2.0" is 1.2.0, three commits later it is
// 1.2.0+3.gabc1234, and before the first tag 0.0.0~git20261127.abc1234, which sorts before any release. A work tree
// with changes has "+dirty" at its end.
func packageVersion(r revision) string {
	described, dirty := strings.CutSuffix(r.version, "-dirty")
	version := ""
	if rest, tagged := strings.CutPrefix(described, "v"); tagged && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		tag, after, later := rest, "", false
		if i := strings.LastIndex(rest, "-g"); i >= 0 {
			if j := strings.LastIndex(rest[:i], "-"); j >= 0 {
				tag, after, later = rest[:j], strings.ReplaceAll(rest[j+1:], "-", "."), true
			}
		}
		version = strings.ReplaceAll(tag, "-", "~") // v1.2.0-rc1 comes before v1.2.0
		if later {
			version += "+" + after
		}
	} else {
		version = fmt.Sprintf("0.0.0~git%s.%.7s", r.date.Format("20060102"), r.commit)
	}
	if dirty {
		version += "+dirty"
	}
	return version
}
