//go:build unix

package enroll

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestUnlockedAtOnce unlocks a file while another reader's program is being started, which
// has all open files until it begins.
func TestUnlockedAtOnce(t *testing.T) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_ = exec.Command("true").Run() // that it begins is enough
			}
		}
	}()
	path := filepath.Join(t.TempDir(), "key.lock")
	for range 20_000 {
		unlock, err := lock(path)
		if err != nil {
			t.Error(err)
			break
		}
		unlock()
	}
	close(done)
	<-ended
}
