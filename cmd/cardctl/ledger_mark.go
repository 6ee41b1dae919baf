package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/enroll"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/record"
	"github.com/cardctl/cardctl/internal/typed"
)

type markOptions struct {
	revoke      bool
	issuer, url string
	card        issuerFlags
	key         string
	person      ledger.Person
	secrets     secretFlags
}

func newLedgerMarkCmd(env *session) *cobra.Command {
	var o markOptions
	cmd := &cobra.Command{
		Use:   "mark SERIAL|PERSON STATE",
		Short: "Mark a card as lost, damaged, returned, …",
		Long: `Record what became of a card: active, suspended, lost, damaged, returned or
revoked. A person with one card that can be in that state stands for the card.
A returned or damaged card is stock again when cardctl init has erased it. With
--person, a card in stock that you mark as active is that person's.

The certificates that should be revoked then are printed, with the reason:
certificateHold (suspended), keyCompromise (lost), unspecified (damaged),
cessationOfOperation (returned) or superseded (revoked). With --revoke, cardctl
has their issuers revoke them, or end the hold of a card that is active again.`,
		Example: `  cardctl ledger mark FFFE12345678 lost
  cardctl ledger mark FFFE12345678 lost --revoke
  cardctl ledger mark floppy@example.com suspended
  cardctl ledger mark FFFE12345678 active --person floppy@example.com`,
		ValidArgsFunction: env.completeMark,
		Args:              typed.Args(2, 2, "the serial of a card or a person, and the state"),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), env, args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.person.ID, "person", "", "`ID` of the person who gets a card in stock")
	flags.StringVar(&o.person.Name, "name", "", "`name` of that person")
	flags.BoolVar(&o.revoke, "revoke", false, "have the certificates revoked by their issuers")
	flags.StringVar(&o.url, "issuer", "", "`URL` of the issuer, if the ledger does not have it")
	flags.StringVar(&o.issuer, "issuer-ca", "", "`file` with the CA that the issuer has to be, or be certified by")
	flags.StringVar(&o.key, "issuer-key", "", "`reference` of the officer's key, where the issuer asks for one")
	o.card.add(cmd, &o.secrets)
	o.secrets.addLastTry(flags)
	return cmd
}

func (o *markOptions) run(ctx context.Context, env *session, which, word string) error {
	to, err := ledger.ParseState(word)
	if err != nil {
		return err
	}
	var person *ledger.Person
	switch {
	case o.person.ID != "":
		person = &o.person
	case o.person.Name != "":
		return problem.New(problem.Usage, "--name needs --person").Advise(advice.Repeat(advice.Fill(advice.Person)))
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	var by record.Revoke
	if o.revoke {
		if by, err = o.revoker(ctx, env, access); err != nil {
			return err
		}
	}
	return env.withLedger(ctx, ledger.Options{}, func(l *ledger.Ledger) error {
		cards, err := l.Find(ctx, which)
		if err != nil {
			return err
		}
		card, err := record.Choose(cards, to)
		if err != nil {
			return err
		}
		marked, err := record.Mark(ctx, l, card, to, person, by)
		if err != nil {
			if slices.ContainsFunc(marked.Certificates, func(k record.MarkedCertificate) bool { return !k.Done }) {
				env.note("Card %s is %s now. Not all of its issuers did what they were asked.", marked.Serial, marked.State)
			}
			return err
		}
		return env.result("CardMarked", marked, marked.Text)
	})
}

// revoker has issuers revoke certificates.
func (o *markOptions) revoker(ctx context.Context, env *session, a desk.Access) (record.Revoke, error) {
	options := enroll.Options{IssuerDesk: o.card.desk(env), IssuerKey: o.key, Now: env.Now()}
	var err error
	if options.Roots, err = env.readCertificates(ctx, o.issuer, a.Ask); err != nil {
		return nil, err
	}
	return func(ctx context.Context, k *ledger.Credential, reason string) error {
		revocation := enroll.Revocation{SerialNumber: k.SerialNumber, Certificate: k.Certificate, Reason: reason}
		return enroll.Revoke(ctx, env.desk(), a, cmp.Or(o.url, k.Issuer), revocation, options)
	}, nil
}
