package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

type listReadersOptions struct {
	wait bool
}

func newListReadersCmd(env *session) *cobra.Command {
	var o listReadersOptions
	cmd := &cobra.Command{
		Use:   "list-readers",
		Short: "List readers and the cards in them",
		Long: `List the readers and the card in each, if any. Simulated cards come last.
--reader and --serial restrict the list to the reader or card they name.`,
		Example: "  cardctl list-readers\n  cardctl list-readers --wait --timeout 1m\n  cardctl list-readers -o json",
		Args:    typed.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runListReaders(cmd.Context(), env, &o) },
	}
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait until a card is inserted")
	return cmd
}

type readerList struct {
	Readers []readerReport `json:"readers"`
}

type readerReport struct {
	inventory.Reader
	// Problem is why a card that is there could not be looked at.
	Problem *readerProblem `json:"problem,omitempty"`
}

type readerProblem struct {
	Code    problem.Code `json:"code"`
	Message string       `json:"message"`
	Hint    string       `json:"hint"`
}

func runListReaders(ctx context.Context, env *session, o *listReadersOptions) error {
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

func (env *session) listReaders(ctx context.Context, wait bool) ([]readerReport, error) {
	if wait {
		env.progress.Show("waiting for a card")
		defer env.progress.Done()
	}
	found, unreachable, err := inventory.Readers(ctx, env.desk(), wait)
	if err != nil {
		return nil, err
	}
	if unreachable != nil {
		env.note("Simulated cards only: %s", env.classify(unreachable).Error())
	}
	var list []readerReport
	for _, r := range found {
		list = append(list, readerReport{r, env.readerProblem(r.Err)})
	}
	return list, nil
}

// readerProblem is why a card could not be looked at; nil for none.
func (env *session) readerProblem(err error) *readerProblem {
	if err == nil {
		return nil
	}
	p := env.classify(err)
	return &readerProblem{p.Code, p.Error(), env.line.Worded(p.Next, env.next(p.Code, err))}
}

// nothingListed says why the list is empty.
func (env *session) nothingListed() error {
	if env.flags.serial != "" {
		return problem.New(problem.NotFound, "no connected card has the serial %s", env.flags.serial).
			Advise(advice.Repeat().Without(advice.Serial))
	}
	return desk.NoReader()
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
		return "none that cardctl supports"
	}
	return strings.Join(names, ", ")
}
