package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

type initOptions struct {
	token       tokenFlag
	label       string
	factoryPINs bool
	secrets     secretFlags
}

func newInitCmd(env *session) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Erase a card and set its first PINs",
		Long: `Erase a card and set its first PINs. --pin and --admin-pin are the new PINs.
init shows what will be lost and asks you to confirm.

A used OpenPGP card needs its current admin PIN (--current-admin-pin). If it is
wrong, init stops and erases nothing. Without that flag, init asks you to
confirm and blocks both PINs first, which is the other way to erase such a card.
If init was interrupted, run the same command again to finish.

For a PKCS#15 card (--app pkcs15), set --pin and --puk, and --so-pin if the card
has an SO PIN. Some cards require their current SO PIN (or, if they have none,
their user PIN) to be erased. Pass it with --current-so-pin; without that flag,
cardctl tries the new one. A used IsoApplet card does not report the tries
left of its PUK, so it needs --allow-unknown-tries.

For a PKCS#11 token (--app pkcs11), set --so-pin and --pin. A MUSCLE applet
(--app muscle) can be set up only once, with --pin, --so-pin and --puk.`,
		Example: `  cardctl init
  cardctl init --yes --pin file:pin.txt --admin-pin file:admin-pin.txt
  cardctl init --yes --factory-pins --reader sim:desk
  cardctl init --app pkcs15 --label desk --pin env:PIN --puk env:PUK
  cardctl init --app pkcs11 --module softhsm2 --label desk \
      --so-pin env:SO_PIN --pin env:PIN`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInit(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	o.token.add(flags)
	flags.StringVar(&o.label, "label", "", "token `label`, if the token can have one")
	flags.BoolVar(&o.factoryPINs, "factory-pins", false, "keep the factory PINs")
	o.secrets.add(flags, secret.PIN, "new user PIN")
	o.secrets.add(flags, secret.AdminPIN, "new admin PIN")
	o.secrets.add(flags, secret.CurrentAdminPIN, "current admin PIN")
	o.secrets.add(flags, secret.SOPIN, "new SO PIN")
	o.secrets.add(flags, secret.CurrentSOPIN, "current SO PIN of a PKCS#15 card, or factory PIN of a MUSCLE applet")
	o.secrets.add(flags, secret.PUK, "new PUK of a PKCS#15 card, or new unblock code of a MUSCLE applet")
	o.secrets.addLastTry(flags)
	return cmd
}

func runInit(ctx context.Context, env *session, o *initOptions) error {
	if o.factoryPINs && (o.secrets.flagGiven(secret.PIN) || o.secrets.flagGiven(secret.AdminPIN)) {
		return problem.New(problem.Usage, "--factory-pins and new PINs contradict each other").
			Because("With --factory-pins, the card keeps its factory PINs.").Advise(advice.Repeat().Without(advice.Factory))
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	report, err := cardinit.Initialise(ctx, o.token.desk(env), access, cardinit.Options{
		Label: o.label, FactoryPINs: o.factoryPINs, Given: o.secrets.named(),
	})
	if err != nil {
		return err
	}
	return env.result("Initialised", report, func(s *output.Sheet) {
		s.Heading(output.Line("Initialised " + report.Kind + " " + report.Serial + " in " + report.Reader))
		if len(report.Lost) > 0 {
			s.Field("lost", strings.Join(report.Lost, ", "))
		}
		s.Field("PINs", describePINs(report.PINs))
	})
}

func describePINs(pins string) string {
	if pins == "factory" {
		return "factory PINs, which are public: change them with cardctl set-pin"
	}
	return "new"
}
