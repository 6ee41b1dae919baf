//go:build cgo

// Package conformance runs one suite over every family of cards and tokens:
// what the workflows may expect of a key.Key, whatever card it is on. Only the
// table in families_test.go knows the families. What only one family does is
// left to its own tests.
package conformance

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/softhsm"
)

func TestMain(m *testing.M) {
	os.Exit(softhsm.Main(m))
}
