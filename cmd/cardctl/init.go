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
	"github.com/cardctl/cardctl/internal/typed"
)

type initOptions struct {
	token            tokenFlag
	label            string
	factoryPINs, kdf bool

	pinTries, pukTries uint8
	management         cardinit.NewManagementKey
	secrets            secretFlags
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

With --kdf, an OpenPGP card accepts its PINs only in derived form, as after
kdf-setup in gpg. Erasing the card undoes this. With --pin-tries, user PIN,
resetting code and admin PIN of a YubiKey have that many tries.

For a PKCS#15 card (--app pkcs15), set --pin and --puk, and --so-pin if the card
has an SO PIN. Some cards require their current SO PIN (or, if they have none,
their user PIN) to be erased. Pass it with --current-so-pin; without that flag,
cardctl tries the new one. A used IsoApplet card does not report the tries
left of its PUK, so it needs --allow-unknown-tries.

For a PIV card (--app piv), set --pin and --puk, and the management key with
--management-key, --generate-management-key or --protect-management-key. A used
card is reset, for which init blocks PIN and PUK. A card that cannot be reset
needs --current-management-key: init deletes its certificates and data objects.

For a PKCS#11 token (--app pkcs11), set --so-pin and --pin. A MUSCLE applet
(--app muscle) can be set up only once, with --pin, --so-pin and --puk.`,
		Example: `  cardctl init
  cardctl init --yes --pin file:pin.txt --admin-pin file:admin-pin.txt
  cardctl init --yes --factory-pins --reader sim:desk
  cardctl init --app pkcs15 --label desk --pin env:PIN --puk env:PUK
  cardctl init --app piv --pin env:PIN --puk env:PUK --protect-management-key
  cardctl init --app pkcs11 --module softhsm2 --label desk \
      --so-pin env:SO_PIN --pin env:PIN`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInit(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	o.token.add(flags)
	flags.StringVar(&o.label, "label", "", "token `label`, if the token can have one")
	flags.BoolVar(&o.factoryPINs, "factory-pins", false, "keep the factory PINs")
	flags.BoolVar(&o.kdf, "kdf", false, "send PINs to the card only in derived form (KDF)")
	o.secrets.add(flags, secret.PIN, "new user PIN")
	o.secrets.add(flags, secret.AdminPIN, "new admin PIN")
	o.secrets.add(flags, secret.CurrentAdminPIN, "current admin PIN")
	o.secrets.add(flags, secret.SOPIN, "new SO PIN")
	o.secrets.add(flags, secret.CurrentSOPIN, "current SO PIN of a PKCS#15 card, or factory PIN of a MUSCLE applet")
	o.secrets.add(flags, secret.PUK, "new PUK of a PKCS#15 or PIV card, or new unblock code of a MUSCLE applet")
	o.secrets.addNamed(flags, secret.ManagementKey, "new management key of a PIV card", secret.FactoryValue)
	o.secrets.addNamed(flags, secret.CurrentManagementKey, "current management key of a PIV card that cannot be reset", secret.FactoryValue)
	newManagementKeyFlags(flags, &o.management)
	flags.Uint8Var(&o.pinTries, "pin-tries", 0, "`number` of tries of the user PIN, if the card can change it")
	flags.Uint8Var(&o.pukTries, "puk-tries", 0, "`number` of tries of the PUK, if the card can change it")
	cmd.MarkFlagsMutuallyExclusive(string(secret.ManagementKey), "generate-management-key", "protect-management-key")
	o.secrets.addLastTry(flags)
	return cmd
}

func runInit(ctx context.Context, env *session, o *initOptions) error {
	if o.factoryPINs && (o.secrets.flagGiven(secret.PIN) || o.secrets.flagGiven(secret.AdminPIN) || o.secrets.flagGiven(secret.PUK)) {
		return problem.New(problem.Usage, "--factory-pins and new PINs contradict each other").
			Because("With --factory-pins, the card keeps its factory PINs.").Advise(advice.Repeat().Without(advice.Factory))
	}
	if env.line.Given("pin-tries") && o.pinTries == 0 || env.line.Given("puk-tries") && o.pukTries == 0 {
		return problem.New(problem.Usage, "a PIN cannot have 0 tries").Advise(advice.Do(advice.Help))
	}
	var derived *bool
	if env.line.Given("kdf") {
		derived = &o.kdf
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	report, err := cardinit.Initialise(ctx, o.token.desk(env), access, cardinit.Options{
		Label: o.label, FactoryPINs: o.factoryPINs, Named: o.secrets.named(),
		PINTries: int(o.pinTries), PUKTries: int(o.pukTries), Management: o.management, Derived: derived,
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
		if report.Derived {
			s.Field("KDF", "PINs are sent to the card in derived form")
		}
		if key := report.ManagementKey; key != nil {
			managementKeyText(s, key)
		}
		s.Field("factory values, which anyone knows", strings.Join(report.FactoryValues, ", "))
		s.Field("still on the card", strings.Join(report.Stayed, ", "))
	})
}

func describePINs(pins string) string {
	switch pins {
	case "unchanged":
		return "unchanged"
	case "factory":
		return "factory PINs, which are public: change them with cardctl set-pin"
	}
	return "new"
}
