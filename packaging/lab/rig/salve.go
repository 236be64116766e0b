package rig

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Salve is the command line as people use it, against one controller or one agent.
type Salve struct {
	Binary string
	Where  []string // "--address", "127.0.0.1:7600" or "--socket", "/run/salve/agent.sock"
}

// Run runs one command and returns what it printed. An error has what it said on standard error.
func (s Salve) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.Binary, append(args, s.Where...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("salve %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Ask runs one command with -o json and reads its answer.
func (s Salve) Ask(ctx context.Context, answer proto.Message, args ...string) error {
	text, err := s.Run(ctx, append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	if err := protojson.Unmarshal([]byte(text), answer); err != nil {
		return fmt.Errorf("read what salve %s says: %w", strings.Join(args, " "), err)
	}
	return nil
}
