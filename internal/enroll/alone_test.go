package enroll

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

// aloneIn is where the other process of TestOnlyOneEnrols has its records.
const aloneIn = "CARDCTL_TEST_ALONE"

// TestOnlyOneEnrols a key at a time: another process is kept out while the first lives, and
// no longer.
func TestOnlyOneEnrols(t *testing.T) {
	order := func(dir, serial, ref string) *Order {
		return &Order{Serial: serial, Ref: ref, StateDir: func() (string, error) { return dir, nil }}
	}
	if dir := os.Getenv(aloneIn); dir != "" {
		_, err := alone(order(dir, "1", "OPENPGP.3"))
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, "locked"), nil, 0o600))
		time.Sleep(time.Minute)
		return
	}
	dir := t.TempDir()
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOnlyOneEnrols$")
	other.Env = append(os.Environ(), aloneIn+"="+dir)
	check(t, other.Start())
	for range 600 {
		if _, err := os.Stat(filepath.Join(dir, "locked")); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	_, err := alone(order(dir, "1", "OPENPGP.3"))
	is(t, err, problem.CardBusy, "another cardctl")
	for _, free := range []*Order{order(dir, "1", "OPENPGP.1"), order(dir, "2", "OPENPGP.3")} {
		unlock, err := alone(free)
		check(t, err)
		unlock()
	}
	check(t, other.Process.Kill())
	_ = other.Wait() // it was killed
	unlock, err := alone(order(dir, "1", "OPENPGP.3"))
	check(t, err)
	unlock()
}
