package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type setTouchOptions struct {
	key     string
	secrets secretFlags
}

func newSetTouchCmd(env *session) *cobra.Command {
	var o setTouchOptions
	cmd := &cobra.Command{
		Use:   "set-touch --key REF " + strings.Join(keygen.TouchPolicies(), "|"),
		Short: "Set whether a key needs a touch",
		Long: `Set whether each use of a key must be confirmed by touching the card. This is
for OpenPGP cards with a button or a sensor. With cached, a touch is enough for
about 15 seconds, if the card supports that.

A permanent policy cannot be changed: only erasing the card, or on some cards a
new key, undoes it. cardctl asks for confirmation unless you add --yes.

A PIV key gets its touch policy from gen-key --touch.`,
		Example: `  cardctl set-touch --key OPENPGP.3 on
  cardctl set-touch --key OPENPGP.1 off --admin-pin env:ADMIN_PIN
  cardctl set-touch --key OPENPGP.2 permanent --yes --admin-pin env:ADMIN_PIN`,
		Args:      typed.OneArg("the touch policy: " + strings.Join(keygen.TouchPolicies(), ", ")),
		ValidArgs: keygen.TouchPolicies(),
		RunE:      func(cmd *cobra.Command, args []string) error { return runSetTouch(cmd.Context(), env, &o, args[0]) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	o.secrets.add(flags, secret.AdminPIN, "admin PIN")
	o.secrets.addLastTry(flags)
	return cmd
}

func runSetTouch(ctx context.Context, env *session, o *setTouchOptions, policy string) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	report, err := keygen.SetTouch(ctx, env.desk(), access, ref, policy)
	if err != nil {
		return err
	}
	return env.result("TouchSet", report, func(s *output.Sheet) {
		if report.Unchanged {
			s.Heading("The touch policy of " + report.Ref + " in " + report.Reader + " is " + string(report.Policy) + " already")
			return
		}
		s.Heading("Set the touch policy of " + report.Ref + " in " + report.Reader)
		s.Field("touch", string(report.Policy))
		s.Field("previous", string(report.Previous))
	})
}
