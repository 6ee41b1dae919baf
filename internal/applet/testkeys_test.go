package applet

import (
	"path/filepath"
	"testing"

	"github.com/cardctl/cardctl/internal/family/javacard"
)

// TestCardKeys has a card whose test keys are known by what it says, and one of
// which it is known because it was opened with them here.
func TestCardKeys(t *testing.T) {
	card, state := newFakeCard(t), t.TempDir()
	want := func(when string, want javacard.KnownKeys) {
		t.Helper()
		line, err := card.access("", state).desk.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := javacard.CardKeys(t.Context(), line); err != nil || got != want {
			t.Errorf("%s: %q, %v", when, got, err)
		}
	}
	list := func(keys string) {
		t.Helper()
		if _, err := card.access(keys, state).list(t); err != nil {
			t.Fatal(err)
		}
	}
	list(defaultKey)
	want("keys of the factory", javacard.KeysOfFactory)
	card.version = 0x20
	want("before it was opened", javacard.KeysNotKnown)
	list(defaultKey)
	want("opened with the test keys", javacard.KeysOfTests)
	card.count = 0
	list(defaultKey)
	if card.count > 6 {
		t.Errorf("the second time costs %d commands", card.count)
	}
	card.serial = 2
	want("another card", javacard.KeysNotKnown)
	card.serial, card.version = 1, 0x21
	want("other keys", javacard.KeysNotKnown)
	card.version = 0x20

	o := SetKeysOptions{File: filepath.Join(t.TempDir(), "keys"), Generate: true}
	if _, err := card.access(defaultKey, state).setKeys(t, o); err != nil {
		t.Fatal(err)
	}
	want("after set-keys", javacard.KeysNotKnown)
	keys := o.File
	o = SetKeysOptions{File: filepath.Join(t.TempDir(), "keys"), NewDefault: true}
	if _, err := card.access(readKeys(t, keys), state).setKeys(t, o); err != nil {
		t.Fatal(err)
	}
	want("after set-keys to the test keys", javacard.KeysOfTests)

	o = SetKeysOptions{File: filepath.Join(t.TempDir(), "keys"), Generate: true}
	if _, err := card.access(defaultKey, "").setKeys(t, o); err != nil {
		t.Fatal(err)
	}
	want("changed elsewhere", javacard.KeysOfTests)
	list(readKeys(t, o.File))
	want("opened with others", javacard.KeysNotKnown)
}
