package desk

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
)

// Open opens a line to the card that is meant, or to the only one there is: the one
// that was kept, if there is one.
func (d *Desk) Open(ctx context.Context) (*Line, error) {
	if l := d.Kept.take(d); l != nil {
		return l, nil
	}
	if strings.HasPrefix(d.Meant.Reader, SimulatedPrefix) {
		return d.openSimulated(ctx)
	}
	readers, err := d.OpenReaders(ctx, pcsc.Options{BusyTimeout: d.Timeout})
	if err != nil {
		return nil, err
	}
	defer func() { _ = readers.Close() }()
	list, err := readers.Readers(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		d.Seen.add(r.Name)
	}
	if d.Meant.Reader != "" {
		reader, err := chooseReader(list, d.Meant.Reader)
		if err != nil {
			return nil, err
		}
		list = []pcsc.Reader{reader}
	}
	if d.Meant.Serial != "" {
		return d.findSerial(ctx, readers, list)
	}
	reader, err := onlyCard(list)
	if err != nil {
		return nil, err
	}
	return d.line(ctx, readers, reader.Name)
}

// OpenIn opens a line to the card in the reader of this name.
func (d *Desk) OpenIn(ctx context.Context, reader string) (*Line, error) {
	l := &Line{desk: d, reader: reader}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	d.Seen.add(reader) // what was typed may be something else in the place of a name
	return l, nil
}

func (d *Desk) line(ctx context.Context, readers Readers, name string) (*Line, error) {
	connection, err := readers.Connect(ctx, name)
	if err != nil {
		return nil, err
	}
	l := &Line{desk: d, reader: name}
	l.use(connection)
	return l, nil
}

// connect connects to the card in the reader of this name.
func (d *Desk) connect(ctx context.Context, reader string) (iso7816.Connection, error) {
	if name, simulated := strings.CutPrefix(reader, SimulatedPrefix); simulated {
		return d.Simulated.Connect(ctx, name)
	}
	readers, err := d.OpenReaders(ctx, pcsc.Options{BusyTimeout: d.Timeout})
	if err != nil {
		return nil, err
	}
	defer func() { _ = readers.Close() }()
	return readers.Connect(ctx, reader)
}

// present reports whether a card is in the reader now.
func (d *Desk) present(ctx context.Context, reader string) (bool, error) {
	connection, err := d.connect(ctx, reader)
	if problem.Is(err, problem.CardBusy) {
		return true, nil // another program has it
	}
	if err != nil {
		return false, err
	}
	return true, connection.Close(false)
}

func (d *Desk) openSimulated(ctx context.Context) (*Line, error) {
	l, err := d.OpenIn(ctx, d.Meant.Reader)
	if err != nil || d.Meant.Serial == "" {
		return l, err
	}
	serials, err := d.identify(ctx, l)
	if err == nil && !HasSerial(serials, d.Meant.Serial) {
		err = problem.New(problem.NotFound, "the card in %s is not %s", l.reader, d.Meant.Serial).
			Because("The serial of that card is %s.", strings.Join(serials, ", ")).Advise(advice.Do(advice.ListReaders))
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// ReaderMeant is the name of the reader that is meant, with or without a card; empty if none
// is named.
func (d *Desk) ReaderMeant(ctx context.Context) (name string, err error) {
	if d.Meant.Reader == "" {
		return "", nil
	}
	readers, err := d.OpenReaders(ctx, pcsc.Options{BusyTimeout: d.Timeout})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, readers.Close()) }()
	list, err := readers.Readers(ctx)
	if err != nil {
		return "", err
	}
	reader, err := chooseReader(list, d.Meant.Reader)
	return reader.Name, err
}

// chooseReader finds the reader that a user means: by its index, by its name,
// by a part of it that no other has.
func chooseReader(list []pcsc.Reader, wanted string) (pcsc.Reader, error) {
	if index, err := strconv.Atoi(wanted); err == nil {
		if index < 0 || index >= len(list) {
			return pcsc.Reader{}, problem.New(problem.NotFound, "there is no reader %d", index).
				Because("%s", listed(list)).Advise(advice.Do(advice.ListReaders))
		}
		return list[index], nil
	}
	matching := readersCalled(list, wanted)
	switch len(matching) {
	case 1:
		return matching[0], nil
	case 0:
		return pcsc.Reader{}, problem.New(problem.NotFound, "no reader is called %q", wanted).
			Because("%s", listed(list)).Advise(advice.Do(advice.ListReaders))
	}
	return pcsc.Reader{}, severalReaders(matching, wanted)
}

