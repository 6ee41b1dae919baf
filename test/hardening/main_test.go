//go:build cgo && linux

// Package hardening does to the built program what a desk should never see:
// modules and cards that mean ill, several programs on one card, and a look into
// the memory of a process for what should not be there any more.
package hardening

import (
	"fmt"
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) {
	cleanup, err := softhsm.Setup()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := stack.Main(m)
	cleanup()
	os.Exit(code)
}
