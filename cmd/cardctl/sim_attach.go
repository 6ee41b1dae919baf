package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/simulate"
	"github.com/cardctl/cardctl/internal/typed"
)

type simAttachOptions struct {
	address string
}

func newSimAttachCmd(env *session) *cobra.Command {
	var o simAttachOptions
	cmd := &cobra.Command{
		Use:   "attach NAME",
		Short: "Attach a simulated card to a virtual PC/SC reader",
		Long: `Attach a simulated card to a virtual reader of the PC/SC daemon, so that every
program sees it. The command runs until you press Ctrl-C. In the background
(with & after it), stop it with kill.

cardctl list-readers shows the name of the virtual reader. While the card is in
it, sim:NAME is in use.

The virtual reader is that of the Debian package vsmartcard-vpcd; restart pcscd
after you install it. A second virtual reader listens on localhost:35964.`,
		Example:           "  cardctl sim attach desk\n  cardctl sim attach desk --address localhost:35964 --trace desk.trace",
		Args:              typed.OneArg("the name of the card, from cardctl sim list"),
		ValidArgsFunction: env.complete(env.simulatedChoices),
		RunE:              func(cmd *cobra.Command, args []string) error { return runSimAttach(cmd.Context(), env, &o, args[0]) },
	}
	cmd.Flags().StringVar(&o.address, "address", simulate.DefaultAddress, "`address` on which the virtual reader listens")
	return cmd
}

// runSimAttach ends without an error when it is interrupted.
func runSimAttach(ctx context.Context, env *session, o *simAttachOptions, name string) error {
	return simulate.Attach(ctx, env.store(), simulate.Attachment{
		Name: name, Address: o.address, Trace: env.traceTo(),
		Attached: func(c simulate.Card) error { return env.tellAttached(c, o.address) },
	})
}

// tellAttached says that the reader has the card: as a note, or as a document.
func (env *session) tellAttached(c simulate.Card, address string) error {
	if env.flags.output == formatJSON {
		return env.result("SimulatedCard", c, nil)
	}
	env.note("%s is attached at %s", c.Name, address)
	env.progress.Done()
	return nil
}