// readersCalled are the readers with this name, or else with it in theirs.
func readersCalled(list []pcsc.Reader, name string) []pcsc.Reader {
	var matching []pcsc.Reader
	for _, r := range list {
		if r.Name == name {
			return []pcsc.Reader{r}
		}
		if strings.Contains(strings.ToLower(r.Name), strings.ToLower(name)) {
			matching = append(matching, r)
		}
	}
	return matching
}

func severalReaders(matching []pcsc.Reader, name string) error {
	return problem.New(problem.NotFound, "several readers are called %q", name).
		Because("%s", listed(matching)).Advise(advice.Do(advice.ListReaders))
}

// onlyCard finds the card that is meant where nothing names one.
func onlyCard(list []pcsc.Reader) (pcsc.Reader, error) {
	var present []pcsc.Reader
	for _, r := range list {
		if r.CardPresent {
			present = append(present, r)
		}
	}
	switch {
	case len(present) == 1:
		return present[0], nil
	case len(present) > 1:
		return pcsc.Reader{}, problem.New(problem.NotFound, "several cards are connected, and none was selected").
			Because("%s", listed(present)).Advise(advice.Do(advice.ListReaders))
	case len(list) == 1:
		return pcsc.Reader{}, problem.New(problem.NotFound, "no card").
			Because("There is no card in %s.", list[0].Name).Advise(advice.Do(advice.ListReaders, advice.Switch(advice.Wait)))
	case len(list) > 1:
		return pcsc.Reader{}, problem.New(problem.NotFound, "no card").
			Because("There is no card in any of the %d readers.", len(list)).Advise(advice.Do(advice.ListReaders, advice.Switch(advice.Wait)))
	}
	return pcsc.Reader{}, NoReader()
}

// NoReader is the error of a desk without a reader.
func NoReader() error {
	return problem.New(problem.NotFound, "no reader").
		Because("No card reader is connected, or its driver is missing.").Advise(advice.Do(advice.Diagnose))
}

// listed names readers by index as list-readers does.
func listed(list []pcsc.Reader) string {
	if len(list) == 0 {
		return "No card reader is connected."
	}
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = strconv.Quote(r.Name)
	}
	return "Readers: " + strings.Join(names, ", ") + "."
}

// findSerial looks at every card for the one with the serial.
func (d *Desk) findSerial(ctx context.Context, from Readers, list []pcsc.Reader) (*Line, error) {
	var matching *Line
	var seen []string
	var busy error
	for _, r := range list {
		if !r.CardPresent {
			continue
		}
		l, serials, err := d.look(ctx, from, r)
		switch {
		case problem.Is(err, problem.CardBusy):
			busy = err
			continue
		case err != nil && ctx.Err() != nil:
			return nil, errors.Join(ctx.Err(), closeAll(matching))
		case err != nil:
			d.Tell("%s: %v", r.Name, err)
			continue
		}
		seen = append(seen, fmt.Sprintf("%s in %s", strings.Join(serials, ", "), r.Name))
		switch {
		case !HasSerial(serials, d.Meant.Serial):
			err = l.Close()
		case matching != nil:
			err = problem.New(problem.NotFound, "the serials of several cards end in %s", d.Meant.Serial).
				Because("Cards: %s.", strings.Join(seen, ", ")).Advise(advice.Do(advice.ListReaders))
			err = errors.Join(err, l.Close())
		default:
			matching = l
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(matching))
		}
	}
	switch {
	case matching != nil:
		return matching, nil
	case busy != nil:
		return nil, busy
	case len(seen) == 0:
		return nil, problem.New(problem.NotFound, "no connected card has the serial %s", d.Meant.Serial).
			Because("None of the connected cards reports a serial.").Advise(advice.Do(advice.ListReaders))
	}
	return nil, problem.New(problem.NotFound, "no connected card has the serial %s", d.Meant.Serial).
		Because("Cards: %s.", strings.Join(seen, ", ")).Advise(advice.Do(advice.ListReaders))
}

func (d *Desk) look(ctx context.Context, from Readers, r pcsc.Reader) (*Line, []string, error) {
	l, err := d.line(ctx, from, r.Name)
	if err != nil {
		return nil, nil, err
	}
	serials, err := d.identify(ctx, l)
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, serials, nil
}

func (d *Desk) identify(ctx context.Context, l *Line) ([]string, error) {
	serials, err := d.Identify(ctx, l)
	for _, serial := range serials {
		d.Seen.add(serial)
	}
	return serials, err
}

func closeAll(l *Line) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// HasSerial compares as users type: in any case, with or without separators,
// and the ending alone.
func HasSerial(serials []string, wanted string) bool {
	plain := strings.NewReplacer(" ", "", ":", "", "-", "").Replace
	for _, serial := range serials {
		if serial != "" && strings.HasSuffix(strings.ToUpper(plain(serial)), strings.ToUpper(plain(wanted))) {
			return true
		}
	}
	return false
}
