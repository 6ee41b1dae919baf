package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/simulate"
	"github.com/cardctl/cardctl/internal/typed"
)

func newSimDeleteCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a simulated card and everything on it",
		Example:           "  cardctl sim delete desk --yes",
		Args:              typed.OneArg("the name of the card, from cardctl sim list"),
		ValidArgsFunction: env.complete(env.simulatedChoices),
		RunE:              func(cmd *cobra.Command, args []string) error { return runSimDelete(cmd.Context(), env, args[0]) },
	}
}

func runSimDelete(ctx context.Context, env *session, name string) error {
	c, err := simulate.Delete(ctx, env.store(), name, env.confirm)
	if err != nil {
		return err
	}
	return env.result("SimulatedCard", c, func(s *output.Sheet) {
		s.Heading("Deleted the simulated card " + name)
	})
}
