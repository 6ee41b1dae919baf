package javacard

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// FuzzRememberedFailure reads arbitrary files of a card whose keys failed: a
// file that is there refuses the card, whatever stands in it.
func FuzzRememberedFailure(f *testing.F) {
	for _, seed := range []string{`{"card":"1","failedAt":"2026-01-02T03:04:05Z","reason":"wrong"}`, `{"failedAt":7}`, "", "null", "{"} {
		f.Add([]byte(seed))
	}
	g := &Guard{state: f.TempDir()}
	if err := g.refuse("1"); err != nil {
		f.Fatalf("nothing is remembered: %v", err)
	}
	if err := os.MkdirAll(g.dir(), 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(g.file("1"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := g.refuse("1"); !problem.Is(err, problem.PINBlocked) {
			t.Errorf("%q: %v", content, err)
		}
	})
}
