//go:build stack

// Package provision runs the scripts for CI jobs, scripts/provision-*.sh, with
// a failure at each of their steps. The commands that they call are left to
// other tests.
package provision

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }
