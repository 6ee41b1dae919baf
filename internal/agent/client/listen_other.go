//go:build !unix

package client

import (
	"net"

	"github.com/cardctl/cardctl/internal/problem"
)

// Listen needs the owners and modes of Unix.
func Listen(path string) (*net.UnixListener, error) {
	return nil, problem.New(problem.NotSupported, "listen on %s: the agent runs on Unix only", path)
}
