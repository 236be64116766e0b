package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/recording"
)

// maxRecording bounds the bytes of a recording, which are held in memory.
const maxRecording = 4 << 30

// addRecording gives a command the flag --recording.
func addRecording(c *cobra.Command) *string {
	return c.Flags().String("recording", filepath.Join(defaults.Data, "recording"),
		"recording: a folder of an agent, or a file")
}

// addSince gives a command the flag --since.
func addSince(c *cobra.Command) *string {
	return c.Flags().String("since", "7d",
		"how far to look back from the newest second that was recorded, such as 12h or 7d")
}

func (a *app) record() *cobra.Command {
	c := group("record", "Move recorded signals between machines",
		"An agent records its signals with record_mib in agent.hcl; salve backtest tries rules on them.")
	c.GroupID = groupConfig
	c.AddCommand(a.recordExport(), a.recordImport())
	return c
}

func (a *app) recordExport() *cobra.Command {
	c := &cobra.Command{
		Use:     "export FILE",
		Short:   "Write a recording into one file",
		Example: "  salve record export --since 2d web-1.slr",
		Args:    exactly("FILE"),
	}
	from := addRecording(c)
	since := addSince(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		length, err := parseSince(*since)
		if err != nil {
			return usagef("--since: %v", err)
		}
		return a.copyRecording(*from, length, args[0])
	}
	return c
}

func (a *app) recordImport() *cobra.Command {
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Put an exported recording into a folder of recordings",
		Long: `Put an exported recording into a folder of recordings, after what is there: import several in the order of
their time. Where an agent records, its ring counts the file as its own and in time removes it: take another folder
for what is to be kept.`,
		Example: "  salve record import --recording ./web-1 web-1.slr",
		Args:    exactly("FILE"),
	}
	to := addRecording(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := os.MkdirAll(*to, 0o700); err != nil {
			return err
		}
		return a.copyRecording(args[0], 0, *to)
	}
	return c
}

// copyRecording writes all whole blocks of a recording that are no older than since (0 is all) into a file, or into a
// folder under the name that an agent would give it.
func (a *app) copyRecording(from string, since time.Duration, to string) error {
	spans, err := a.recorded(from, since)
	if err != nil {
		return err
	}
	var data []byte
	seconds := 0
	for _, s := range spans {
		data = append(data, s.Raw...)
		seconds += len(s.At)
	}
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		names, err := recording.Files(os.DirFS(to))
		if err != nil {
			return fmt.Errorf("list %s: %w", to, err)
		}
		to = filepath.Join(to, recording.Next(names))
	}
	if err := durable.Write(to, data, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "%s: %s of signals, %d bytes\n", to, defaults.Duration(time.Duration(seconds)*time.Second),
		len(data))
	return nil
}

// recorded reads a recording, of which there must be something, and says what of it is damaged.
func (a *app) recorded(path string, since time.Duration) ([]recording.Span, error) {
	spans, damaged, err := readRecording(path, since)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: an agent records with record_mib in agent.hcl, and --recording names another place", err)
	}
	if err != nil {
		return nil, err
	}
	if damaged > 0 {
		fmt.Fprintf(a.Err, "salve: %s of %s are damaged and left out\n", story.Number(damaged, "byte"), path)
	}
	if len(spans) == 0 {
		return nil, &coded{code: exitNotFound, err: fmt.Errorf("nothing is recorded in %s", path)}
	}
	return spans, nil
}

// readRecording reads a file, or all files of a folder, in the order in which they were written and as far back from
// the newest second as since; 0 is all. A block that is there twice, because exports overlap, counts once.
func readRecording(path string, since time.Duration) (spans []recording.Span, damaged int, err error) {
	names := []string{path}
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if info.IsDir() {
		if names, err = recording.Files(os.DirFS(path)); err != nil {
			return nil, 0, fmt.Errorf("list %s: %w", path, err)
		}
		for i := range names {
			names[i] = filepath.Join(path, names[i])
		}
	}
	var newest, size int64
	seen := map[string]bool{}
	for _, name := range names {
		info, err := os.Stat(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // the ring went on
		}
		if err != nil {
			return nil, 0, err
		}
		if size += info.Size(); size > maxRecording {
			return nil, 0, fmt.Errorf("%s holds more than %d MiB: take a part of it", path, maxRecording>>20)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, 0, err
		}
		damaged += recording.Read(data, func(s recording.Span) bool {
			if id := s.ID(); !seen[id] {
				seen[id] = true
				spans, newest = append(spans, s), max(newest, s.At[len(s.At)-1])
			}
			return true
		})
	}
	if since > 0 {
		oldest := newest - int64(since/time.Second)
		spans = slices.DeleteFunc(spans, func(s recording.Span) bool { return s.At[len(s.At)-1] < oldest })
	}
	return spans, damaged, nil
}
