package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

type infoOptions struct {
	token tokenFlag
}

func newInfoCmd(env *session) *cobra.Command {
	var o infoOptions
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show what is on a card",
		Long: `Show everything that can be read from a card without a PIN: its applications,
keys and certificates, and the tries left of each PIN. For each certificate,
show whether it matches its key. For a PKCS#11 token, show what it reveals
without a login. With --verbose, show the private data of an OpenPGP card and
the data objects of a PIV card too.

For each key, show its names in other programs: the URI of the private key, the
labels of its objects, and strongSwan's handle. For each certificate, show its
serialised ID, the value for OpenVPN's --pkcs11-id. They are the names in the
module of the token or, for a card, in OpenSC's module. A name that matches two
keys is not shown.`,
		Example: `  cardctl info
  cardctl info --reader sim:desk -o json
  cardctl info --module softhsm2 --token desk`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInfo(cmd.Context(), env, &o) },
	}
	o.token.add(cmd.Flags())
	return cmd
}

type cardInfo struct {
	Reader       string             `json:"reader"`
	Card         inventory.Card     `json:"card"`
	Keys         []inventory.Key    `json:"keys"`
	Certificates []certstore.Stored `json:"certificates"`
	PINs         []inventory.PIN    `json:"pins"`
	Unreadable   []inventory.Unread `json:"unreadable,omitempty"`
	// Facts are fields of their own in the document.
	Facts []inventory.Fact `json:"-"`
	// Module is that of each key.
	Module string `json:"-"`
}

// MarshalJSON puts the facts beside the fields that every card has.
func (i cardInfo) MarshalJSON() ([]byte, error) {
	type fields cardInfo
	document, err := json.Marshal(fields(i))
	for _, f := range i.Facts {
		var field []byte
		if err == nil {
			field, err = json.Marshal(map[string]any{f.Field: f.Value})
		}
		if err == nil {
			document = append(append(document[:len(document)-1], ','), field[1:]...)
		}
	}
	return document, err
}

func runInfo(ctx context.Context, env *session, o *infoOptions) error {
	found, err := inventory.InspectNamed(ctx, o.token.desk(env), env.readOnly(), env.flags.verbose)
	if err != nil {
		return err
	}
	info := cardInfo{
		Reader: found.Place, Card: found.Card, Keys: found.Keys,
		Certificates: []certstore.Stored{}, PINs: found.PINs, Unreadable: found.Unread, Facts: withCount(found.Facts), Module: found.Module,
	}
	for _, stored := range found.Certificates {
		described := certstore.Describe(stored.Value, stored.Public)
		described.KeyUnknown = stored.KeyUnknown
		info.Certificates = append(info.Certificates, certstore.Stored{Ref: stored.Ref, Certificate: described, SerializedID: stored.SerializedID, Module: stored.Module, Astray: stored.Astray})
	}
	return env.result("CardInfo", info, func(s *output.Sheet) { info.text(s, env.Now()) })
}

// withCount adds the number of signatures, which every document has: 0 of a card that
// does not count them.
func withCount(facts []inventory.Fact) []inventory.Fact {
	const field = "signatureCount"
	if slices.ContainsFunc(facts, func(f inventory.Fact) bool { return f.Field == field }) {
		return facts
	}
	return append(facts, inventory.Fact{Field: field, Value: 0})
}

// readOnly is what a workflow gets that needs no secret.
func (env *session) readOnly() desk.Access {
	return desk.Access{Now: env.Now, Notify: env.progress.Show}
}

// text shows what is on the card.
func (i *cardInfo) text(s *output.Sheet, now time.Time) {
	s.Heading(describeCard(&i.Card) + " in " + i.Reader)
	for _, a := range i.Card.Applications {
		s.Field(strings.TrimSpace(a.Name+" "+a.Version), strings.TrimSpace(a.AID+" "+a.Serial))
	}
	s.Field("read through", i.Card.Through)
	s.Field("for programs", i.Module)
	for _, f := range i.Facts {
		for _, line := range f.Brief {
			s.Field(line.Label, line.Value)
		}
	}
	for n := range i.Keys {
		s.Gap()
		i.Keys[n].Text(s)
	}
	for n := range i.Certificates {
		s.Gap()
		s.Heading("Certificate " + i.Certificates[n].Ref)
		i.Certificates[n].Text(s, now)
		s.Field("note", i.Certificates[n].Astray)
		s.Field("for OpenVPN", i.Certificates[n].SerializedID)
	}
	if len(i.Keys)+len(i.Certificates) == 0 {
		s.Gap()
		s.Heading(i.nothing())
	}
	if len(i.PINs) > 0 {
		s.Gap()
		s.Heading("PINs")
		s.Table(inventory.PINTable(i.PINs)...)
	}
	if len(i.Unreadable) > 0 {
		s.Gap()
		s.Heading("Not readable")
		for _, u := range i.Unreadable {
			s.Field(u.What, u.Why)
		}
	}
	for _, f := range i.Facts {
		for _, line := range f.Lines {
			if line.Value == "" {
				s.Gap()
				s.Heading(line.Label)
			} else {
				s.Field(line.Label, line.Value)
			}
		}
	}
}

// nothing is what an empty list means.
func (i *cardInfo) nothing() string {
	switch {
	case !i.Card.Read:
		return "cardctl cannot read keys and certificates on this card"
	case len(i.Unreadable) > 0:
		return "No readable keys, no readable certificates"
	case i.Card.Through != "":
		return i.Card.Through + " shows no keys, no certificates"
	}
	return "No keys, no certificates"
}
