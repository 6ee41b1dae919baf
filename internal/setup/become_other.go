//go:build !unix

package setup

import (
	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

func become(string) (string, error) {
	return "", problem.New(problem.NotSupported, "programs of other users cannot be set up on this system").
		Advise(advice.Repeat().Without(advice.User))
}
