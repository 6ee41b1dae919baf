package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/simulate"
	"github.com/cardctl/cardctl/internal/typed"
)

type simCreateOptions struct {
	simulate.Options
	attestationCA string
	secrets       secretFlags
}

func newSimCreateCmd(env *session) *cobra.Command {
	var o simCreateOptions
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a simulated card in its factory state",
		Long: `Create a simulated card in its factory state. With --applications gp it is a
blank Java card. Install an applet for OpenPGP, IsoApplet or the MUSCLE applet
on it with cardctl applet; these then work.

A profile makes the card behave like a certain card, or a faulty one, for tests.
To show all profiles, use --profile list. Several profiles of one application
can be combined, such as t0+ecdsa-33.`,
		Example: `  cardctl sim create desk
  cardctl sim create office --applications pkcs15
  cardctl sim create --profile list
  cardctl sim create slow --latency 20ms --serial 12345678
  cardctl sim create blank --applications gp --secure-channel scp03-70`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.Profile == listProfiles {
				return nil
			}
			return typed.OneArg("the name of the card")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runSimCreate(cmd.Context(), env, args, &o) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.Applications, "applications", nil, "`applications` on the card: "+strings.Join(simulate.Applications(), ", ")+" (default: that of the profile)")
	flags.StringVar(&o.Profile, "profile", simulate.DefaultProfile, "`profile` of the card, or "+listProfiles+" to show the profiles")
	// Instead of the shared flag, which names an existing card.
	flags.StringVar(&o.Serial, "serial", "", "serial `number` of the card, 8 hex digits (default: random)")
	flags.DurationVar(&o.Latency, "latency", 0, "`time` that each answer takes, such as 20ms")
	flags.StringVar(&o.SecureChannel, "secure-channel", "", "secure channel `protocol` of a Java card, such as scp03-70 or scp03-70-aes256 (default scp02-15)")
	flags.IntVar(&o.Memory, "memory", 0, "Java card memory in `bytes` (default 131072)")
	flags.StringVar(&o.attestationCA, "attestation-ca", "", "write the CA that certified the card's attestation key to `file`, in PEM")
	o.secrets.addKeys(flags, secret.CardKeys, "card keys of a Java card")
	return cmd
}

// listProfiles is not a profile: it asks which there are.
const listProfiles = "list"

func (env *session) showProfiles() error {
	list := map[string]any{"profiles": simulate.Profiles()}
	return env.result("ProfileList", list, func(s *output.Sheet) {
		for _, p := range simulate.Profiles() {
			s.Field(p.Name, p.Description)
		}
	})
}

func runSimCreate(ctx context.Context, env *session, args []string, o *simCreateOptions) error {
	if o.Profile == listProfiles {
		return env.showProfiles()
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	// An environment variable is for existing cards.
	o.OwnKeys = o.secrets.flagGiven(secret.CardKeys) && o.secrets.sources[secret.CardKeys].Word() == ""
	c, err := simulate.Create(ctx, env.store(), args[0], o.Options, access)
	if err != nil {
		return err
	}
	if o.attestationCA != "" {
		ca, err := simulate.AttestationCA(env.store(), c.Name)
		if err != nil {
			return err
		}
		if err := env.writeFile(ctx, o.attestationCA, ca); err != nil {
			return problem.Wrap(problem.Failed, err, "the card was created, but its CA was not written to "+o.attestationCA)
		}
	}
	return env.result("SimulatedCard", c, func(s *output.Sheet) {
		s.Heading("Simulated card " + c.Name)
		s.Field("reader", c.Reader)
		s.Field("serial", c.Serial)
		s.Field("profile", c.Profile)
		s.Field("applications", strings.Join(c.Applications, ", "))
	})
}
