package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/paper"
	"github.com/cardctl/cardctl/internal/typed"
)

func newLedgerShowCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "show SERIAL|PERSON",
		Short: "Show a card or a person, with their history",
		Long: `Show a card, or all cards of a person, and what the log has of them. A person is
named by ID or name. Secrets are listed, not shown: see cardctl ledger reveal.`,
		Example:           "  cardctl ledger show FFFE12345678\n  cardctl ledger show floppy@example.com -o json",
		ValidArgsFunction: env.complete(env.cardChoices),
		Args:              typed.OneArg("the serial of a card, or the ID or name of a person"),
		RunE:              func(cmd *cobra.Command, args []string) error { return runLedgerShow(cmd.Context(), env, args[0]) },
	}
}

type shownCards struct {
	Cards   []ledger.CardDocument  `json:"cards"`
	History []ledger.EventDocument `json:"history"`
}

func runLedgerShow(ctx context.Context, env *session, which string) error {
	return env.withLedger(ctx, ledger.Options{ReadOnly: true}, func(l *ledger.Ledger) error {
		cards, err := l.Find(ctx, which)
		if err != nil {
			return err
		}
		shown := shownCards{ledger.Documents(cards), []ledger.EventDocument{}}
		err = l.History(ctx, cards, func(e ledger.Event) error {
			shown.History = append(shown.History, e.Document())
			return nil
		})
		if err != nil {
			return err
		}
		return env.result("CardHistory", shown, func(s *output.Sheet) {
			for i := range shown.Cards {
				paper.Card(s, &shown.Cards[i])
			}
			s.Gap()
			s.Heading("History")
			for i := range shown.History {
				e := &shown.History[i]
				s.Field(output.Time(e.At), e.Serial+" "+e.Words())
			}
		})
	})
}
