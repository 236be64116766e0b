package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/pkg/remedy"
)

// kindView is a kind of remedy as listings show it.
type kindView struct {
	Kind       string    `json:"kind"`
	Summary    string    `json:"summary"`
	Target     string    `json:"target"`
	Disruptive bool      `json:"disruptive"`
	Shared     bool      `json:"shared"`
	Undoable   bool      `json:"undoable"`
	Args       []argView `json:"args"`
	Polkit     []string  `json:"polkit_verbs"`
	Needs      string    `json:"needs"`
	Worst      string    `json:"worst"`
	Back       string    `json:"back"`
}

type argView struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required"`
	Default  string `json:"default"`
	Help     string `json:"help"`
}

func (a *app) remedies() *cobra.Command {
	c := &cobra.Command{
		Use:     "remedies [KIND]",
		Short:   "List the kinds of remedies, or describe one",
		GroupID: groupConfig,
		Args:    atMost(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return remedy.Names(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return listKinds(c, *out)
		}
		s, ok := remedy.Lookup(args[0])
		if !ok {
			return unknownKind(args[0])
		}
		v := viewKind(s)
		return out.show(c, v, func(w io.Writer) { writeKind(w, v) })
	}
	return c
}

func unknownKind(name string) error {
	return &coded{code: exitNotFound,
		err: fmt.Errorf("there is no kind of remedy %q; there are: %s", name, strings.Join(remedy.Names(), ", "))}
}

func listKinds(c *cobra.Command, out output) error {
	var kinds []kindView
	var lines [][]string
	for _, s := range remedy.Specs() {
		v := viewKind(s)
		kinds = append(kinds, v)
		lines = append(lines, []string{v.Kind, v.Target, yes(v.Disruptive), yes(v.Undoable), v.Summary})
	}
	return out.show(c, map[string]any{"remedies": kinds}, func(w io.Writer) {
		rows(w, "KIND TARGET DISRUPTIVE UNDO SUMMARY", lines...)
	})
}

func viewKind(s remedy.Spec) kindView {
	v := kindView{
		Kind:       string(s.Kind),
		Summary:    s.Summary,
		Target:     string(s.Target),
		Disruptive: s.Disruptive,
		Shared:     s.Shared,
		Undoable:   s.Undoable,
		Args:       []argView{},
		Polkit:     append([]string{}, s.Verbs...),
		Needs:      s.Needs,
		Worst:      s.Worst,
		Back:       s.Back,
	}
	for _, a := range s.Args {
		v.Args = append(v.Args, argView{a.Name, string(a.Type), a.Required, a.Default, a.Help})
	}
	return v
}

func writeKind(w io.Writer, v kindView) {
	fmt.Fprintf(w, "remedy %q \"NAME\" { … }: %s\n\n", v.Kind, v.Summary)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "target\t%s; an allow block must name it together with action %q\n", v.Target, v.Kind)
	fmt.Fprintf(tw, "disruptive\t%s\n", yes(v.Disruptive))
	fmt.Fprintf(tw, "shared\t%s\n", yes(v.Shared))
	fmt.Fprintf(tw, "undo\t%s\n", yes(v.Undoable))
	fmt.Fprintf(tw, "polkit verbs\t%s\n", cmp.Or(strings.Join(v.Polkit, ", "), "none"))
	tw.Flush()
	for _, part := range [][2]string{{"Needs", v.Needs}, {"At worst", v.Worst}, {"Taken back", v.Back}} {
		if part[1] != "" {
			fmt.Fprintf(w, "\n%s: %s\n", part[0], part[1])
		}
	}
	if len(v.Args) == 0 {
		return
	}
	var lines [][]string
	for _, a := range v.Args {
		lines = append(lines, []string{a.Name, a.Type, yes(a.Required), a.Default, a.Help})
	}
	fmt.Fprintln(w)
	rows(w, "ARGUMENT TYPE REQUIRED DEFAULT MEANING", lines...)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
