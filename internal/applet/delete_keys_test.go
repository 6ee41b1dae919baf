package applet

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

// TestKeysInUseStay: of two sets of card keys, the one that did not open the card is
// deleted, once that is confirmed.
func TestKeysInUseStay(t *testing.T) {
	r := simulated(t, "scp03-70").withTestKeys()
	first := filepath.Join(t.TempDir(), "first")
	if _, err := r.setKeys(t, SetKeysOptions{Generate: true, Version: 1, File: first}); err != nil {
		t.Fatal(err)
	}
	r.domain.DefaultKeys = false
	r.person.Ask = newFakeCard(t).access(strings.TrimSpace(readKeys(t, first)), "").person.Ask
	if _, err := r.setKeys(t, SetKeysOptions{Generate: true, Version: 0x30, Add: true, File: first + "2"}); err != nil {
		t.Fatal(err)
	}
	asked := ""
	confirming := r.confirmed(func(_ context.Context, q desk.Question) error { asked = q.Question.String(); return nil })
	for version, code := range map[byte]problem.Code{1: problem.Refused, 7: problem.NotFound} {
		if _, err := confirming.delete(t, DeleteOptions{KeyVersion: version}); !problem.Is(err, code) || asked != "" {
			t.Errorf("version %d: %v, asked %q", version, err, asked)
		}
	}
	done, err := confirming.delete(t, DeleteOptions{KeyVersion: 0x30})
	if err != nil || done.KeyVersion != 0x30 || !strings.Contains(asked, "Delete the card keys of version 48 from the Java card") {
		t.Errorf("%+v, %v, asked %q", done, err, asked)
	}
	if _, err := confirming.delete(t, DeleteOptions{KeyVersion: 0x30}); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
	if _, err := r.list(t); err != nil {
		t.Error(err)
	}
}
