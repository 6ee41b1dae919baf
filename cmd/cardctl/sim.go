package main

import (
	"github.com/spf13/cobra"
)

func newSimCmd(env *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Make and attach simulated cards",
		Long: `Simulated cards behave as their specification says, and their state is kept.
Use one in process with --reader sim:NAME, or attach it to the PC/SC daemon so
that every program sees it.`,
		Example: "  cardctl sim create desk\n  cardctl info --reader sim:desk\n  cardctl sim attach desk",
		Args:    knownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSimCreateCmd(env), newSimListCmd(env), newSimAttachCmd(env), newSimDeleteCmd(env))
	return cmd
}
