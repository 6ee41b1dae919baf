package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

type simCreateOptions struct {
	cardsim.Options
	secrets secretFlags
}

func newSimCreateCmd(env *Env) *cobra.Command {
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
	flags.StringSliceVar(&o.Applications, "applications", cardsim.Applications()[:1], "`applications` on the card: "+strings.Join(cardsim.Applications(), ", "))
	flags.StringVar(&o.Profile, "profile", cardsim.DefaultProfile, "`profile` of the card")
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
	for _, p := range cardsim.Profiles() {
		s.Field(p.Name, p.Description)
	}
	var b strings.Builder
	_, _ = s.WriteTo(&b)
	return strings.TrimRight(b.String(), "\n")
}

func runSimCreate(ctx context.Context, env *Env, name string, o *simCreateOptions) error {
	store, err := env.simulatedCards()
	if err != nil {
		return err
	}
	if o.Latency < 0 || o.Latency > time.Minute {
		return problem.New(problem.Usage, "a latency of %s", o.Latency).Because("It is 0 to 1m.")
	}
	if o.CardKeys, err = o.keys(ctx, env); err != nil {
		return err
	}
	defer wipeAll(o.CardKeys)
	if err := store.Create(name, o.Options); err != nil {
		return desk.SimulatedProblem(err, name)
	}
	made, err := findInfo(store, name)
	if err != nil {
		return err
	}
	c := describeSimulated(made)
	return env.result("SimulatedCard", c, func(s *output.Sheet) {
		s.Heading("Simulated card " + c.Name)
		s.Field("reader", c.Reader)
		s.Field("serial", c.Serial)
		s.Field("profile", c.Profile)
		s.Field("applications", strings.Join(c.Applications, ", "))
	})
}

// keys are those that the card gets: none are its test keys. A variable of the
// environment is for cards that are there.
func (o *simCreateOptions) keys(ctx context.Context, env *Env) ([][]byte, error) {
	ask, err := o.secrets.asker(env)
	if err != nil || !o.secrets.flagGiven(secret.CardKeys) || o.secrets.sources[secret.CardKeys].NamesWellKnown() {
		return nil, err
	}
	text, err := ask(ctx, secret.Request{Name: secret.CardKeys, Label: "card keys (one, or ENC:MAC:DEK, in hexadecimal)", New: true})
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	set, err := gp.ParseKeySet(text)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "--"+string(secret.CardKeys))
	}
	defer set.Wipe()
	return set.Reveal(), nil
}

func wipeAll(keys [][]byte) {
	for _, key := range keys {
		secret.Wipe(key)
	}
}

func findInfo(store *cardsim.Store, name string) (cardsim.Info, error) {
	list, err := store.List()
	if err != nil {
		return cardsim.Info{}, err
	}
	for _, info := range list {
		if info.Name == name {
			return info, nil
		}
	}
	return cardsim.Info{}, desk.SimulatedProblem(fmt.Errorf("%w: %s", cardsim.ErrNotFound, name), name)
}
