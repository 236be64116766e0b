package config

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
)

// LoadOptions says where a configuration is read. The zero value is for the host that will run it.
type LoadOptions struct {
	// Host is the default of `host`; "" means the host name.
	Host string
	// Getenv reads the environment; nil means os.Getenv.
	Getenv func(string) string
	// Offline leaves out what only the host itself can tell: programs and secret files are not
	// looked at, and secrets stay empty. For checking a configuration somewhere else.
	Offline bool
	// Tests reads the tests of rules as well, which a host that runs the rules has no use for.
	Tests bool
	// Bundles are what a controller delivered, and lie beneath the files: what has a name already keeps it, and the
	// bundles' own stay out. Only for files that load without them, so that none can rest on a bundle.
	Bundles []*Bundle
}

// loader gathers what the files say. It works in three steps, and a step begins only when the one
// before found no error, so that one mistake is not reported again as its consequences:
//
//	parse    files → syntax trees
//	decode   blocks → drafts: values of the right type, within bounds
//	link     drafts → specification: names resolve, conditions compile, allow permits
type loader struct {
	opts    LoadOptions
	sources *sources
	kinds   kinds
	program string // "agent" or "controller": whose files these are
	agent   *Agent
	file    *ControllerFile
	fleet   fleetDraft
	people  people
	counts  map[string]int // how many blocks of each type there are
	diags   hcl.Diagnostics
	first   map[string]hcl.Range // where a name was declared first; see unique

	// rulesOnly is true when rules are checked without the agent.hcl that they belong to: what they
	// name there (targets of allow, escalations) cannot be checked.
	rulesOnly bool

	services   []*serviceDraft
	rules      []*ruleDraft
	remedies   []*remedyDraft // of the host
	thresholds []thresholdDraft
	tests      []*testDraft
	allowed    []word // units of allow blocks
	programs   []program
	compiled   map[string]*expr.Threshold
}

func newLoader(o LoadOptions) *loader {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	return &loader{
		opts: o, sources: newSources(), kinds: agentKinds(), program: "agent", agent: &Agent{},
		counts: map[string]int{}, first: map[string]hcl.Range{}, compiled: map[string]*expr.Threshold{},
	}
}

// LoadAgent reads agent.hcl and its rules folder. With errors among the diagnostics the Agent is nil.
// Warnings are returned with the errors and also kept in Agent.Warnings. Render shows diagnostics.
func LoadAgent(path string, o LoadOptions) (*Agent, hcl.Diagnostics) {
	l := newLoader(o)
	l.readAgent(path)
	return l.finish()
}

func (l *loader) readAgent(path string) {
	file := l.sources.read(path, l)
	if file == nil {
		return
	}
	top := l.open(file, "agent")
	folder, at, named := rulesFolder(path, top)
	var files []*hcl.File
	for _, name := range l.list(folder, at, named) {
		if f := l.sources.read(name, l); f != nil {
			files = append(files, f)
		}
	}
	l.decodeAgent(top)
	l.decodeRules(top)
	for _, f := range files {
		l.decodeRules(l.open(f, "rules"))
	}
	l.decodeBundles()
	if !l.diags.HasErrors() {
		l.link()
	}
}

// rulesFolder is where the rules of this agent.hcl are, and whether the file itself says so.
func rulesFolder(path string, top *block) (folder string, at hcl.Range, named bool) {
	folder = top.text("rules")
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(filepath.Dir(path), folder)
	}
	return folder, top.at("rules"), top.has("rules")
}

// finish hands out the result. What was found is in the order of the files.
func (l *loader) finish() (*Agent, hcl.Diagnostics) {
	diags := l.sources.arrange(l.diags)
	if diags.HasErrors() {
		return nil, diags
	}
	l.agent.Files = l.sources.names
	l.agent.Digest = l.sources.digest()
	l.agent.Warnings = diags
	return l.agent, diags
}

