package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"

	"github.com/salveops/salve/controller/internal/story"
)

// output is the flag -o: how a listing is shown.
type output string

const (
	asTable output = "table"
	asJSON  output = "json"
	asYAML  output = "yaml"
)

// String implements pflag.Value.
func (o *output) String() string { return string(*o) }

// Type implements pflag.Value.
func (o *output) Type() string { return "format" }

// Set implements pflag.Value.
func (o *output) Set(s string) error {
	switch output(s) {
	case asTable, asJSON, asYAML:
		*o = output(s)
		return nil
	}
	return fmt.Errorf("must be table, json or yaml")
}

// addOutput gives a command the flag -o.
func addOutput(c *cobra.Command) *output {
	o := asTable
	c.Flags().VarP(&o, "output", "o", "table, json or yaml")
	// The flag was made one line before.
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
	return &o
}

// show writes v to the command's output: as JSON or YAML with the names of the API, or by table,
// which must write what a person wants to see of it.
func (o output) show(c *cobra.Command, v any, table func(io.Writer)) error {
	w := c.OutOrStdout()
	if o == asTable {
		table(story.Printable(w))
		return nil
	}
	text, err := encode(v)
	if err != nil {
		return err
	}
	if o == asYAML {
		if text, err = toYAML(text); err != nil {
			return err
		}
	} else if text, err = indent(text); err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// line writes v as one line of JSON, or as one document of YAML: for what has no end.
func (o output) line(w io.Writer, v any) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	if o == asYAML {
		if text, err = toYAML(text); err != nil {
			return err
		}
		text = append([]byte("---\n"), text...)
	} else {
		text = append(text, '\n')
	}
	_, err = w.Write(text)
	return err
}

// encode is v as compact JSON.
func encode(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return json.Marshal(v)
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	var b bytes.Buffer // protojson puts spaces in at random, so that nobody relies on them
	if err := json.Compact(&b, text); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return b.Bytes(), nil
}

func indent(text []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// toYAML turns JSON into YAML with the same order of names: JSON is YAML in another style.
func toYAML(text []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	plain(&doc)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return b.Bytes(), nil
}

// plain forgets the style of JSON. Empty lists and maps keep it: YAML has no other way to write them.
func plain(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode || len(n.Content) > 0 {
		n.Style = 0
	}
	for _, c := range n.Content {
		plain(c)
	}
}

// rows writes a table; "-" stands for an empty cell.
func rows(w io.Writer, header string, lines ...[]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(strings.Fields(header), "\t"))
	for _, l := range lines {
		cells := make([]string, len(l))
		for i, c := range l {
			if c == "" {
				c = "-"
			}
			cells[i] = oneLine(c)
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	tw.Flush() // the error is that of w, which the next write meets again
}

// oneLine keeps a cell within its row.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		return r
	}, s)
}
