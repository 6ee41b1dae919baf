//go:build stack

// Package provision runs the scripts that a CI job calls, scripts/provision-*.sh,
// with a failure at each of their steps.
package provision

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }
