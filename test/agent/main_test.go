//go:build stack

// Package agent_test runs the programs of others against the agent's doors.
package agent_test

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(cardsVariable); file != "" {
		os.Exit(serveGnuPG(file))
	}
	os.Exit(stack.Main(m))
}
