package applet

import (
	"path/filepath"
	"testing"
)

// TestCardKeys has a card whose test keys are known by what it says, and one of
// which it is known because it was opened with them here.
func TestCardKeys(t *testing.T) {
	card, state := newFakeCard(t), t.TempDir()
	want := func(when string, want KnownKeys) {
		t.Helper()
		if got, err := CardKeys(t.Context(), card.access("", state)); err != nil || got != want {
			t.Errorf("%s: %q, %v", when, got, err)
		}
	}
	list := func(keys string) {
		t.Helper()
		if _, err := List(t.Context(), card.access(keys, state)); err != nil {
			t.Fatal(err)
		}
	}
	list(defaultKey)
	want("keys of the factory", KeysOfFactory)
	card.version = 0x20
	want("before it was opened", KeysNotKnown)
	list(defaultKey)
	want("opened with the test keys", KeysOfTests)
	card.count = 0
	list(defaultKey)
	if card.count > 6 {
		t.Errorf("the second time costs %d commands", card.count)
	}
	card.serial = 2
	want("another card", KeysNotKnown)
	card.serial, card.version = 1, 0x21
	want("other keys", KeysNotKnown)
	card.version = 0x20

	o := SetKeysOptions{Access: card.access(defaultKey, state), File: filepath.Join(t.TempDir(), "keys"), Generate: true}
	if _, err := SetKeys(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	want("after set-keys", KeysNotKnown)
	o = SetKeysOptions{Access: card.access(readKeys(t, o.File), state), File: filepath.Join(t.TempDir(), "keys"), NewDefault: true}
	if _, err := SetKeys(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	want("after set-keys to the test keys", KeysOfTests)

	keys := o.File
	o = SetKeysOptions{Access: card.access(defaultKey, ""), File: filepath.Join(t.TempDir(), "keys"), Generate: true}
	if _, err := SetKeys(t.Context(), o); err != nil {
		t.Fatalf("%s: %v", keys, err)
	}
	want("changed elsewhere", KeysOfTests)
	list(readKeys(t, o.File))
	want("opened with others", KeysNotKnown)
}
