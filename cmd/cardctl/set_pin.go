package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type setPINOptions struct {
	token   tokenFlag
	secrets secretFlags
}

func newSetPINCmd(env *session) *cobra.Command {
	var o setPINOptions
	cmd := &cobra.Command{
		Use:   "set-pin " + cardinit.WhichPIN(),
		Short: "Set or change a PIN",
		Long: `Set or change a PIN. Pass the current PIN with its own flag, the new one with
--new-pin. The resetting code of an OpenPGP card is set with its admin PIN. If
the card does not accept the current PIN, nothing is changed.`,
		Example: `  cardctl set-pin user
  cardctl set-pin admin --admin-pin env:OLD --new-pin env:NEW
  cardctl set-pin reset-code --admin-pin prompt --new-pin prompt
  cardctl set-pin so --app pkcs11 --token desk --module softhsm2 \
      --so-pin env:OLD --new-pin env:NEW`,
		Args:      typed.OneArg("the PIN to set: " + strings.Join(cardinit.Roles(), ", ")),
		ValidArgs: cardinit.Roles(),
		RunE:      func(cmd *cobra.Command, args []string) error { return runSetPIN(cmd.Context(), env, &o, args[0]) },
	}
	flags := cmd.Flags()
	o.token.add(flags)
	o.secrets.add(flags, secret.PIN, "current user PIN")
	o.secrets.add(flags, secret.AdminPIN, "current admin PIN")
	o.secrets.add(flags, secret.SOPIN, "current SO PIN of a token")
	o.secrets.add(flags, secret.PUK, "current PUK")
	o.secrets.add(flags, secret.NewPIN, "new PIN")
	o.secrets.addLastTry(flags)
	return cmd
}

func runSetPIN(ctx context.Context, env *session, o *setPINOptions, which string) error {
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	report, err := cardinit.SetPIN(ctx, o.token.desk(env), access, which, o.secrets.named())
	if err != nil {
		return err
	}
	return env.changed("Set", report)
}

// changed tells what was done to a PIN.
func (env *session) changed(done string, r cardinit.PINReport) error {
	return env.result("PINChanged", r, func(s *output.Sheet) {
		s.Heading(fmt.Sprintf("%s the %s of %s in %s", done, r.PIN.Name(), strings.TrimSpace(r.Kind+" "+r.Serial), r.Reader))
	})
}
