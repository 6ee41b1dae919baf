//go:build stack

// Package provision runs plans for cards in the readers of the PC/SC daemon: the process
// is killed at each step, cards are removed and swapped, and rows are left over. What each
// step does to a card is left to other tests.
package provision

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }
