//go:build !cgo && !windows

package pcsc

import (
	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// establish says that this build cannot: PC/SC is a C library here.
func establish() (system, error) {
	return nil, problem.New(problem.NotSupported, "no card readers").
		Because("This cardctl was built without PC/SC (CGO_ENABLED=0), and works with simulated cards only.").
		Advise(advice.Do(advice.ListSimulated))
}
