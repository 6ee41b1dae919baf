package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type appletSetKeysOptions struct {
	applet.NewKeysWish
	domain domainFlags
}

// maxKeyVersion is the greatest version that keys can be given.
const maxKeyVersion = 0x7F

func newAppletSetKeysCmd(env *session) *cobra.Command {
	var o appletSetKeysOptions
	cmd := &cobra.Command{
		Use:   "set-keys --keys-file FILE",
		Short: "Replace the card keys of a Java card",
		Long: `Replace the card keys of a Java card with those of --new-card-keys, or with
random ones (--generate). cardctl writes them to FILE, readable only by you,
before it changes the card. It reports success only after the card has proved
that it has the new keys. FILE is kept unless the card refused the keys and
proves that it has the old ones.

With --diversification, the keys of --new-card-keys are master keys: cardctl
derives those of this card and writes them to FILE. The current keys can be
derived by the same method, or given as they are.

Afterwards, FILE opens the card: --card-keys file:FILE. If you lose FILE, you
lose control of the card.`,
		Example: `  cardctl applet set-keys --generate --keys-file card.keys --card-keys default
  cardctl applet set-keys --new-card-keys command:'pass card' \
      --keys-file card.keys \
      --card-keys file:old.keys`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAppletSetKeys(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.File, "keys-file", "", "new `file` for the new keys")
	flags.BoolVar(&o.Generate, "generate", false, "generate random keys")
	o.domain.secrets.addKeys(flags, secret.NewCardKeys, "new card keys")
	flags.Uint8Var(&o.Version, "new-key-version", 0, "`version` of the new keys, 1 to 127 (default: that of the old keys)")
	flags.StringVar(&o.Type, "type", "", "`type` of the new keys: aes, des (default: that of the secure channel)")
	flags.BoolVar(&o.Add, "add", false, "keep the old keys on the card next to the new ones")
	o.domain.add(flags)
	_ = cmd.MarkFlagRequired("keys-file")
	cmd.MarkFlagsMutuallyExclusive("generate", string(secret.NewCardKeys))
	return cmd
}

func runAppletSetKeys(ctx context.Context, env *session, o *appletSetKeysOptions) error {
	if o.Version > maxKeyVersion {
		return problem.New(problem.Usage, "--new-key-version %d is out of range", o.Version).Because("Card keys have a version from 1 to %d.", maxKeyVersion)
	}
	o.Domain, o.NewDefault = o.domain.wish(), o.domain.secrets.sources[secret.NewCardKeys].Word() != ""
	return onDomain(ctx, env, &o.domain, o.Parse, applet.SetKeys, "CardKeysSet", func(report *applet.KeyReport, s *output.Sheet) {
		s.Heading("The card in " + report.Reader + " has new keys")
		s.Field("version", strconv.Itoa(int(report.Version)))
		s.Field("kind", fmt.Sprintf("%s, %d bit", report.Cipher, report.Bits))
		s.Field("check values", fmt.Sprintf("ENC %s, MAC %s, DEK %s", report.CheckValues[0], report.CheckValues[1], report.CheckValues[2]))
		s.Field("use it with", "--card-keys file:"+report.File)
	})
}
