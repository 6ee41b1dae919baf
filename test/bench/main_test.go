//go:build stack

// Package bench counts what a job costs: APDUs and bytes on a simulated card
// behind the PC/SC daemon, for cardctl and beside it for OpenSC and GnuPG, and
// it measures start-up time and memory. It holds the limits that are promised.
package bench

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }
