//go:build stack

// Package judges lets programs that know nothing of cardctl judge what it
// wrote to a card and what it made with one: GnuPG, OpenSC and OpenSSL, through
// the PC/SC daemon, and cardctl judges what they wrote.
package judges

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }
