//go:build stack

// Package pkcs15 tries PKCS#15 cards through the PC/SC daemon: what cardctl's
// packages make must be good for OpenSC's programs, and what these make good
// for cardctl.
package pkcs15

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }
