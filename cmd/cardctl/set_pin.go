package main

import (
	"context"

	"github.com/spf13/cobra"

	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/secret"
)

type setPINOptions struct {
	application applicationFlags
	secrets     secretFlags
}

func newSetPINCmd(env *Env) *cobra.Command {
	var o setPINOptions
	cmd := &cobra.Command{
		Use:   "set-pin user|admin|so|puk|reset-code",
		Short: "Set or change a PIN",
		Long: `Set or change a PIN: the old one is given by its own flag, the new one by
--new-pin. The resetting code of an OpenPGP card is set with its admin PIN.`,
		Example: `  cardctl set-pin user
  cardctl set-pin admin --admin-pin env:OLD --new-pin env:NEW
  cardctl set-pin reset-code --admin-pin prompt --new-pin prompt
  cardctl set-pin so --app pkcs11 --token desk --module softhsm2 \
      --so-pin env:OLD --new-pin env:NEW`,
		Args:      oneArg(whichPIN),
		ValidArgs: []string{"user", "admin", "so", "puk", "reset-code"},
		RunE:      func(cmd *cobra.Command, args []string) error { return runSetPIN(cmd.Context(), env, &o, args[0]) },
	}
	flags := cmd.Flags()
	o.application.add(flags)
	o.secrets.add(flags, secret.PIN, "user PIN that the card has")
	o.secrets.add(flags, secret.AdminPIN, "admin PIN that the card has")
	o.secrets.add(flags, secret.SOPIN, "SO PIN that the token has")
	o.secrets.add(flags, secret.PUK, "PUK that the card has")
	o.secrets.add(flags, secret.NewPIN, "new PIN")
	o.secrets.addLastTry(flags)
	return cmd
}

func runSetPIN(ctx context.Context, env *Env, o *setPINOptions, which string) error {
	pin, err := parsePIN(which)
	if err != nil {
		return err
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	return env.changePIN(ctx, &o.application, "Set", pinChange{
		onCard: func(ctx context.Context, ch *iso7816.Channel) (cardinit.PINReport, error) {
			return cardinit.SetPIN(ctx, ch, pin, access)
		},
		onPKCS15: func(ctx context.Context, c *pkcs15.Card) (cardinit.PINReport, error) {
			return cardinit.SetPKCS15PIN(ctx, c, pin, access)
		},
		onToken: func(ctx context.Context, m *p11.Module, uri p11.URI) (cardinit.PINReport, error) {
			return cardinit.SetTokenPIN(ctx, m, uri, pin, access)
		},
	})
}
