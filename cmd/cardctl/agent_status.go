package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newAgentStatusCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show the cards of the agent and their use",
		Example: "  cardctl agent status --output json",
		Args:    typed.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAgentStatus(cmd.Context(), env) },
	}
}

func runAgentStatus(ctx context.Context, env *session) error {
	answer, err := env.askAgent(ctx, client.Request{Do: client.StatusOf})
	if err != nil {
		return err
	}
	said := map[bool]string{true: "yes", false: "no"}
	return env.result("AgentStatus", answer.Status, func(s *output.Sheet) {
		for _, card := range answer.Status.Cards {
			s.Heading(card.Reader)
			s.Field("serial", card.Serial)
			s.Field("held", said[card.Held])
			s.Field("PIN cached", said[card.PINCached])
			s.Field("operations", fmt.Sprint(card.Operations))
			s.Field("APDUs", fmt.Sprint(card.APDUs))
		}
		s.Heading(fmt.Sprintf("Clients: %d", answer.Status.Clients))
	})
}
