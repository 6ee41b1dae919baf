package desk

import (
	"context"
	"errors"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// SimulatedStore are the simulated cards that are kept in a directory.
type SimulatedStore struct {
	// Dir tells the directory; an error is one of Connect.
	Dir func() (string, error)
	// Wait is how long a card that is in use is waited for.
	Wait time.Duration
}

// Store is where the cards are kept.
func (s *SimulatedStore) Store() (*cardsim.Store, error) {
	dir, err := s.Dir()
	if err != nil {
		return nil, err
	}
	return cardsim.NewStore(dir), nil
}

// List lists the cards. Where there is no place for any, there are none.
func (s *SimulatedStore) List() ([]cardsim.Info, error) {
	store, err := s.Store()
	if err != nil {
		return nil, nil
	}
	return store.List()
}

// busyPoll is how often a simulated card is asked for that another process has.
const busyPoll = 50 * time.Millisecond

// Connect connects to a simulated card in this process.
func (s *SimulatedStore) Connect(ctx context.Context, name string) (iso7816.Connection, error) {
	store, err := s.Store()
	if err != nil {
		return nil, err
	}
	c, err := store.Open(name)
	for errors.Is(err, cardsim.ErrBusy) && s.Wait > 0 {
		select {
		case <-time.After(busyPoll):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
			return nil, SimulatedProblem(err, name)
		}
		c, err = store.Open(name)
	}
	if err != nil {
		return nil, SimulatedProblem(err, name)
	}
	return HoldSimulated(ctx, c)
}

// HoldSimulated connects to a card that is closed with the connection.
func HoldSimulated(ctx context.Context, c *cardsim.Card) (iso7816.Connection, error) {
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

// SimulatedProblem is an error of the store in the user's terms; nil for none.
func SimulatedProblem(err error, name string) error {
	what := "simulated card " + name
	var busy *cardsim.BusyError
	switch {
	case errors.As(err, &busy):
		p := problem.Wrap(problem.CardBusy, err, what+" is in use")
		if busy.PID != 0 {
			p.Because("Process %d holds the card.", busy.PID)
		} else {
			p.Because("Another process holds the card.")
		}
		return p.Advise(advice.Say("Use the virtual reader if that process has attached the card, otherwise wait until it ends."))
	case errors.Is(err, cardsim.ErrNotFound):
		return problem.Wrap(problem.NotFound, err, "there is no simulated card "+name).
			Because("A simulated card must be created before it can be used.").Advise(advice.Do(advice.ListSimulated))
	case errors.Is(err, cardsim.ErrName):
		return problem.Wrap(problem.Usage, err, "this cannot be the name of a simulated card")
	case errors.Is(err, cardsim.ErrOptions):
		return problem.Wrap(problem.Usage, err, what+" cannot be created")
	case errors.Is(err, cardsim.ErrState):
		return problem.Wrap(problem.Mismatch, err, what+" cannot be read").Advise(advice.Do(advice.ListSimulated))
	case err != nil:
		return problem.Wrap(problem.Failed, err, what)
	}
	return nil
}
