//go:build cgo

// Package conformance runs one suite over every family of cards and tokens: what
// the workflows may expect of a key.Key, whatever it is on. Nothing here knows
// which family it is working with but the table in families_test.go.
package conformance

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/softhsm"
)

func TestMain(m *testing.M) {
	os.Exit(softhsm.Main(m))
}
