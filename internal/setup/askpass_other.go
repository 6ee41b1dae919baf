//go:build !unix

package setup

import (
	"context"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func (j *job) withPIN(_ context.Context, _ []string, name string, _ ...string) (string, error) {
	return "", problem.New(problem.NotSupported, "cardctl cannot give %s a PIN on this system", name)
}

func (g *gnupgTrial) withPinentry(*secret.Bytes, func() error) error {
	return problem.New(problem.NotSupported, "cardctl cannot give GnuPG a PIN on this system")
}
