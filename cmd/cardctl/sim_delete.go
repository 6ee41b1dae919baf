package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/output"
)

func newSimDeleteCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a simulated card with all that is on it",
		Example:           "  cardctl sim delete desk --yes",
		Args:              oneArg("the name of the card, from cardctl sim list"),
		ValidArgsFunction: env.complete(env.simulatedChoices),
		RunE:              func(cmd *cobra.Command, args []string) error { return runSimDelete(cmd.Context(), env, args[0]) },
	}
}

func runSimDelete(ctx context.Context, env *Env, name string) error {
	store, err := env.simulatedCards()
	if err != nil {
		return err
	}
	info, err := findInfo(store, name)
	if err != nil {
		return err
	}
	if err := desk.Confirm(env.confirm).Ask(ctx, "Delete the simulated card %s with its keys and certificates?", name); err != nil {
		return err
	}
	if err := store.Delete(name); err != nil {
		return desk.SimulatedProblem(err, name)
	}
	return env.result("SimulatedCard", describeSimulated(info), func(s *output.Sheet) {
		s.Heading("Deleted the simulated card " + name)
	})
}