// unique notes a declaration and complains about the second of one name within a block; "" is for
// names that count everywhere.
func (l *loader) unique(what, within, name string, at hcl.Range) {
	key := declaration(what, within, name)
	if before, twice := l.first[key]; twice {
		l.fail(at, "Duplicate "+what, "Another %s %q was declared at %s.", what, name, place(before))
		return
	}
	l.first[key] = at
}

func declaration(what, within, name string) string {
	return strings.Join([]string{what, within, name}, "\n")
}

func (l *loader) fail(at hcl.Range, summary, format string, args ...any) {
	l.diags = append(l.diags, problem(hcl.DiagError, at, summary, format, args...))
}

func (l *loader) warn(at hcl.Range, summary, format string, args ...any) {
	l.diags = append(l.diags, problem(hcl.DiagWarning, at, summary, format, args...))
}

// decodeAgent reads what stands in agent.hcl only.
func (l *loader) decodeAgent(b *block) {
	a := l.agent
	a.Host = l.hostName(b, "host")
	a.Labels = b.dict("labels")
	a.Autonomy = Autonomy(b.text("autonomy"))
	a.Data = l.folder(b, "data", provided(l.opts.Getenv("STATE_DIRECTORY"), "", defaults.Data))
	a.Socket = l.folder(b, "socket",
		provided(l.opts.Getenv("RUNTIME_DIRECTORY"), filepath.Base(defaults.Socket), defaults.Socket))
	a.Metrics = b.checked("metrics", checkLoopback)
	a.PerHour = b.integer("per_hour")
	a.RecordMiB = b.integer("record_mib")
	for _, nested := range b.blocks("allow") {
		l.decodeAllow(nested)
	}
	l.people.sender = "salve@" + a.Host
	l.decodePeople(b)
	if c := b.single("controller"); c != nil {
		l.decodeController(c)
	}
	a.TLS = l.decodeTLS(b.single("tls"))
}

// decodeRules reads what may stand in agent.hcl and in every file of the rules folder.
func (l *loader) decodeRules(b *block) {
	for _, nested := range b.blocks("context") {
		l.agent.Contexts = append(l.agent.Contexts, l.decodeContext(nested))
	}
	for _, nested := range b.blocks("query") {
		l.agent.Queries = append(l.agent.Queries, l.decodeQuery(nested))
	}
	for _, nested := range b.blocks("threshold") {
		l.decodeThreshold(nested)
	}
	for _, nested := range b.blocks("service") {
		l.decodeService(nested)
	}
	for _, nested := range b.blocks("log") {
		l.agent.Logs = append(l.agent.Logs, l.decodeLog(nested))
	}
	for _, nested := range b.blocks("remedy") {
		l.remedies = append(l.remedies, l.decodeRemedy(nested))
	}
	for _, nested := range b.blocks("rule") {
		l.decodeRule(nested)
	}
	for _, nested := range b.blocks("window") {
		l.decodeWindow(nested)
	}
	if l.opts.Tests {
		for _, nested := range b.blocks("test") {
			l.decodeTest(nested)
		}
	}
}

// hostName is what the file calls this machine, by default the host name.
func (l *loader) hostName(b *block, key string) string {
	if b.has(key) {
		return b.checked(key, checkNode)
	}
	if l.opts.Host != "" {
		return l.opts.Host
	}
	name, err := os.Hostname()
	if err != nil {
		l.fail(b.header, "No host name", "The kernel does not tell the host name (%s); set %s.", err, key)
	}
	return name
}

// folder is a path that systemd may provide: what the file says, else what systemd says.
func (l *loader) folder(b *block, name, def string) string {
	if b.has(name) {
		return b.checked(name, checkAbsolute)
	}
	return def
}

// provided is the file in the first of the folders that a variable of systemd lists, else the default.
func provided(folders, file, def string) string {
	if dirs := filepath.SplitList(folders); len(dirs) > 0 && filepath.IsAbs(dirs[0]) {
		return filepath.Join(dirs[0], file)
	}
	return def
}
