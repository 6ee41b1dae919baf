package main

import (
	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/typed"
)

func newRenewCmd(env *session) *cobra.Command {
	var o enrolmentFlags
	var before string
	cmd := &cobra.Command{
		Use:   "renew --key REF",
		Short: "Renew the certificate of a key on the card",
		Long: `Get another certificate with the same names for a key, and write it to the card.
The issuer is the one that certified the key with enroll, or --issuer. Where the
protocol has it, the certificate on the card authenticates the request.

With --new-key, the card generates a new key instead of the old one, which is
lost. The certificate of another key, --auth-key, can then authenticate the
request.`,
		Example: `  cardctl renew --key OPENPGP.3 --issuer ca:desk-ca
  cardctl renew --key OPENPGP.3 --before 30d --issuer ca:desk-ca`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			o.options.Renew = true
			if o.options.Before, err = parseDays(before); err != nil {
				return err
			}
			return o.run(cmd.Context(), env)
		},
	}
	o.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.options.Issuer, "issuer", "", "`URL` of the issuer (default: the one that enroll used)")
	flags.StringVar(&before, "before", "", "renew only what ends within this `time`, such as 30d")
	flags.BoolVar(&o.options.NewKey, "new-key", false, "generate a new key, which replaces the existing one")
	flags.StringVar(&o.options.AuthKey, "auth-key", "", "`reference` of another key of the card that authenticates")
	return cmd
}
