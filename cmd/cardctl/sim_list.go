package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/output"
)

func newSimListCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the simulated cards",
		Example: "  cardctl sim list",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return runSimList(env) },
	}
}

func runSimList(env *Env) error {
	store, err := env.simulatedCards()
	if err != nil {
		return err
	}
	infos, err := store.List()
	if err != nil {
		return err
	}
	list := make([]simulatedCard, len(infos))
	for i, info := range infos {
		list[i] = describeSimulated(info)
	}
	if len(list) == 0 {
		env.note("There is no simulated card. Make one: cardctl sim create NAME")
	}
	document := struct {
		Cards []simulatedCard `json:"cards"`
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
