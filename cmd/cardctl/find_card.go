package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
)

// findCard connects to the card that --reader and --serial name, or to the
// only one there is.
func (env *Env) findCard(ctx context.Context) (*card, error) {
	if name, simulated := strings.CutPrefix(env.flags.reader, simulatedPrefix); simulated {
		return env.findSimulated(ctx, name)
	}
	pcscReaders, err := env.openReaders(ctx, pcsc.Options{BusyTimeout: env.flags.timeout})
	if err != nil {
		return nil, err
	}
	defer func() { _ = pcscReaders.Close() }()
	list, err := pcscReaders.Readers(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		env.there = append(env.there, r.Name)
	}
	if env.flags.reader != "" {
		reader, err := chooseReader(list, env.flags.reader)
		if err != nil {
			return nil, err
		}
		list = []pcsc.Reader{reader}
	}
	if env.flags.serial != "" {
		return env.findSerial(ctx, pcscReaders, list)
	}
	reader, err := env.onlyCard(list)
	if err != nil {
		return nil, err
	}
	connection, err := pcscReaders.Connect(ctx, reader.Name)
	if err != nil {
		return nil, err
	}
	return env.open(reader.Name, connection)
}

func (env *Env) findSimulated(ctx context.Context, name string) (*card, error) {
	connection, err := env.connectSimulated(ctx, name)
	if err != nil {
		return nil, err
	}
	c, err := env.open(simulatedPrefix+name, connection)
	if err != nil || env.flags.serial == "" {
		return c, err
	}
	found, err := env.identifyCard(ctx, c)
	if err == nil && !hasSerial(found.Serial, env.flags.serial) {
		err = problem.New(problem.NotFound, "the card in %s is not %s", c.Reader, env.flags.serial).
			Because("Its serial is %s.", found.Serial)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// chooseReader finds the reader that a user means: by its index, by its name,
// by a part of it that no other has.
func chooseReader(list []pcsc.Reader, wanted string) (pcsc.Reader, error) {
	if index, err := strconv.Atoi(wanted); err == nil {
		if index < 0 || index >= len(list) {
			return pcsc.Reader{}, problem.New(problem.NotFound, "there is no reader %d", index).Because("%s", listed(list))
		}
		return list[index], nil
	}
	matching := readersCalled(list, wanted)
	switch len(matching) {
	case 1:
		return matching[0], nil
	case 0:
		return pcsc.Reader{}, problem.New(problem.NotFound, "there is no reader %q", wanted).Because("%s", listed(list))
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
		Because("%s", listed(matching)).Hint("cardctl list-readers")
}

// onlyCard finds the card that is meant where nothing names one.
func (env *Env) onlyCard(list []pcsc.Reader) (pcsc.Reader, error) {
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
		return pcsc.Reader{}, problem.New(problem.NotFound, "several cards are there, and none is named").
			Because("%s", listed(present)).
			Hint("--reader %s", quoted(present[0].Name))
	case len(list) == 1:
		return pcsc.Reader{}, problem.New(problem.NotFound, "no card").
			Because("No card is in %s.", list[0].Name).Hint("cardctl list-readers --wait")
	case len(list) > 1:
		return pcsc.Reader{}, problem.New(problem.NotFound, "no card").
			Because("No card is in any of the %d readers.", len(list)).Hint("cardctl list-readers --wait")
	}
	return pcsc.Reader{}, errNoReader()
}

func errNoReader() error {
	return problem.New(problem.NotFound, "no reader").
		Because("No card reader is connected, or its driver is missing.").Hint("cardctl doctor")
}

// findSerial looks at every card for the one with the serial.
func (env *Env) findSerial(ctx context.Context, from readers, list []pcsc.Reader) (*card, error) {
	var matching *card
	var seen []string
	var busy error
	for _, r := range list {
		if !r.CardPresent {
			continue
		}
		c, serial, err := env.identify(ctx, from, r)
		switch {
		case problem.Is(err, problem.CardBusy):
			busy = err
			continue
		case err != nil && ctx.Err() != nil:
			return nil, errors.Join(ctx.Err(), closeAll(matching))
		case err != nil:
			env.detail("%s: %v", r.Name, err)
			continue
		}
		seen = append(seen, fmt.Sprintf("%s in %s", serial, r.Name))
		switch {
		case !hasSerial(serial, env.flags.serial):
			err = c.close()
		case matching != nil:
			err = problem.New(problem.NotFound, "the serials of several cards end in %s", env.flags.serial).
				Because("There are %s.", strings.Join(seen, ", "))
			err = errors.Join(err, c.close())
		default:
			matching = c
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
		return nil, problem.New(problem.NotFound, "no card %s", env.flags.serial).Because("No card is there that has a serial.")
	}
	return nil, problem.New(problem.NotFound, "no card %s", env.flags.serial).Because("There are %s.", strings.Join(seen, ", "))
}

func (env *Env) identify(ctx context.Context, from readers, r pcsc.Reader) (*card, string, error) {
	connection, err := from.Connect(ctx, r.Name)
	if err != nil {
		return nil, "", err
	}
	c, err := env.open(r.Name, connection)
	if err != nil {
		return nil, "", err
	}
	found, err := env.identifyCard(ctx, c)
	if err != nil {
		return nil, "", errors.Join(err, c.close())
	}
	env.there = append(env.there, found.Serial)
	return c, found.Serial, nil
}

func closeAll(c *card) error {
	if c == nil {
		return nil
	}
	return c.close()
}

// hasSerial compares as users type: in any case, with or without separators,
// and the ending alone.
func hasSerial(serial, wanted string) bool {
	plain := strings.NewReplacer(" ", "", ":", "", "-", "").Replace
	return serial != "" && strings.HasSuffix(strings.ToUpper(plain(serial)), strings.ToUpper(plain(wanted)))
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
	return "There are " + strings.Join(names, ", ") + "."
}
