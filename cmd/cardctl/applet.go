package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func newAppletCmd(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "applet",
		Short: "Manage the applets of a Java card (GlobalPlatform)",
		Long: `Look into the files of applets, see what is on a Java card, install and delete
applets, and replace the card's keys.

The card wants its keys: --card-keys says where they come from, one key or
ENC:MAC:DEK in hexadecimal; --card-keys default names the test keys of blank
cards. A card locks itself for good after a few wrong keys, so once some failed
no others are tried on that card without --retry-keys.`,
		Example: `  cardctl applet inspect IsoApplet.cap
  cardctl applet list --card-keys default
  cardctl applet install IsoApplet.cap --card-keys default`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newAppletListCmd(env), newAppletInspectCmd(env), newAppletInstallCmd(env),
		newAppletDeleteCmd(env), newAppletSetKeysCmd(env), newAppletScriptCmd(env),
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
	secrets              secretFlags
}

// defaultKeys is what the test keys of blank cards are called.
const defaultKeys = "default"

func (f *domainFlags) add(flags *pflag.FlagSet) {
	f.secrets.addKeys(flags, secret.CardKeys, "card keys")
	flags.StringVar(&f.isd, "isd", "", "`AID` of the security domain, where it is not the issuer's")
	flags.Uint8Var(&f.keyVersion, "key-version", 0, "`version` of the card keys; without it the card's choice")
	flags.Uint8Var(&f.keyIndex, "key-index", 0, "`index` of the card keys")
	flags.StringVar(&f.diversification, "diversification", "", "`way` in which the card's keys are made of master keys: emv, visa2, kdf3")
	flags.StringVar(&f.level, "security-level", "c-mac", "`level` of the secure channel: "+strings.Join(gp.LevelNames(), ", "))
	f.addRetry(flags)
}

func (f *domainFlags) addRetry(flags *pflag.FlagSet) {
	flags.BoolVar(&f.retryKeys, "retry-keys", false, "try keys although some failed on this card before")
}

// addKeys makes a flag for card keys, which can be those that everybody knows.
func (s *secretFlags) addKeys(flags *pflag.FlagSet, name secret.Name, usage string) {
	s.add(flags, name, usage)
	s.sources[name].WellKnown = defaultKeys
	s.given[name].Usage = "where the " + usage + " come from, or " + defaultKeys + " for the test keys of blank cards"
}

// access checks the flags. Of the card nothing is known yet.
func (f *domainFlags) access(env *Env) (a applet.Access, err error) {
	if a, err = f.guarded(env); err != nil {
		return a, err
	}
	if a.ISD, err = parseAID("--isd", f.isd); err != nil {
		return a, err
	}
	if a.Diversification, err = gp.ParseDiversification(strings.ToLower(f.diversification)); err != nil {
		return a, problem.Wrap(problem.Usage, err, "--diversification")
	}
	if a.Level, err = gp.ParseLevel(f.level); err != nil {
		return a, problem.Wrap(problem.Usage, err, "--security-level")
	}
	a.KeyVersion, a.KeyIndex = f.keyVersion, f.keyIndex
	a.DefaultKeys = f.secrets.sources[secret.CardKeys].NamesWellKnown()
	a.Ask, err = f.secrets.asker(env)
	return a, err
}

// guarded is what keeps a card from being locked by wrong keys.
func (f *domainFlags) guarded(env *Env) (applet.Access, error) {
	dir, err := env.stateDir()
	return applet.Access{StateDir: dir, RetryKeys: f.retryKeys, Now: env.Now}, err
}

// withDomain finds the one card that is meant, and lets it go when work is done.
func (env *Env) withDomain(ctx context.Context, a applet.Access, work func(ctx context.Context, reader string, a applet.Access) error) error {
	return env.withCard(ctx, func(ctx context.Context, c *card) error {
		a.Channel, a.Reader = c.Channel, output.Line(c.Reader)
		return work(ctx, c.Reader, a)
	})
}

// parseAID reads an AID from the command line; none is nil.
func parseAID(where, text string) (gp.AID, error) {
	if text == "" {
		return nil, nil
	}
	aid, err := gp.ParseAID(text)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, where).
			Hint("cardctl applet list and cardctl applet inspect show AIDs, 5 to 16 bytes in hexadecimal")
	}
	return aid, nil
}

func parseAIDs(where string, texts []string) ([]gp.AID, error) {
	var list []gp.AID
	for _, text := range texts {
		aid, err := parseAID(where, text)
		if err != nil {
			return nil, err
		}
		if aid == nil {
			return nil, problem.New(problem.Usage, "%s is empty", where)
		}
		list = append(list, aid)
	}
	return list, nil
}

// readApplet reads a CAP or IJC file.
func readApplet(ctx context.Context, env *Env, path string) (*applet.File, error) {
	f, err := applet.ReadFile(ctx, path)
	var p *problem.Error
	switch {
	case problem.Is(err, problem.NotFound):
		return nil, problem.Wrap(problem.NotFound, err, path).
			Because("There is no such file.").Hint("cardctl %s --help", env.command)
	case errors.As(err, &p) && p.Try == "" && p.Code != problem.Mismatch:
		return nil, p.Hint("the name of a CAP or IJC file")
	case errors.As(err, &p) && p.Try == "" && strings.EqualFold(filepath.Ext(path), ".cap"):
		return nil, p.Hint("fetch the file again; unzip -t %s says whether it is whole", path)
	case errors.As(err, &p) && p.Try == "":
		return nil, p.Hint("fetch the file again, or make it again from the CAP file")
	}
	return f, err
}

func joinAIDs(list []gp.AID) string {
	texts := make([]string, len(list))
	for i, aid := range list {
		texts[i] = aid.String()
	}
	return strings.Join(texts, ", ")
}

// keyVersionText names the version of a card's keys.
func keyVersionText(version byte) string {
	if version == gp.FactoryKeyVersion {
		return "255: those that the card came with"
	}
	return decimal(int(version))
}

// packageText is a package as people call it.
func packageText(p applet.Package) string {
	return output.Line(strings.TrimSpace(p.AID.String() + " " + p.Version.String() + " " + p.Name))
}
