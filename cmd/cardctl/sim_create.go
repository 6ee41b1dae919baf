package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/simulate"
)

type simCreateOptions struct {
	simulate.Options
	secrets secretFlags
}

func newSimCreateCmd(env *session) *cobra.Command {
	var o simCreateOptions
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a simulated card, as from the factory",
		Long: `Make a simulated card, as from the factory. With --applications gp it is a blank
Java card, which cardctl applet installs applets on: those for OpenPGP, the
IsoApplet and the MUSCLE applet work from then on. These profiles are there:

` + profiles(),
		Example: `  cardctl sim create desk
  cardctl sim create office --applications pkcs15
  cardctl sim create slow --latency 20ms --serial 12345678
  cardctl sim create blank --applications gp --secure-channel scp03-70`,
		Args: oneArg("the name of the card"),
		RunE: func(cmd *cobra.Command, args []string) error { return runSimCreate(cmd.Context(), env, args[0], &o) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.Applications, "applications", simulate.Applications()[:1], "`applications` on the card: "+strings.Join(simulate.Applications(), ", "))
	flags.StringVar(&o.Profile, "profile", simulate.DefaultProfile, "`profile` of the card")
	// In the place of the shared flag, which names a card that is there.
	flags.StringVar(&o.Serial, "serial", "", "serial `number` of the card, 8 hex digits; random without")
	flags.DurationVar(&o.Latency, "latency", 0, "`time` that each answer takes, such as 20ms")
	flags.StringVar(&o.SecureChannel, "secure-channel", "", "secure channel `protocol` of a Java card, such as scp02-55, scp03-70 or scp03-70-aes256; scp02-15 without")
	flags.IntVar(&o.Memory, "memory", 0, "`bytes` of memory of a Java card; 131072 without")
	o.secrets.addKeys(flags, secret.CardKeys, "card keys of a Java card")
	return cmd
}

func profiles() string {
	var s output.Sheet
	for _, p := range simulate.Profiles() {
		s.Field(p.Name, p.Description)
	}
	var b strings.Builder
	_, _ = s.WriteTo(&b)
	return strings.TrimRight(b.String(), "\n")
}

func runSimCreate(ctx context.Context, env *session, name string, o *simCreateOptions) error {
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	// A variable of the environment is for cards that are there.
	o.OwnKeys = o.secrets.flagGiven(secret.CardKeys) && !o.secrets.sources[secret.CardKeys].NamesWellKnown()
	c, err := simulate.Create(ctx, env.store(), name, o.Options, access)
	if err != nil {
		return err
	}
	return env.result("SimulatedCard", c, func(s *output.Sheet) {
		s.Heading("Simulated card " + c.Name)
		s.Field("reader", c.Reader)
		s.Field("serial", c.Serial)
		s.Field("profile", c.Profile)
		s.Field("applications", strings.Join(c.Applications, ", "))
	})
}
