package applet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestSetKeys(t *testing.T) {
	const fresh = "A0A1A2A3A4A5A6A7A8A9AAABACADAEAF:B0B1B2B3B4B5B6B7B8B9BABBBCBDBEBF:C0C1C2C3C4C5C6C7C8C9CACBCCCDCECF"
	card, dir := newFakeCard(t), t.TempDir()
	file := filepath.Join(dir, "keys")
	r, err := card.access(fresh, "").withTestKeys().setKeys(t, SetKeysOptions{File: file})
	if err != nil || r.Version != 1 || card.version != 1 || r.Cipher != "DES" || r.Bits != 128 {
		t.Fatalf("%+v, %v", r, err)
	}
	text, err := os.ReadFile(file)
	info, _ := os.Stat(file)
	if err != nil || strings.TrimSpace(string(text)) != fresh || info.Mode().Perm() != 0o600 {
		t.Errorf("%s %v %v", text, info.Mode(), err)
	}
	if _, err := card.access(fresh, "").list(t); err != nil {
		t.Error(err)
	}
	o := SetKeysOptions{File: filepath.Join(dir, "generated"), Generate: true}
	if r, err = card.access(fresh, "").setKeys(t, o); err != nil || r.Version != 1 {
		t.Fatal(err)
	}
	text, _ = os.ReadFile(o.File)
	if _, err := card.access(string(text), "").list(t); err != nil {
		t.Error(err)
	}
	o = SetKeysOptions{File: filepath.Join(dir, "back"), NewDefault: true, Version: 2}
	if r, err = card.access(string(text), "").setKeys(t, o); err != nil || r.Version != 2 || r.CheckValues[0] != "8BAF47" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestSetKeysRefusals(t *testing.T) {
	card, dir := newFakeCard(t), t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		o    SetKeysOptions
		code problem.Code
	}{
		"no file":              {SetKeysOptions{Generate: true}, problem.Usage},
		"a file that is there": {SetKeysOptions{Generate: true, File: there}, problem.Refused},
		"no directory":         {SetKeysOptions{Generate: true, File: filepath.Join(dir, "none", "keys")}, problem.Failed},
		"not confirmed":        {SetKeysOptions{Generate: true, File: filepath.Join(dir, "a")}, problem.Refused},
		"keys of 24 bytes":     {SetKeysOptions{File: filepath.Join(dir, "b")}, problem.Usage},
	} {
		r := card.access(defaultKey+defaultKey[:16], "").withTestKeys()
		if name == "not confirmed" {
			r = r.confirmed(func(context.Context, desk.Question) error { return problem.New(problem.Refused, "no") })
		}
		_, err := r.setKeys(t, test.o)
		if !problem.Is(err, test.code) || strings.Contains(strings.Join(card.log, " "), "D8") {
			t.Errorf("%s: %v", name, err)
		}
	}
	card.refuse[0xD8] = 0x6A80
	o := SetKeysOptions{File: filepath.Join(dir, "c"), Generate: true}
	_, err := card.access(defaultKey, "").setKeys(t, o)
	if err == nil || !strings.Contains(err.Error(), "has its old keys") {
		t.Error(err)
	}
	if _, err := os.Stat(o.File); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("keys of no card stay: %v", err)
	}
}

// TestPulledWhileKeysChange sees that whatever keys the card has after it was
// pulled are the old ones or in the file.
func TestPulledWhileKeysChange(t *testing.T) {
	for at := 0; ; at++ {
		card := newFakeCard(t)
		file := filepath.Join(t.TempDir(), "keys")
		r := card.access(defaultKey, "")
		card.pulled = at
		_, err := r.setKeys(t, SetKeysOptions{File: file, Generate: true})
		card.pulled = -1
		if err == nil {
			return
		}
		if !problem.Is(err, problem.CardRemoved) {
			t.Fatalf("pulled at %d: %v", at, err)
		}
		keys := defaultKey
		if card.version != 0xFF {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("pulled at %d: the card has new keys, and no file: %v", at, err)
			}
			keys = string(text)
		}
		if _, err := card.access(keys, "").list(t); err != nil {
			t.Errorf("pulled at %d: %v", at, err)
		}
	}
}

// readKeys is the content of a file of keys.
func readKeys(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
