//go:build stack

// Package judges lets programs that know nothing about cardctl judge its work
// on a card: GnuPG, OpenSC and OpenSSL, through the PC/SC daemon. cardctl also
// judges what they wrote. What cardctl prints is left to its own tests.
package judges

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }
