package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

// recipientsFlag is --to: whom secrets are sealed to.
type recipientsFlag struct{ to []string }

func (f *recipientsFlag) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.to, "to", nil, "age `recipient` to seal secrets to, repeatable")
}

func newLedgerImportCmd(env *session) *cobra.Command {
	var to recipientsFlag
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take cards from a spreadsheet",
		Long: `Take cards from a CSV file, or - for stdin. Its first line names the columns:
serial, and if you have them person (an ID such as a mail address), name, family
and state. Columns puk, admin-pin, so-pin, management-key, user-pin, reset-code
and card-keys are sealed to the recipients of --to. Other columns are ignored,
which is reported.

All cards are taken, or none. A card that the ledger has stays as it is. A card
without a state is active if it is somebody's, else stock. Delete the file
afterwards if it has secrets.`,
		Example: `  cardctl ledger import cards.csv
  cardctl ledger import puks.csv \
      --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p`,
		Args: typed.OneArg("the CSV file, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLedgerImport(cmd.Context(), env, &to, args[0])
		},
	}
	to.add(cmd.Flags())
	return cmd
}

func runLedgerImport(ctx context.Context, env *session, to *recipientsFlag, file string) error {
	var sealers *ledger.Sealers
	var err error
	if len(to.to) > 0 {
		if sealers, err = ledger.Recipients(to.to, env.plugins(ctx)); err != nil {
			return err
		}
		env.warnOfOne(sealers.Count())
	}
	data, err := env.readFile(ctx, file, ledger.MaxImport)
	if err != nil {
		return err
	}
	defer secret.Wipe(data)
	sheet, err := ledger.ReadCards(data)
	if err != nil {
		return about(err, file)
	}
	defer sheet.Wipe()
	if sheet.Secrets() > 0 && sealers == nil {
		return problem.New(problem.Usage, "%s has secrets, and there is no recipient to seal them to", file).
			Because("The ledger keeps secrets sealed only.").Advise(advice.Repeat(advice.Fill(advice.Target)))
	}
	return env.withLedger(ctx, ledger.Options{Create: true}, func(l *ledger.Ledger) error {
		added, err := l.Import(ctx, sheet.Cards, sealers)
		if err != nil {
			return err
		}
		document := struct {
			Added   int      `json:"added"`
			Known   int      `json:"known"`
			Ignored []string `json:"ignoredColumns"`
		}{added, len(sheet.Cards) - added, sheet.Passed}
		return env.result("LedgerImported", document, func(s *output.Sheet) {
			s.Heading(fmt.Sprintf("Imported %d cards", added))
			if document.Known > 0 {
				s.Field("left as they are", fmt.Sprintf("%d cards that the ledger has", document.Known))
			}
			s.Field("ignored columns", strings.Join(sheet.Passed, ", "))
		})
	})
}

// warnOfOne says that a single recipient is a single key to lose.
func (env *session) warnOfOne(recipients int) {
	if recipients == 1 {
		env.note("There is one recipient: if its identity is lost, so are all secrets.")
	}
}
