package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
)

// programs tells which programs here can use cards, for whom they were set up, and what
// they lack.
func (e *examination) programs(context.Context) Check {
	var told, missing []string
	for _, p := range e.probe.Programs() {
		state := "not set up by cardctl"
		if len(p.SetUp) > 0 {
			state = "set up for: " + strings.Join(p.SetUp, ", ")
		}
		if len(p.Lacks) > 0 {
			state += "; lacks " + strings.Join(p.Lacks, ", ")
		}
		if p.Limits != "" {
			state += "; " + p.Limits
		}
		told, missing = append(told, p.Name+" ("+state+")"), append(missing, p.Lacks...)
	}
	if len(told) == 0 {
		return Check{Name: "programs", Result: Skip, Detail: "no program that cardctl can set up is installed"}
	}
	check := Check{Name: "programs", Result: Pass, Detail: strings.Join(told, "; ")}
	if len(missing) > 0 {
		slices.Sort(missing) // several programs may lack the same
		check.Result, check.Next = Warn, advice.Run(append([]string{"apt", "install"}, slices.Compact(missing)...)...)
	}
	return check
}
