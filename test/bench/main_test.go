//go:build stack

// Package bench counts what a job costs: APDUs and bytes on a simulated card
// behind the PC/SC daemon, for cardctl and, for comparison, OpenSC and GnuPG.
// It also measures start-up time and memory, and fails above the promised
// limits. Whether the result of a job is right is left to the other tests.
package bench

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) {
	if told := os.Getenv(signingVariable); told != "" {
		os.Exit(signAll(told))
	}
	if told := os.Getenv(stationVariable); told != "" {
		os.Exit(runStation(told))
	}
	os.Exit(stack.Main(m))
}
