package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
)

type setPINOptions struct {
	secrets secretFlags
}

const whichPIN = "the PIN to set: user, admin, so, puk or reset-code"

func newSetPINCmd(env *Env) *cobra.Command {
	var o setPINOptions
	cmd := &cobra.Command{
		Use:   "set-pin user|admin|so|puk|reset-code",
		Short: "Set or change a PIN",
		Long: `Set or change a PIN: the old one is given by its own flag, the new one by
--new-pin. The resetting code of an OpenPGP card is set with its admin PIN.`,
		Example: `  cardctl set-pin user
  cardctl set-pin admin --admin-pin env:OLD --new-pin env:NEW
  cardctl set-pin reset-code --admin-pin prompt --new-pin prompt`,
		Args:      oneArg(whichPIN),
		ValidArgs: []string{"user", "admin", "reset-code"},
		RunE:      func(cmd *cobra.Command, args []string) error { return runSetPIN(cmd.Context(), env, &o, args[0]) },
	}
	flags := cmd.Flags()
	o.secrets.add(flags, secret.PIN, "user PIN that the card has")
	o.secrets.add(flags, secret.AdminPIN, "admin PIN that the card has")
	o.secrets.add(flags, secret.NewPIN, "new PIN")
	o.secrets.addLastTry(flags)
	return cmd
}

type pinReport struct {
	Reader string `json:"reader"`
	cardinit.PINReport
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
	var report pinReport
	err = env.withCard(ctx, func(ctx context.Context, c *card) error {
		report.Reader = c.Reader
		report.PINReport, err = cardinit.SetPIN(ctx, c.Channel, pin, access)
		return err
	})
	if err != nil {
		return err
	}
	return env.result("PINChanged", report, func(s *output.Sheet) {
		s.Heading(fmt.Sprintf("Set the %s PIN of card %s in %s", report.PIN, report.Serial, report.Reader))
	})
}
