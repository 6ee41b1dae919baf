package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/paper"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

func newLedgerReportCmd(env *session) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "report --out FILE",
		Short: "Write a page about all cards, for a browser",
		Long: `Write one HTML page about all cards: what is out, what expires within 30 days,
what failed, per person and per card. The page needs no network and loads
nothing. Its tables can be sorted and printed. It has names, and no secret.`,
		Example: "  cardctl ledger report --out desk.html",
		Args:    typed.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runLedgerReport(cmd.Context(), env, out) },
	}
	cmd.Flags().StringVar(&out, "out", "", "HTML `file` to write")
	return cmd
}

func runLedgerReport(ctx context.Context, env *session, out string) error {
	if out == "" {
		return problem.New(problem.Usage, "--out is missing").Because("The page is written to a file.").
			Advise(advice.Repeat(advice.Set(advice.Out, "desk.html")))
	}
	return env.withLedger(ctx, ledger.Options{ReadOnly: true}, func(l *ledger.Ledger) error {
		now, err := l.Time(ctx)
		if err != nil {
			return err
		}
		report, err := paper.Read(ctx, l, now)
		if err != nil {
			return err
		}
		page, err := report.HTML()
		if err != nil {
			return err
		}
		if err := env.writeFile(ctx, out, page); err != nil {
			return err
		}
		document := struct {
			File  string `json:"file"`
			Cards int    `json:"cards"`
		}{out, len(report.Cards)}
		return env.result("LedgerReport", document, func(s *output.Sheet) { s.Heading("Wrote " + out) })
	})
}
