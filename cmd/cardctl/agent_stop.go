package main

import (
	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/typed"
)

func newAgentStopCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:     "stop",
		Short:   "Stop the agent",
		Long:    "Stop the agent. It lets the cards go and forgets all PINs.",
		Example: "  cardctl agent stop",
		Args:    typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := env.askAgent(cmd.Context(), client.Request{Do: client.Stop})
			return err
		},
	}
}
