//go:build cgo && linux

// Package hardening treats the built program as no user should: hostile modules
// and cards, several programs on one card, signals, cards that are swapped. It
// also searches the memory of a process for secrets that should be gone.
// Ordinary use is left to the other tests.
package hardening

import (
	"fmt"
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run gives the tests the program, and a place for tokens.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hardening")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	config, err := softhsm.Configure(dir)
	if err == nil {
		err = os.Setenv(softhsm.Variable, config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return stack.Main(m)
}
