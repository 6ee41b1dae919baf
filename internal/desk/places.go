package desk

import (
	"context"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
)

// Place is a reader, or that of a simulated card.
type Place struct {
	Index       int
	Name        string
	CardPresent bool
	ATR         []byte
	// Err is why its card cannot be looked at, where that is known before.
	Err error
}

// Places are the readers that Meant.Reader leaves, and after them the simulated
// cards. With wait, it waits for a place of which wanted is true; a card that was
// looked at is not looked at again while it stays where it is. unreachable is why
// the readers of PC/SC could not be listed, where there are simulated cards.
func (d *Desk) Places(ctx context.Context, wait bool, wanted func(Place) (is, certain bool)) (list []Place, unreachable, err error) {
	name, simulated := strings.CutPrefix(d.Meant.Reader, SimulatedPrefix)
	if !simulated {
		list, unreachable = d.real(ctx, wait, wanted)
		if unreachable != nil && (wait || !problem.Is(unreachable, problem.NotFound) && !problem.Is(unreachable, problem.NotSupported)) {
			return nil, nil, unreachable
		}
	}
	if simulated || d.Meant.Reader == "" {
		found, err := d.simulatedPlaces(name)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range found {
			p.Index = len(list)
			list = append(list, p)
		}
	}
	if unreachable != nil && len(list) == 0 {
		return nil, nil, unreachable
	}
	return list, unreachable, nil
}

// real lists the readers of PC/SC.
func (d *Desk) real(ctx context.Context, wait bool, wanted func(Place) (is, certain bool)) ([]Place, error) {
	from, err := d.OpenReaders(ctx, pcsc.Options{BusyTimeout: d.Timeout})
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }()
	if wait {
		if err := d.canWait(ctx, from); err != nil {
			return nil, err
		}
		if err := d.waitFor(ctx, from, wanted); err != nil {
			return nil, err
		}
	}
	all, err := from.Readers(ctx)
	if err != nil {
		return nil, err
	}
	only := ""
	if d.Meant.Reader != "" {
		reader, err := chooseReader(all, d.Meant.Reader)
		if err != nil {
			return nil, err
		}
		only = reader.Name
	}
	var list []Place
	for i, r := range all {
		if only == "" || r.Name == only {
			list = append(list, placeOf(i, r))
		}
	}
	return list, nil
}

func placeOf(index int, r pcsc.Reader) Place {
	return Place{Index: index, Name: r.Name, CardPresent: r.CardPresent, ATR: r.ATR}
}

// canWait refuses a name that several readers have: no card would end that. One
// that none has may be of a reader that is plugged in later.
func (d *Desk) canWait(ctx context.Context, from Readers) error {
	name := d.Meant.Reader
	if _, err := strconv.Atoi(name); err == nil || name == "" {
		return nil
	}
	list, err := from.Readers(ctx)
	if err != nil {
		return err
	}
	if matching := readersCalled(list, name); len(matching) > 1 {
		return severalReaders(matching, name)
	}
	return nil
}

// waitFor waits until a card is where Meant.Reader says, and is the one that
// Meant.Serial names.
func (d *Desk) waitFor(ctx context.Context, from Readers, wanted func(Place) (is, certain bool)) error {
	others := map[string]bool{}
	_, err := from.WaitForCard(ctx, func(r pcsc.Reader) bool {
		switch {
		case !r.CardPresent:
			delete(others, r.Name)
			return false
		case others[r.Name] || !d.isNamed(ctx, from, r):
			return false
		case d.Meant.Serial == "":
			return true
		}
		is, certain := wanted(placeOf(0, r))
		others[r.Name] = certain
		return is
	})
	return err
}

// isNamed reports whether a reader is the one that Meant.Reader names now.
func (d *Desk) isNamed(ctx context.Context, from Readers, r pcsc.Reader) bool {
	if d.Meant.Reader == "" || r.Name == d.Meant.Reader {
		return true
	}
	list, err := from.Readers(ctx)
	if err != nil {
		return false
	}
	named, err := chooseReader(list, d.Meant.Reader)
	return err == nil && named.Name == r.Name
}

// simulatedPlaces lists all simulated cards, or the one with a name.
func (d *Desk) simulatedPlaces(name string) ([]Place, error) {
	cards, err := d.Simulated.List()
	if err != nil {
		return nil, err
	}
	var list []Place
	for _, info := range cards {
		if name == "" || info.Name == name {
			list = append(list, Place{Name: SimulatedPrefix + info.Name, CardPresent: true, Err: d.lookable(info)})
		}
	}
	if name != "" && len(list) == 0 {
		return nil, SimulatedProblem(cardsim.ErrNotFound, name)
	}
	return list, nil
}

// lookable is why a simulated card cannot be identified now: one that is in use
// is left alone.
func (d *Desk) lookable(info cardsim.Info) error {
	if info.Busy {
		return SimulatedProblem(&cardsim.BusyError{Name: info.Name, PID: info.PID}, info.Name)
	}
	return SimulatedProblem(info.Err, info.Name)
}
