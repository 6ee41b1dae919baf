package main

import (
	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/typed"
)

func newAgentLockCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:     "lock",
		Short:   "Have the agent forget all PINs",
		Long:    "Have the agent forget all PINs, and let the cards go. The next use of a key asks\nfor the PIN.",
		Example: "  cardctl agent lock",
		Args:    typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := env.askAgent(cmd.Context(), client.Request{Do: client.Lock})
			return err
		},
	}
}
