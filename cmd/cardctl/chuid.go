package main

import (
	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/output"
)

// chuidFlags are --keep-chuid and --new-chuid.
type chuidFlags struct{ keep, renew bool }

func (c *chuidFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.keep, "keep-chuid", false, "keep the CHUID of a PIV card (default: renewed if the card has a serial and no issuer signed it)")
	cmd.Flags().BoolVar(&c.renew, "new-chuid", false, "renew the CHUID of a PIV card in any case")
	cmd.MarkFlagsMutuallyExclusive("keep-chuid", "new-chuid")
}

func (c *chuidFlags) renewal() certstore.Renewal { return certstore.RenewalOf(c.keep, c.renew) }

// chuidText says what became of the CHUID.
func chuidText(s *output.Sheet, i *certstore.Identifier) {
	switch {
	case i == nil:
	case i.Renewed:
		s.Field("CHUID", "renewed, so that programs notice the change")
	default:
		s.Field("CHUID", "not renewed. "+i.Why)
	}
}
