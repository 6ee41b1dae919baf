package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

func newSimCreateCmd(env *Env) *cobra.Command {
	var o cardsim.Options
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a simulated card, as from the factory",
		Long:    "Make a simulated card, as from the factory. These profiles are there:\n\n" + profiles(),
		Example: "  cardctl sim create desk\n  cardctl sim create slow --latency 20ms --serial 12345678",
		Args:    oneArg("the name of the card"),
		RunE:    func(_ *cobra.Command, args []string) error { return runSimCreate(env, args[0], o) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.Applications, "applications", cardsim.Applications()[:1], "`applications` on the card")
	flags.StringVar(&o.Profile, "profile", cardsim.DefaultProfile, "`profile` of the card")
	// In the place of the shared flag, which names a card that is there.
	flags.StringVar(&o.Serial, "serial", "", "serial `number` of the card, 8 hex digits; random without")
	flags.DurationVar(&o.Latency, "latency", 0, "`time` that each answer takes, such as 20ms")
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

func runSimCreate(env *Env, name string, o cardsim.Options) error {
	store, err := env.simulatedCards()
	if err != nil {
		return err
	}
	if o.Latency < 0 || o.Latency > time.Minute {
		return problem.New(problem.Usage, "a latency of %s", o.Latency).Because("It is 0 to 1m.")
	}
	if err := store.Create(name, o); err != nil {
		return simulatedProblem(err, name)
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
	return cardsim.Info{}, simulatedProblem(fmt.Errorf("%w: %s", cardsim.ErrNotFound, name), name)
}
