package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

type unblockPINOptions struct {
	application applicationFlags
	secrets     secretFlags
}

func newUnblockPINCmd(env *Env) *cobra.Command {
	var o unblockPINOptions
	cmd := &cobra.Command{
		Use:   "unblock-pin [user|so]",
		Short: "Give a blocked PIN its tries back, and a new value",
		Long: `Give a blocked user PIN its tries back, and a new value. An OpenPGP card wants
--reset-code or --admin-pin, which is asked for where neither is given; a
PKCS#15 card --puk, a PKCS#11 token --so-pin.`,
		Example: `  cardctl unblock-pin user
  cardctl unblock-pin user --reset-code env:CODE --new-pin env:NEW
  cardctl unblock-pin user --puk env:PUK --new-pin env:NEW
  cardctl unblock-pin user --app pkcs11 --token desk --module softhsm2 \
      --so-pin env:SO_PIN`,
		Args:      atMostOneArg("the PIN to unblock: user, or so"),
		ValidArgs: []string{"user", "so"},
		RunE:      func(cmd *cobra.Command, args []string) error { return runUnblockPIN(cmd.Context(), env, &o, args) },
	}
	flags := cmd.Flags()
	o.application.add(flags)
	o.secrets.add(flags, secret.AdminPIN, "admin PIN")
	o.secrets.add(flags, secret.ResetCode, "resetting code")
	o.secrets.add(flags, secret.PUK, "PUK of a PKCS#15 card")
	o.secrets.add(flags, secret.SOPIN, "SO PIN of a token")
	o.secrets.add(flags, secret.NewPIN, "new user PIN")
	o.secrets.addLastTry(flags)
	return cmd
}

func runUnblockPIN(ctx context.Context, env *Env, o *unblockPINOptions, args []string) error {
	pin := cardinit.User
	if len(args) == 1 {
		var err error
		if pin, err = parsePIN(args[0]); err != nil {
			return err
		}
	}
	with, err := o.with(env)
	if err != nil {
		return err
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	return env.changePIN(ctx, &o.application, "Unblocked", pinChange{
		onCard: func(ctx context.Context, ch *iso7816.Channel) (cardinit.PINReport, error) {
			return cardinit.UnblockPIN(ctx, ch, pin, with, access)
		},
		onPKCS15: func(ctx context.Context, c *pkcs15.Card) (cardinit.PINReport, error) {
			if !slices.ContainsFunc([]secret.Name{secret.AdminPIN, secret.ResetCode, secret.SOPIN}, o.secrets.flagGiven) {
				with = secret.PUK // nothing else is asked for, and such a card has nothing else
			}
			return cardinit.UnblockPKCS15PIN(ctx, c, pin, with, access)
		},
		onToken: func(ctx context.Context, m *p11.Module, uri p11.URI) (cardinit.PINReport, error) {
			return cardinit.UnblockTokenPIN(ctx, m, uri, pin, with, access)
		},
	})
}

// with is the secret that unblocks: the one whose flag is given, else the one
// that the environment holds.
func (o *unblockPINOptions) with(env *Env) (secret.Name, error) {
	if isToken, _, err := o.application.isToken(env); err != nil || isToken {
		return secret.SOPIN, err
	}
	if o.secrets.flagGiven(secret.PUK) || o.application.app == appPKCS15 {
		return secret.PUK, nil
	}
	admin, code := o.secrets.flagGiven(secret.AdminPIN), o.secrets.flagGiven(secret.ResetCode)
	if admin && code {
		return "", problem.New(problem.Usage, "--admin-pin and --reset-code are two ways to do the same").
			Because("One of them is enough.")
	}
	if !admin && !code {
		code = env.Getenv(secret.AdminPIN.Variable()) == "" && env.Getenv(secret.ResetCode.Variable()) != ""
	}
	if code {
		return secret.ResetCode, nil
	}
	return secret.AdminPIN, nil
}
