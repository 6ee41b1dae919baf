package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

func newAppletCmd(env *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "applet",
		Short: "Manage the applets of a Java card (GlobalPlatform)",
		Long: `Inspect applet files, list what is on a Java card, install, personalise, lock
and delete applets, manage security domains, and replace the card keys.

The card requires its card keys. --card-keys names their source, which holds one
key or ENC:MAC:DEK in hexadecimal. --card-keys default means the test keys of
blank cards.

A card locks itself permanently after a few wrong keys. So after a failure,
cardctl tries no more keys on that card unless you add --retry-keys.`,
		Example: `  cardctl applet inspect IsoApplet.cap
  cardctl applet list --card-keys default
  cardctl applet install IsoApplet.cap --card-keys default`,
		Args: typed.KnownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newAppletListCmd(env), newAppletInspectCmd(env), newAppletInstallCmd(env),
		newAppletDeleteCmd(env), newAppletSetKeysCmd(env), newAppletScriptCmd(env),
		newAppletStateCmd(env), newAppletDomainCmd(env), newAppletStoreDataCmd(env),
	)
	return cmd
}

// domainFlags say which security domain of a card is meant, with which keys it
// is opened, and how.
type domainFlags struct {
	isd                  string
	keyVersion, keyIndex uint8
	diversification      string
	level                string
	retryKeys            bool
	anyChallenge         bool
	secrets              secretFlags
}

// defaultKeys is what the test keys of blank cards are called.
const defaultKeys = secret.FactoryValue

func (f *domainFlags) add(flags *pflag.FlagSet) {
	f.secrets.addKeys(flags, secret.CardKeys, "card keys")
	flags.StringVar(&f.isd, "isd", "", "`AID` of the security domain (default: the issuer's)")
	flags.Uint8Var(&f.keyVersion, "key-version", 0, "`version` of the card keys (default: the card chooses)")
	flags.Uint8Var(&f.keyIndex, "key-index", 0, "`index` of the card keys")
	flags.StringVar(&f.diversification, "diversification", "", "`method` that derives the card keys from master keys: emv, visa2, kdf3")
	flags.StringVar(&f.level, "security-level", "c-mac", "`level` of the secure channel: "+strings.Join(applet.LevelNames(), ", "))
	f.addRetry(flags)
}

func (f *domainFlags) addRetry(flags *pflag.FlagSet) {
	flags.BoolVar(&f.retryKeys, "retry-keys", false, "try keys even though some have failed on this card")
	flags.BoolVar(&f.anyChallenge, "accept-random-challenge", false, "accept an SCP03 card challenge that is not the computed one")
}

// addKeys makes a flag for card keys, which can be those that everybody knows.
func (s *secretFlags) addKeys(flags *pflag.FlagSet, name secret.Name, usage string) {
	s.add(flags, name, usage+", or "+defaultKeys+" for the test keys of blank cards")
	s.sources[name].Words = []string{defaultKeys}
}

// wish is what the flags say.
func (f *domainFlags) wish() applet.DomainWish {
	return applet.DomainWish{
		ISD: f.isd, KeyVersion: f.keyVersion, KeyIndex: f.keyIndex, Diversification: f.diversification, Level: f.level,
		DefaultKeys: f.secrets.sources[secret.CardKeys].Word() != "", RetryKeys: f.retryKeys,
		AcceptRandomChallenge: f.anyChallenge,
	}
}

// onDomain does something in the security domain that the flags mean, and shows what it
// reports. The wish is read before anything is asked.
func onDomain[Options, Report any](
	ctx context.Context, env *session, f *domainFlags, parse func() (Options, error),
	do func(context.Context, *desk.Desk, desk.Access, Options) (Report, error), kind string, text func(Report, *output.Sheet),
) error {
	options, err := parse()
	if err != nil {
		return err
	}
	access, err := f.secrets.access(env)
	if err != nil {
		return err
	}
	report, err := do(ctx, env.desk(), access, options)
	if err != nil {
		return err
	}
	return env.result(kind, report, func(s *output.Sheet) { text(report, s) })
}

// readApplet reads a CAP or IJC file.
func readApplet(ctx context.Context, env *session, path string) (*applet.File, error) {
	f, err := applet.ReadFile(ctx, path)
	var p *problem.Error
	switch {
	case problem.Is(err, problem.NotFound):
		return nil, problem.New(problem.NotFound, "cannot read %s", path).
			Because("The file does not exist.").Advise(nearby(path))
	case errors.As(err, &p) && p.Next.IsZero() && p.Code == problem.Mismatch && strings.EqualFold(filepath.Ext(path), ".cap"):
		return nil, p.Advise(advice.Run("unzip", "-t", path))
	case errors.As(err, &p) && p.Next.IsZero():
		return nil, p.Advise(advice.Run("file", path))
	}
	return f, err
}
