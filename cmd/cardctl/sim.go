package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

func newSimCmd(env *Env) *cobra.Command {
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

// simulatedCard is a simulated card in a document.
type simulatedCard struct {
	Name         string   `json:"name"`
	Reader       string   `json:"reader"`
	Serial       string   `json:"serial"`
	Profile      string   `json:"profile"`
	Applications []string `json:"applications"`
	Busy         bool     `json:"busy"`
	PID          int      `json:"pid,omitempty"`
	Problem      string   `json:"problem,omitempty"`
}

func describeSimulated(info cardsim.Info) simulatedCard {
	c := simulatedCard{
		Name: info.Name, Reader: simulatedPrefix + info.Name,
		Serial: info.Serial, Profile: info.Profile, Applications: info.Applications,
		Busy: info.Busy, PID: info.PID,
	}
	if info.Err != nil {
		c.Problem = info.Err.Error()
	}
	return c
}

// simulatedCards is where simulated cards are kept.
func (env *Env) simulatedCards() (*cardsim.Store, error) {
	dir, err := env.stateDir()
	if err != nil {
		return nil, err
	}
	return cardsim.NewStore(filepath.Join(dir, "sim")), nil
}

// simulatedProblem is an error of the store in the user's terms.
func simulatedProblem(err error, name string) error {
	what := "simulated card " + name
	var busy *cardsim.BusyError
	switch {
	case errors.As(err, &busy):
		p := problem.Wrap(problem.CardBusy, err, what+" is in use")
		if busy.PID != 0 {
			p.Because("Process %d holds it; where it is attached, it is in a reader of cardctl list-readers.", busy.PID)
		} else {
			p.Because("Another process holds it.")
		}
		return p.Hint("cardctl list-readers")
	case errors.Is(err, cardsim.ErrNotFound):
		return problem.Wrap(problem.NotFound, err, "there is no simulated card "+name).
			Because("None has this name.").Hint("cardctl sim create %s", name)
	case errors.Is(err, cardsim.ErrExists):
		return problem.Wrap(problem.Refused, err, what+" exists").
			Because("It would be overwritten.").Hint("cardctl sim delete %s", name)
	case errors.Is(err, cardsim.ErrName):
		return problem.Wrap(problem.Usage, err, "not a name of a simulated card")
	case errors.Is(err, cardsim.ErrOptions):
		return problem.Wrap(problem.Usage, err, what).Hint("cardctl sim create --help")
	case errors.Is(err, cardsim.ErrState):
		return problem.Wrap(problem.Mismatch, err, what+" cannot be read").Hint("cardctl sim delete %s", name)
	case err != nil:
		return problem.Wrap(problem.Failed, err, what)
	}
	return nil
}

// busyPoll is how often a simulated card is asked for that another process has.
const busyPoll = 50 * time.Millisecond

// connectCardsim connects to a simulated card in this process. A card in use
// is waited for where --timeout says how long.
func (env *Env) connectCardsim(ctx context.Context, name string) (iso7816.Connection, error) {
	store, err := env.simulatedCards()
	if err != nil {
		return nil, err
	}
	c, err := store.Open(name)
	for errors.Is(err, cardsim.ErrBusy) && env.flags.timeout > 0 {
		select {
		case <-time.After(busyPoll):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
			return nil, simulatedProblem(err, name)
		}
		c, err = store.Open(name)
	}
	if err != nil {
		return nil, simulatedProblem(err, name)
	}
	return holdSimulated(ctx, c)
}

// holdSimulated connects to a card that is closed with the connection.
func holdSimulated(ctx context.Context, c *cardsim.Card) (iso7816.Connection, error) {
	connection, err := c.Connect(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &simulatedConnection{connection, c}, nil
}

type simulatedConnection struct {
	iso7816.Connection
	card *cardsim.Card
}

func (c *simulatedConnection) Close(reset bool) error {
	return errors.Join(c.Connection.Close(reset), c.card.Close())
}

// listSimulated lists all simulated cards, or the one with a name, as readers.
func (env *Env) listSimulated(ctx context.Context, name string) ([]readerReport, error) {
	store, err := env.simulatedCards()
	if err != nil {
		if name == "" {
			return nil, nil
		}
		return nil, err
	}
	cards, err := store.List()
	if err != nil {
		return nil, err
	}
	var list []readerReport
	for _, info := range cards {
		if name != "" && info.Name != name {
			continue
		}
		report := readerReport{Name: simulatedPrefix + info.Name, CardPresent: true}
		connection, err := env.lookable(ctx, info)
		report = env.lookAt(ctx, report, connection, err)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if env.isWanted(&report) {
			list = append(list, report)
		}
	}
	if name != "" && len(list) == 0 && env.flags.serial == "" {
		return nil, simulatedProblem(fmt.Errorf("%w: %s", cardsim.ErrNotFound, name), name)
	}
	return list, nil
}

// lookable connects to a card to identify it; one that is in use is left alone.
func (env *Env) lookable(ctx context.Context, info cardsim.Info) (iso7816.Connection, error) {
	if info.Busy {
		return nil, simulatedProblem(&cardsim.BusyError{Name: info.Name, PID: info.PID}, info.Name)
	}
	if info.Err != nil {
		return nil, simulatedProblem(info.Err, info.Name)
	}
	return env.connectSimulated(ctx, info.Name)
}
