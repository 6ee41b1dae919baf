package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

type initOptions struct {
	application applicationFlags
	label       string
	factoryPINs bool
	secrets     secretFlags
}

func newInitCmd(env *session) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Erase a card, and give it its first PINs",
		Long: `Erase a card, and give it its first PINs: --pin and --admin-pin are what it
shall have afterwards. What will be lost is shown, and has to be confirmed.

A used OpenPGP card needs its admin PIN as --current-admin-pin. A wrong one ends
the command, and nothing is erased. If you omit it, and confirm, both PINs are
blocked first, which is the other way to erase such a card. If init was
interrupted, run the same command again to finish.

A PKCS#15 card, --app pkcs15, gets --pin and --puk, and --so-pin where it has
one. Where it wants its SO PIN, or without one its user PIN, to be erased, that
is --current-so-pin; without the flag the new one is tried. A used IsoApplet
does not report the tries of its PUK, which needs --allow-unknown-tries.

A PKCS#11 token, --app pkcs11, gets --so-pin and --pin. A MUSCLE applet, --app
muscle, is set up: once, with --pin, --so-pin and --puk.`,
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
	o.application.add(flags, cardinit.Apps())
	flags.StringVar(&o.label, "label", "", "`label` of the token, where it has one")
	flags.BoolVar(&o.factoryPINs, "factory-pins", false, "leave the PINs of the factory")
	o.secrets.add(flags, secret.PIN, "user PIN that the card shall have")
	o.secrets.add(flags, secret.AdminPIN, "admin PIN that the card shall have")
	o.secrets.add(flags, secret.CurrentAdminPIN, "admin PIN that the card has now")
	o.secrets.add(flags, secret.SOPIN, "SO PIN that the card, token or MUSCLE applet shall have")
	o.secrets.add(flags, secret.CurrentSOPIN, "SO PIN that a PKCS#15 card has now")
	o.secrets.add(flags, secret.PUK, "PUK of a PKCS#15 card or the unblock code of a MUSCLE applet")
	o.secrets.addLastTry(flags)
	return cmd
}

func runInit(ctx context.Context, env *session, o *initOptions) error {
	if o.factoryPINs && (o.secrets.flagGiven(secret.PIN) || o.secrets.flagGiven(secret.AdminPIN)) {
		return problem.New(problem.Usage, "--factory-pins and new PINs contradict each other").
			Because("With --factory-pins the card keeps the PINs that it comes with.")
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	report, err := cardinit.Initialise(ctx, o.application.desk(env), access, cardinit.Options{
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
		return "the factory's, which everybody knows: cardctl set-pin changes them"
	}
	return "the new ones"
}
