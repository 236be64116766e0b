package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// auditPage is how many records are asked for at once.
const auditPage = 500

func (a *app) fleetAudit() *cobra.Command {
	c := lists(&cobra.Command{
		Use:   "audit",
		Short: "List what people did and what was permitted",
		Long: `List what people did and what was permitted, the oldest first: who, from where and shown what, and on which
incident's evidence. Each record carries a hash over itself and the one before; the chain of what is shown is
verified, and a broken one ends with 4.

The controller keeps the newest 5000 records. Whoever wants them for longer exports them in time.`,
		Args: atMost(0),
	})
	out := addOutput(c)
	a.addStale(c)
	after := addAfter(c)
	most := c.Flags().Uint32("limit", 50, "at most so many")
	c.RunE = func(c *cobra.Command, _ []string) error {
		var bad error
		err := read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListAuditResponse, error) {
			r, err := admin.ListAudit(ctx, &adminpb.ListAuditRequest{After: *after, Limit: *most, Stale: a.stale})
			var chain state.Chain
			for _, x := range r.GetRecords() {
				if bad = chain.Take(x); bad != nil {
					break
				}
			}
			return r, err
		}, writeAudit)
		if err == nil && bad != nil {
			return brokenChain(bad)
		}
		return err
	}
	c.AddCommand(a.auditVerify(), a.auditExport())
	return c
}

func addAfter(c *cobra.Command) *uint64 {
	return c.Flags().Uint64("after", 0, "only records after this number")
}

func writeAudit(w io.Writer, r *adminpb.ListAuditResponse) {
	if len(r.GetRecords()) == 0 {
		fmt.Fprintln(w, "no records")
		return
	}
	var lines [][]string
	for _, x := range r.GetRecords() {
		lines = append(lines, []string{fmt.Sprint(x.GetN()), instant(x.GetAt()), x.GetBy(), cameFrom(x), x.GetWhat(),
			shortID(x.GetIncident()), x.GetText()})
	}
	rows(w, "N AT BY FROM WHAT INCIDENT TEXT", lines...)
}

// cameFrom is where a record came from, in short: "192.0.2.7 serial/5d2e41aa".
func cameFrom(r *logpb.AuditRecord) string {
	kind, id, _ := strings.Cut(r.GetCredential(), "/")
	if id == "" {
		return r.GetAddress()
	}
	return strings.TrimSpace(r.GetAddress() + " " + kind + "/" + id[:min(8, len(id))])
}

func (a *app) auditVerify() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify [FILE]…",
		Short: "Verify the audit's chain of hashes",
		Long: `Verify every record that the controller keeps, or those of exported files, of which each goes on where the one
before ends; "-" is standard input. What was changed, left out, put in or moved ends with 4.

A chain says by itself neither that its end was cut off nor that all of it was written anew. The head does: the
last record's number and hash, which every node has the same. Ask each node with --stale and --address, keep the
head where the controller's admins cannot reach it, and give it to --head another time.`,
		Example: `  salve audit verify
  salve audit verify 2026-*.jsonl --head 4711:9f86d081884c7d65…`,
	}
	out := addOutput(c)
	a.addStale(c)
	known := c.Flags().String("head", "", "record that is known, NUMBER:HASH: it has to be there still")
	c.RunE = func(c *cobra.Command, files []string) error {
		v := &verifier{}
		if err := v.want.parse(*known); err != nil {
			return err
		}
		if err := a.auditRecords(c, files, v.take); err != nil {
			return err
		}
		if err := v.end(); err != nil {
			return err
		}
		return out.show(c, v.result(), v.write)
	}
	return c
}

