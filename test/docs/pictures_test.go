//go:build stack

package docs

import (
	"os/exec"
	"testing"
)

// TestPicturesAreUpToDate draws the pictures again and compares them.
func TestPicturesAreUpToDate(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "../../scripts/pictures.sh", "--check").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
