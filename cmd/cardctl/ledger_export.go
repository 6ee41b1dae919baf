package main

import (
	"bytes"
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newLedgerExportCmd(env *session) *cobra.Command {
	var format, out string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the ledger, without secrets",
		Long: `Write everything that is in the ledger, except secrets. jsonl is a line of JSON
for each card and each record of the log. csv is a line for each certificate;
cardctl ledger import reads its columns about cards and persons.`,
		Example: "  cardctl ledger export > ledger.jsonl\n  cardctl ledger export --format csv --out cards.csv",
		Args:    typed.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runLedgerExport(cmd.Context(), env, format, out) },
	}
	cmd.Flags().StringVar(&format, "format", "jsonl", "`format`: "+strings.Join(ledger.ExportFormats(), " or "))
	cmd.Flags().StringVar(&out, "out", "", "`file` to write (default stdout)")
	return cmd
}

func runLedgerExport(ctx context.Context, env *session, format, out string) error {
	return env.withLedger(ctx, ledger.Options{ReadOnly: true}, func(l *ledger.Ledger) error {
		if out == "" {
			env.progress.Done()
			return l.Export(ctx, format, env.Out)
		}
		var b bytes.Buffer
		if err := l.Export(ctx, format, &b); err != nil {
			return err
		}
		if err := env.writeFile(ctx, out, b.Bytes()); err != nil {
			return err
		}
		document := struct {
			File string `json:"file"`
		}{out}
		return env.result("LedgerExported", document, func(s *output.Sheet) { s.Heading("Wrote " + out) })
	})
}
