//go:build unix

package main

import (
	"context"
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/test/opensc"
)

// swapDesk is a desk with one reader, in which cards change places. Somebody sits
// at the terminal.
type swapDesk struct {
	*testDesk
	reader   *cardsim.Reader
	programs *opensc.Programs

	// blind says that the reader does not notice that a card was taken out, so
	// that only the card tells; empty that there is none in it.
	blind, empty bool
	// running is the program of OpenSC that runs now, during the one that ran when
	// the card was swapped.
	running, during string
}

// newSwapDesk is a desk on which put has to put a card.
func newSwapDesk(t *testing.T, vars ...string) *swapDesk {
	t.Helper()
	s := &swapDesk{testDesk: newDesk(t, append([]string{"CARDCTL_READER=" + opensc.Reader}, vars...)...)}
	s.programs = &opensc.Programs{Connect: func(ctx context.Context) (iso7816.Connection, error) {
		if s.empty {
			return nil, iso7816.ErrCardRemoved
		}
		return s.reader.Connect(ctx)
	}}
	s.testDesk.readers, s.testDesk.programs = s, s.programs.Tools().Run
	return s
}

// put has this card in the reader from now on, as if no other had been there.
func (s *swapDesk) put(card *cardsim.Card) {
	s.reader, s.blind, s.empty, s.running, s.during = cardsim.NewReader(card), false, false, "", ""
}

// watch finds out during which program of OpenSC the card is swapped. starts is called when
// one starts; nil is for nobody.
func (s *swapDesk) watch(starts func()) {
	reader := s.reader
	s.programs.Before = func(run runner.Program) {
		s.running = run.Name
		if starts != nil {
			starts()
		}
	}
	s.programs.After = func(run runner.Program) {
		if s.during == "" && len(reader.Stays()) > 1 && s.running != "" {
			s.during = run.Name
		}
		s.running = ""
	}
}

func (s *swapDesk) Readers(context.Context) ([]pcsc.Reader, error) {
	return []pcsc.Reader{{Name: opensc.Reader, CardPresent: !s.empty}}, nil
}

func (s *swapDesk) WaitForCard(context.Context, func(pcsc.Reader) bool) (pcsc.Reader, error) {
	return pcsc.Reader{}, errors.New("nobody waits for a card here")
}

func (*swapDesk) Close() error { return nil }

func (s *swapDesk) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	if s.empty {
		return nil, problem.New(problem.NotFound, "no card")
	}
	connection, err := s.reader.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &swapLine{connection, s}, nil
}

// swapLine is a connection to the reader.
type swapLine struct {
	iso7816.Connection
	desk *swapDesk
}

// Resume reaches the card that is there now where the reader is blind.
func (l *swapLine) Resume(ctx context.Context) error {
	err := l.Connection.Resume(ctx)
	if l.desk.blind && errors.Is(err, iso7816.ErrCardRemoved) && !l.desk.empty {
		l.Connection, err = l.desk.reader.Connect(ctx)
	}
	return err
}

var _ desk.Readers = (*swapDesk)(nil)
