//go:build !cgo && !windows

package pcsc

import (
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

func TestOpenWithoutPCSC(t *testing.T) {
	if _, err := Open(t.Context(), Options{}); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
}
