package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
)

// addYes gives a command that takes something away the flag --yes.
func addYes(c *cobra.Command) *bool {
	return c.Flags().Bool("yes", false, "do not ask whether it is meant")
}

// confirm asks on the terminal whether something is meant. Where nobody can answer, --yes has to say it.
func (a *app) confirm(yes bool, format string, args ...any) error {
	if yes {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	shown, ok := a.Err.(*os.File)
	if !isTerminal(a.In) || !ok || !isTerminal(shown) {
		return usagef("%s: say --yes if it is meant; there is no terminal to ask on", what)
	}
	fmt.Fprintf(story.Printable(a.Err), "%s. Is it meant? [y/N] ", what)
	line, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return fmt.Errorf("not done")
}
