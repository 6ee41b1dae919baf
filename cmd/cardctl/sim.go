package main

import (
	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/typed"
)

func newSimCmd(env *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Create and attach simulated cards",
		Long: `Simulated cards behave as their specification says and keep their state. Use one
in-process (not in a PC/SC reader) with --reader sim:NAME. To let every program
see it, attach it to the PC/SC daemon.`,
		Example: "  cardctl sim create desk\n  cardctl info --reader sim:desk\n  cardctl sim attach desk",
		Args:    typed.KnownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSimCreateCmd(env), newSimListCmd(env), newSimAttachCmd(env), newSimDeleteCmd(env))
	return cmd
}
