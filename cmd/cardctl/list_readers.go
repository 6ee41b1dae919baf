package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
)

type listReadersOptions struct {
	wait bool
}

func newListReadersCmd(env *Env) *cobra.Command {
	var o listReadersOptions
	cmd := &cobra.Command{
		Use:   "list-readers",
		Short: "List readers, and what the cards in them are",
		Long: `List the readers, whether a card is in each, and what that card is. Simulated
cards come after the readers. --reader and --serial list what they name alone.`,
		Example: "  cardctl list-readers\n  cardctl list-readers --wait --timeout 1m\n  cardctl list-readers -o json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runListReaders(cmd.Context(), env, &o) },
	}
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait until a card is there")
	return cmd
}

type readerList struct {
	Readers []readerReport `json:"readers"`
}

type readerReport struct {
	Index       int             `json:"index"`
	Name        string          `json:"name"`
	CardPresent bool            `json:"cardPresent"`
	ATR         string          `json:"atr,omitempty"`
	Card        *inventory.Card `json:"card,omitempty"`
	// Problem is why a card that is there could not be looked at.
	Problem *readerProblem `json:"problem,omitempty"`
}

type readerProblem struct {
	Code    problem.Code `json:"code"`
	Message string       `json:"message"`
	Hint    string       `json:"hint"`
}

func runListReaders(ctx context.Context, env *Env, o *listReadersOptions) error {
	list, err := env.listReaders(ctx, o.wait)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return env.nothingListed()
	}
	return env.result("ReaderList", readerList{list}, func(s *output.Sheet) {
		for _, r := range list {
			r.text(s)
		}
	})
}

func (env *Env) listReaders(ctx context.Context, wait bool) ([]readerReport, error) {
	name, simulated := strings.CutPrefix(env.flags.reader, simulatedPrefix)
	var list []readerReport
	var unreachable error
	if !simulated {
		list, unreachable = env.listReal(ctx, wait)
		if unreachable != nil && (wait || !problem.Is(unreachable, problem.NotFound) && !problem.Is(unreachable, problem.NotSupported)) {
			return nil, unreachable
		}
	}
	if simulated || env.flags.reader == "" {
		found, err := env.listSimulated(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			r.Index = len(list)
			list = append(list, r)
		}
	}
	if unreachable != nil {
		if len(list) == 0 {
			return nil, unreachable
		}
		env.note("Simulated cards only: %s", env.classify(unreachable).Error())
	}
	return list, nil
}

// listReal lists the readers of PC/SC that --reader and --serial leave.
func (env *Env) listReal(ctx context.Context, wait bool) ([]readerReport, error) {
	from, err := env.openReaders(ctx, pcsc.Options{BusyTimeout: env.flags.timeout})
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }()
	if wait {
		if err := env.canWait(ctx, from); err != nil {
			return nil, err
		}
		if err := env.waitForCard(ctx, from); err != nil {
			return nil, err
		}
	}
	all, err := from.Readers(ctx)
	if err != nil {
		return nil, err
	}
	wanted := ""
	if env.flags.reader != "" {
		reader, err := chooseReader(all, env.flags.reader)
		if err != nil {
			return nil, err
		}
		wanted = reader.Name
	}
	var list []readerReport
	for i, r := range all {
		if wanted != "" && r.Name != wanted {
			continue
		}
		report := env.look(ctx, from, r)
		report.Index = i
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if env.isWanted(&report) {
			list = append(list, report)
		}
	}
	return list, nil
}

// canWait refuses a name that several readers have: no card would end that. One
// that none has may be of a reader that is plugged in later.
func (env *Env) canWait(ctx context.Context, from readers) error {
	name := env.flags.reader
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

// waitForCard waits until a card is where --reader says, and has the serial
// that --serial says. A card that was looked at is not looked at again while
// it stays where it is.
func (env *Env) waitForCard(ctx context.Context, from readers) error {
	env.progress.Show("waiting for a card")
	defer env.progress.Done()
	others := map[string]bool{}
	_, err := from.WaitForCard(ctx, func(r pcsc.Reader) bool {
		switch {
		case !r.CardPresent:
			delete(others, r.Name)
			return false
		case others[r.Name] || !env.isNamed(ctx, from, r):
			return false
		case env.flags.serial == "":
			return true
		}
		report := env.look(ctx, from, r)
		others[r.Name] = report.Problem == nil
		return env.isWanted(&report)
	})
	return err
}

// isNamed reports whether a reader is the one that --reader names now.
func (env *Env) isNamed(ctx context.Context, from readers, r pcsc.Reader) bool {
	if env.flags.reader == "" || r.Name == env.flags.reader {
		return true
	}
	list, err := from.Readers(ctx)
	if err != nil {
		return false
	}
	named, err := chooseReader(list, env.flags.reader)
	return err == nil && named.Name == r.Name
}

// isWanted reports whether a card is the one that --serial names.
func (env *Env) isWanted(r *readerReport) bool {
	return env.flags.serial == "" || r.Card != nil && hasSerial(r.Card.Serial, env.flags.serial)
}

// look says what is in a reader. What goes wrong with one card is no reason
// not to list the others.
func (env *Env) look(ctx context.Context, from readers, r pcsc.Reader) readerReport {
	report := readerReport{Name: r.Name, CardPresent: r.CardPresent, ATR: fmt.Sprintf("%X", r.ATR)}
	if !r.CardPresent {
		return report
	}
	connection, err := from.Connect(ctx, r.Name)
	return env.lookAt(ctx, report, connection, err)
}

// lookAt identifies the card at the end of a connection that was tried.
func (env *Env) lookAt(ctx context.Context, report readerReport, connection iso7816.Connection, err error) readerReport {
	var c *card
	if err == nil {
		report.ATR = fmt.Sprintf("%X", connection.ATR())
		c, err = env.open(report.Name, connection)
	}
	if err == nil {
		var found inventory.Card
		found, err = env.identifyCard(ctx, c)
		if err = errors.Join(err, c.close()); err == nil {
			report.Card = &found
		}
	}
	if err != nil {
		p := env.classify(err)
		hint := p.Try
		if hint == "" {
			hint = next(p.Code, env.command)
		}
		report.Problem = &readerProblem{p.Code, p.Error(), hint}
	}
	return report
}

// nothingListed says why the list is empty.
func (env *Env) nothingListed() error {
	if env.flags.serial != "" {
		return problem.New(problem.NotFound, "no card %s", env.flags.serial).
			Because("No card that is there has this serial.").Hint("cardctl list-readers")
	}
	return errNoReader()
}

func (r *readerReport) text(s *output.Sheet) {
	s.Heading(fmt.Sprintf("%d  %s", r.Index, r.Name))
	if !r.CardPresent {
		s.Field("card", "none")
		return
	}
	if r.Card != nil {
		s.Field("card", describeCard(r.Card))
		s.Field("applications", describeApplications(r.Card.Applications))
	}
	if r.Problem != nil {
		s.Field("card", r.Problem.Message)
		s.Field("try", r.Problem.Hint)
	}
	s.Field("ATR", r.ATR)
}

func describeCard(c *inventory.Card) string {
	text := strings.TrimSpace(c.Type + " " + c.Serial)
	if c.Label != "" {
		text += fmt.Sprintf(" %q", c.Label)
	}
	if c.State != "" {
		text += ", " + c.State
	}
	return text
}

func describeApplications(list []inventory.Application) string {
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = strings.TrimSpace(a.Name + " " + a.Version)
	}
	if len(names) == 0 {
		return "none that are known here"
	}
	return strings.Join(names, ", ")
}
