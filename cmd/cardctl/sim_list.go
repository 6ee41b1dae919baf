package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/simulate"
	"github.com/cardctl/cardctl/internal/typed"
)

func newSimListCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the simulated cards",
		Example: "  cardctl sim list",
		Args:    typed.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return runSimList(env) },
	}
}

func runSimList(env *session) error {
	list, err := simulate.List(env.store())
	if err != nil {
		return err
	}
	if len(list) == 0 {
		env.note("No simulated card exists. To create one: cardctl sim create NAME")
	}
	document := struct {
		Cards []simulate.Card `json:"cards"`
	}{list}
	return env.result("SimulatedCardList", document, func(s *output.Sheet) {
		for _, c := range list {
			s.Heading(c.Reader)
			s.Field("serial", c.Serial)
			s.Field("profile", c.Profile)
			s.Field("applications", strings.Join(c.Applications, ", "))
			if c.Busy {
				s.Field("in use", fmt.Sprintf("by process %d", c.PID))
			}
			s.Field("problem", c.Problem)
		}
	})
}
