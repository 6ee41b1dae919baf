package main

import (
	"context"

	"github.com/spf13/cobra"

	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type unblockPINOptions struct {
	token   tokenFlag
	secrets secretFlags
}

func newUnblockPINCmd(env *session) *cobra.Command {
	var o unblockPINOptions
	cmd := &cobra.Command{
		Use:   "unblock-pin [user|so]",
		Short: "Unblock a PIN and set a new one",
		Long: `Unblock the user PIN and set a new one. An OpenPGP card needs --reset-code or
--admin-pin; with neither, cardctl asks for the admin PIN. A PKCS#15 or PIV card
needs --puk, a PKCS#11 token --so-pin. An IsoApplet card and some PIV cards do
not report the tries left of the PUK, so they need --allow-unknown-tries.`,
		Example: `  cardctl unblock-pin user
  cardctl unblock-pin user --reset-code env:CODE --new-pin env:NEW
  cardctl unblock-pin user --puk env:PUK --new-pin env:NEW
  cardctl unblock-pin user --app pkcs11 --token desk --module softhsm2 \
      --so-pin env:SO_PIN`,
		Args:      typed.AtMostOneArg("the PIN to unblock: user or so"),
		ValidArgs: []string{"user", "so"},
		RunE:      func(cmd *cobra.Command, args []string) error { return runUnblockPIN(cmd.Context(), env, &o, args) },
	}
	flags := cmd.Flags()
	o.token.add(flags)
	o.secrets.add(flags, secret.AdminPIN, "admin PIN")
	o.secrets.add(flags, secret.ResetCode, "resetting code")
	o.secrets.add(flags, secret.PUK, "PUK of a PKCS#15 or PIV card")
	o.secrets.add(flags, secret.SOPIN, "SO PIN of a token")
	o.secrets.add(flags, secret.NewPIN, "new user PIN")
	o.secrets.addLastTry(flags)
	return cmd
}

func runUnblockPIN(ctx context.Context, env *session, o *unblockPINOptions, args []string) error {
	which := "user"
	if len(args) == 1 {
		which = args[0]
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	report, err := cardinit.UnblockPIN(ctx, o.token.desk(env), access, which, o.secrets.named(), o.secrets.inEnvironment(env))
	if err != nil {
		return err
	}
	return env.changed("Unblocked", report)
}
