//go:build stack

// Package pkcs15 tries PKCS#15 cards through the PC/SC daemon: OpenSC's
// programs must be able to use what cardctl's packages make, and the other way
// round. Cards without the daemon are left to test/opensc.
package pkcs15

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }
