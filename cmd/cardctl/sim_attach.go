package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

type simAttachOptions struct {
	address string
}

func newSimAttachCmd(env *Env) *cobra.Command {
	var o simAttachOptions
	cmd := &cobra.Command{
		Use:   "attach NAME",
		Short: "Put a simulated card into a virtual reader of PC/SC",
		Long: `Put a simulated card into a virtual reader of the PC/SC daemon, so that every
program sees it, until interrupted. The reader is that of the Debian package
vsmartcard-vpcd; its second one waits at localhost:35964.`,
		Example:           "  cardctl sim attach desk\n  cardctl sim attach desk --address localhost:35964 --trace desk.trace",
		Args:              oneArg("the name of the card, from cardctl sim list"),
		ValidArgsFunction: env.complete(env.simulatedChoices),
		RunE:              func(cmd *cobra.Command, args []string) error { return runSimAttach(cmd.Context(), env, &o, args[0]) },
	}
	cmd.Flags().StringVar(&o.address, "address", cardsim.DefaultAddress, "`address` where the virtual reader waits")
	return cmd
}

// runSimAttach ends without an error when it is interrupted.
func runSimAttach(ctx context.Context, env *Env, o *simAttachOptions, name string) error {
	store, err := env.simulatedCards()
	if err != nil {
		return err
	}
	c, err := store.Open(name)
	if err != nil {
		return desk.SimulatedProblem(err, name)
	}
	if to := env.traceTo(); to != nil {
		c.Tap(desk.Traced(to)) // what every program sends to the card
	}
	var written error
	err = c.Attach(ctx, o.address, func() { written = env.tellAttached(store, name, o.address) })
	err = errors.Join(err, written)
	switch {
	case errors.Is(err, cardsim.ErrNoReader):
		err = problem.Wrap(problem.NotFound, err, "no virtual reader at "+o.address).
			Because("Nobody waits for a card there: the PC/SC daemon does not run, or has no virtual reader.").
			Hint("cardctl doctor; the virtual reader is in the Debian package vsmartcard-vpcd")
	case errors.Is(err, cardsim.ErrReaderOccupied):
		err = problem.Wrap(problem.CardBusy, err, "the virtual reader at "+o.address+" does not take the card").
			Because("Another card is in it, or the PC/SC daemon stands still.").
			Hint("cardctl sim attach %s --address localhost:35964", name)
	}
	return errors.Join(err, c.Close())
}

// tellAttached says that the reader has the card: as a note, or as a document.
func (env *Env) tellAttached(store *cardsim.Store, name, address string) error {
	if env.flags.output != formatJSON {
		env.note("%s is attached at %s", name, address)
		env.progress.Done()
		return nil
	}
	info, err := findInfo(store, name)
	if err != nil {
		return err
	}
	return env.result("SimulatedCard", describeSimulated(info), nil)
}
