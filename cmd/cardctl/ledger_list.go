package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/paper"
	"github.com/cardctl/cardctl/internal/typed"
)

func newLedgerListCmd(env *session) *cobra.Command {
	var expiring, state string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List cards: whose they are, and until when",
		Long: `List the cards of the ledger. With --expiring, list those with a certificate
that ends within that time, or has ended. With --state, list those in a state:
stock, issuing, active, suspended, lost, damaged, returned or revoked.`,
		Example: "  cardctl ledger list\n  cardctl ledger list --expiring 30d --state active -o json",
		Args:    typed.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runLedgerList(cmd.Context(), env, expiring, state) },
	}
	cmd.Flags().StringVar(&expiring, "expiring", "", "only what ends within this `time`, such as 30d or 12h")
	cmd.Flags().StringVar(&state, "state", "", "only cards in this `state`, such as active")
	return cmd
}

func runLedgerList(ctx context.Context, env *session, expiring, state string) error {
	var f ledger.Filter
	within, err := parseDays(expiring)
	if err != nil {
		return err
	}
	if state != "" {
		if f.State, err = ledger.ParseState(state); err != nil {
			return err
		}
	}
	return env.withLedger(ctx, ledger.Options{ReadOnly: true}, func(l *ledger.Ledger) error {
		if within > 0 {
			now, err := l.Time(ctx)
			if err != nil {
				return err
			}
			f.Expiring = now.Add(within)
		}
		cards, err := l.Cards(ctx, f)
		if err != nil {
			return err
		}
		document := struct {
			Cards []ledger.CardDocument `json:"cards"`
		}{ledger.Documents(cards)}
		return env.result("CardList", document, func(s *output.Sheet) {
			if len(cards) == 0 {
				s.Heading("No cards")
				return
			}
			paper.Table(s, cards)
		})
	})
}
