package main

import (
	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/typed"
)

// newHelpCmd is cobra's help command, which does not know what a wrong name is.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "help [command]",
		Short:   "Show the help of a command",
		Example: "  cardctl help gen-csr",
		Args:    func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err == nil {
				err = typed.KnownCommand(found, rest)
			}
			if err != nil {
				return err
			}
			return found.Help()
		},
	}
}
