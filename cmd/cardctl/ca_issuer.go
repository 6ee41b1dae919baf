package main

import (
	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ca"
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
	d.Recorder = nil // it only signs
	return d
}

// formerFlags are about former keys of a CA.
type formerFlags struct {
	issuerFlags

	currentKey bool
}

func (f *formerFlags) add(cmd *cobra.Command, s *secretFlags) {
	f.issuerFlags.add(cmd, s)
	cmd.Flags().BoolVar(&f.currentKey, "current-key", false, "sign nothing with former keys of the CA")
}

// of is how the former keys of the CA in a directory are reached; nil for not at all.
func (f *formerFlags) of(env *session, access desk.Access, dir string) *ca.Parent {
	if f.currentKey {
		return nil
	}
	return &ca.Parent{Directory: dir, Desk: f.desk(env), Access: access}
}
