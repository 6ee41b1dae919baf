package main

import (
	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
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
		Name: info.Name, Reader: desk.SimulatedPrefix + info.Name,
		Serial: info.Serial, Profile: info.Profile, Applications: info.Applications,
		Busy: info.Busy, PID: info.PID,
	}
	if info.Err != nil {
		c.Problem = info.Err.Error()
	}
	return c
}

// simulatedCards is where simulated cards are kept.
func (env *Env) simulatedCards() (*cardsim.Store, error) { return env.store().Store() }