// auditRecords hands over the records of files, or without any the controller's.
func (a *app) auditRecords(c *cobra.Command, files []string, take func(*logpb.AuditRecord) error) error {
	if len(files) == 0 {
		return a.auditPages(c.Context(), 0, take)
	}
	for _, name := range files {
		if err := a.auditFile(name, take); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) auditFile(name string, take func(*logpb.AuditRecord) error) error {
	if name == "-" {
		return readAuditFile("standard input", a.In, take)
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	defer f.Close()
	return readAuditFile(name, f, take)
}

// auditPages hands over the controller's records after a number, page by page. What take says is wrong is a finding.
func (a *app) auditPages(ctx context.Context, after uint64, take func(*logpb.AuditRecord) error) error {
	for {
		var r *adminpb.ListAuditResponse
		err := a.controller(ctx, quick, true, func(ctx context.Context, admin client) (err error) {
			r, err = admin.ListAudit(ctx, &adminpb.ListAuditRequest{After: after, Limit: auditPage, Stale: a.stale})
			return err
		})
		if err != nil {
			return err
		}
		for _, x := range r.GetRecords() {
			if err := take(x); err != nil {
				return brokenChain(err)
			}
			after = x.GetN()
		}
		if len(r.GetRecords()) < auditPage {
			a.sayStale(r.GetAt())
			return nil
		}
	}
}

func (a *app) auditExport() *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Write the audit as JSON, one record a line",
		Long: `Write the records that the controller keeps to standard output, one JSON object a line, with the hash of each and of
the one before it. "salve audit verify FILE" verifies them again, and docs/audit.md says how anybody can.
With --after an export goes on where the last one ended; if records between are no longer kept, it ends with 4.`,
		Example: `  salve audit export > audit.jsonl
  salve audit export --after 4711 >> audit.jsonl`,
		Args: atMost(0),
	}
	a.addStale(c)
	after := addAfter(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var chain state.Chain
		return a.auditPages(c.Context(), *after, func(r *logpb.AuditRecord) error {
			if *after > 0 && chain.Records == 0 && r.GetN() > *after+1 {
				return fmt.Errorf("records %d to %d are no longer kept", *after+1, r.GetN()-1)
			}
			if err := chain.Take(r); err != nil {
				return err
			}
			return writeAuditLine(c.OutOrStdout(), r)
		})
	}
	return c
}

// brokenChain is a finding about the chain.
func brokenChain(err error) error {
	return &coded{code: exitFindings, err: fmt.Errorf("the chain of the audit is broken: %w", err)}
}

// head names a record by its number and its hash; the zero value none.
type head struct {
	n    uint64
	hash []byte
}

// String is what --head reads.
func (h head) String() string { return fmt.Sprintf("%d:%x", h.n, h.hash) }

func (h *head) parse(text string) error {
	if text == "" {
		return nil
	}
	n, hash, _ := strings.Cut(text, ":")
	var errN, errHash error
	h.n, errN = strconv.ParseUint(n, 10, 64)
	h.hash, errHash = hex.DecodeString(hash)
	if errN != nil || errHash != nil || h.n == 0 || len(h.hash) == 0 {
		return usagef("--head %q: it must be NUMBER:HASH, as salve audit verify prints it", text)
	}
	return nil
}

// verifier follows a chain, and looks for a record that is known from before.
type verifier struct {
	chain state.Chain
	want  head
	found bool
}

func (v *verifier) take(r *logpb.AuditRecord) error {
	first := v.chain.Records == 0
	if err := v.chain.Take(r); err != nil {
		return err
	}
	if first {
		v.meet(head{r.GetN() - 1, r.GetPrevious()})
	}
	v.meet(head{r.GetN(), r.GetHash()})
	if v.want.n > 0 && v.want.n <= r.GetN() && v.want.n+1 >= v.chain.First && !v.found {
		return fmt.Errorf("record %d is another one than %s: it, or one before it, is not what was written", v.want.n, v.want)
	}
	return nil
}

// meet compares a record with the one that is looked for.
func (v *verifier) meet(h head) {
	v.found = v.found || h.n == v.want.n && bytes.Equal(h.hash, v.want.hash)
}

// end says what is missing from a chain that is whole so far.
func (v *verifier) end() error {
	switch {
	case v.want.n == 0 || v.found:
		return nil
	case v.want.n > v.chain.Last:
		return brokenChain(fmt.Errorf("it ends at record %d, and record %d is known", v.chain.Last, v.want.n))
	}
	return fmt.Errorf("record %d is not among records %d to %d: take a newer head, or earlier exports", v.want.n,
		v.chain.First, v.chain.Last)
}

// verified is the answer to programs.
type verified struct {
	Records int    `json:"records"`
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
	Head    string `json:"head"`
}

func (v *verifier) result() verified {
	out := verified{Records: v.chain.Records, First: v.chain.First, Last: v.chain.Last}
	if v.chain.Records > 0 {
		out.Head = head{v.chain.Last, v.chain.Head}.String()
	}
	return out
}

func (v *verifier) write(w io.Writer) {
	if v.chain.Records == 0 {
		fmt.Fprintln(w, "no records")
		return
	}
	fmt.Fprintf(w, "records %d to %d: the chain is whole\n", v.chain.First, v.chain.Last)
	fmt.Fprintf(w, "head %s\n", v.result().Head)
}
