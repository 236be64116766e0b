package downgrade

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/packages"
)

// dnf is dnf 4 over rpm.
type dnf struct{ packages.Rpm }

func (dnf) name() string   { return order.Dnf }
func (dnf) unhold() string { return "dnf versionlock delete" }

// anyDnf is what people call, and what leads to the dnf that they use.
const anyDnf = "/usr/bin/dnf"

// queryTime is how long dnf has for a look at what it has fetched before.
const queryTime = time.Minute

// simulate implements manager. Only root may have dnf solve anything, so that what it would refuse is known when it does, which
// is before it changes anything. That nothing but the plan can come of it is the order's doing, and guard's. Known is here
// whether a repository has the versions, by the lists that dnf has fetched last.
func (d dnf) simulate(ctx context.Context, plan *record) ([]string, error) {
	path, err := program.Find(order.Dnf)
	if err != nil {
		return nil, kind.Refuse("%v, and no other dnf than version 4 is known here", err)
	}
	if used, err := filepath.EvalSymlinks(anyDnf); err != nil || filepath.Base(used) != order.Dnf {
		return nil, kind.Refuse("%s is not %s, and no other dnf than version 4 is known here", anyDnf, path)
	}
	if err := d.Lockable(); err != nil {
		return nil, kind.Refuse("what goes back could not be held: %v", err)
	}
	for i, p := range plan.To {
		plan.To[i].Arch, plan.From[i].Arch = plan.arch[p.Name], plan.arch[p.Name]
	}
	var refusal *kind.Refusal
	switch err := d.guard(ctx, plan.To); {
	case errors.As(err, &refusal):
		return nil, err
	case err != nil:
		return nil, kind.Refuse("%v", err)
	}
	return plan.detail(func(order.Package) string { return "" }), nil
}

// mark is before each line of a query that names a package. Others are what that makes obsolete.
const mark = "="

// guard implements manager. Versions that make others obsolete that are installed are refused: rpm removes those, whatever dnf was
// told of it, and also what the host's settings hide from dnf. Of what no list has this is not known, which is an error.
func (dnf) guard(ctx context.Context, list []order.Package) error {
	argv := []string{"--queryformat=" + mark + "%{name}-%{epoch}:%{version}-%{release}.%{arch}\n%{obsoletes}"}
	for _, p := range list {
		argv = append(argv, p.ForDnf())
	}
	lines, err := query(ctx, argv)
	if err != nil {
		return err
	}
	argv = nil
	var there []string
	for _, line := range lines { // "glue < 2"; what provides it may not be meant, but cannot be told from it
		if p, ok := strings.CutPrefix(line, mark); ok {
			there = append(there, p)
		} else {
			argv = append(argv, "--whatprovides", line)
		}
	}
	for _, p := range list {
		if !slices.Contains(there, p.ForDnf()) {
			return fmt.Errorf("no repository has %s, by the lists that dnf has fetched last and that the agent can read: "+
				"sudo dnf makecache fetches them anew", p)
		}
	}
	if argv == nil {
		return nil
	}
	gone, err := query(ctx, append([]string{"--disableexcludes=all", "--installed", "--queryformat=%{name}"}, argv...))
	if err != nil {
		return err
	}
	for _, name := range gone {
		if !slices.ContainsFunc(list, func(p order.Package) bool { return p.Name == name }) {
			return kind.Refuse("%s would not only be installed: it makes %s obsolete, which rpm would remove", text(list), name)
		}
	}
	return nil
}

// query has dnf look something up in what it has fetched before, as anybody may, and returns the lines. It was checked when it was
// fetched, by keys that root alone can read.
func query(ctx context.Context, of []string) ([]string, error) {
	path, err := program.Find(order.Dnf)
	if err != nil {
		return nil, kind.Refuse("%v", err)
	}
	out, err := program.Run(ctx, path, program.Cmd{Timeout: queryTime,
		Argv: slices.Concat([]string{path, "--quiet", "--cacheonly", "--setopt=*.repo_gpgcheck=0", "repoquery"}, of)})
	switch {
	case err == nil && out.Truncated:
		err = errors.New("it says more than can be read")
	case err == nil && out.Code != 0:
		return nil, fmt.Errorf("dnf cannot say what there is (%s): %s", strings.Join(of, " "), strings.TrimSpace(string(out.Stderr)))
	}
	if err != nil {
		return nil, kind.Unknown("what dnf would do", err)
	}
	return strings.FieldsFunc(string(out.Stdout), func(r rune) bool { return r == '\n' }), nil
}
