package main

import (
	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/secret"
)

// issuerFlags are about the card with the key of an issuer, where --reader and --pin are
// about another card.
type issuerFlags struct{ reader, serial string }

func (f *issuerFlags) add(cmd *cobra.Command, s *secretFlags) {
	cmd.Flags().StringVar(&f.reader, "issuer-reader", "", "`reader` with the card of the issuer")
	cmd.Flags().StringVar(&f.serial, "issuer-serial", "", "`serial` of the card of the issuer")
	s.add(cmd.Flags(), secret.IssuerSecret, "password, token or key that the issuer asks for")
	s.add(cmd.Flags(), secret.IssuerPIN, "user PIN of the card of the issuer")
}

// desk is where the card of the issuer is.
func (f *issuerFlags) desk(env *session) *desk.Desk {
	d := env.desk()
	d.Meant.Reader, d.Meant.Serial, d.Meant.ReaderTyped = f.reader, f.serial, f.reader != ""
	return d
}
