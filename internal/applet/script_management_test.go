package applet

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

// tokenKey is an RSA public key of so many bits in a file, and its modulus.
func tokenKey(t *testing.T, dir string, bits, exponent int) (modulus []byte) {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	n.Add(n, big.NewInt(12345))
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: exponent})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, fmt.Sprintf("token%d.pem", bits))
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return n.Bytes()
}

// keysOf are the keys of a simulated Java card, as its state has them.
type keysOf struct {
	Keys       []any
	Management *struct{ Modulus, Receipt []byte }
}

// stored is a simulated Java card, and a look at its keys.
func stored(t *testing.T, o cardsim.Options) (*cardsim.Card, func() keysOf) {
	t.Helper()
	o.Applications = []string{"gp"}
	dir := t.TempDir()
	store := cardsim.NewStore(dir)
	if err := store.Create("desk", o); err != nil {
		t.Fatal(err)
	}
	card, err := store.Open("desk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	return card, func() keysOf {
		t.Helper()
		var file struct {
			Applications []struct{ State keysOf }
		}
		raw, err := os.ReadFile(filepath.Join(dir, "desk.json"))
		if err == nil {
			err = json.Unmarshal(raw, &file)
		}
		if err != nil || len(file.Applications) != 1 {
			t.Fatalf("state %q: %v", raw, err)
		}
		return file.Applications[0].State
	}
}

// TestScriptPutsManagementKeys gives a card the keys for delegated management, replaces
// them and deletes them: the card has what the script says, and its own keys stay.
func TestScriptPutsManagementKeys(t *testing.T) {
	const receipt = "505152535455565758595A5B5C5D5E5F"
	dir := t.TempDir()
	short := tokenKey(t, dir, 1024, 3)
	long := tokenKey(t, dir, 2048, 65537)
	for _, channel := range []string{"scp01-05", "scp01-15", "scp02-15", "scp02-55", "scp03-00", "scp03-70"} {
		t.Run(channel, func(t *testing.T) {
			card, state := stored(t, cardsim.Options{SecureChannel: channel})
			for _, step := range []struct {
				line, asks, says string
				modulus          []byte
			}{
				{"put_dm_keys -keyver 0 -newkeyver 112 -file token1024.pem -pass x -key " + receipt, "", "C0060170A180A001", short},
				{"put_dm_keys -keyver 112 -newkeyver 112 -file token2048.pem -key " + receipt, "replaces the delegated management keys of version 112", "C00C0170FFA10100FFA000030000", long},
				{"delete_key -keyver 112", "deletes the card keys of version 112", "", nil},
			} {
				level := "3"
				if strings.HasPrefix(channel, "scp01") {
					level = "1" // encrypted data of SCP01 has 255 bytes at most
				}
				s, err := ParseScript([]byte("mode_211\ncard_connect\nopen_sc -security "+level+" -key "+defaultKey+"\n"+step.line+"\nget_key_information_templates\n"), noVariables)
				if err != nil {
					t.Fatal(err)
				}
				r := newFakeCard(t).access("", "")
				r.desk.Simulated = &simulator{card}
				asked, said := "", ""
				r = r.confirmed(func(_ context.Context, q desk.Question) error { asked = q.Question.String(); return nil })
				err = r.runScript(t, ScriptOptions{Script: s, Dir: dir, Report: func(e ScriptEvent) { said += e.Text + "\n" }})
				if err != nil {
					t.Fatalf("%s: %v", step.line, err)
				}
				if !strings.Contains(asked, step.asks) || (step.asks == "") != (asked == "") || !strings.Contains(said, step.says) || strings.Contains(said, receipt) {
					t.Errorf("%s: asked %q, said %q", step.line, asked, said)
				}
				is := state()
				switch {
				case len(is.Keys) != 1:
					t.Errorf("%s: the card has %d sets of its own keys", step.line, len(is.Keys))
				case step.modulus == nil && is.Management != nil:
					t.Errorf("%s: the keys are there", step.line)
				case step.modulus != nil && (is.Management == nil || !bytes.Equal(is.Management.Modulus, step.modulus) || !bytes.Equal(is.Management.Receipt, unhex(t, receipt))):
					t.Errorf("%s: the card has %+v", step.line, is.Management)
				}
			}
		})
	}
}

// TestScriptManagementKeysAreRefused: what is no public key, and one that does not fit,
// changes nothing.
func TestScriptManagementKeysAreRefused(t *testing.T) {
	dir := t.TempDir()
	tokenKey(t, dir, 512, 3)
	tokenKey(t, dir, 2048, 3)
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		code problem.Code
		text string
	}{
		"missing.pem":   {problem.NotFound, "missing.pem was not found"},
		"text":          {problem.Mismatch, "text is not an RSA public key"},
		"token512.pem":  {problem.Mismatch, "512 bits"},
		"token2048.pem": {problem.NotSupported, "2048 bits does not fit"},
	} {
		s, err := ParseScript([]byte("open_sc -security 1 -key "+defaultKey+"\nput_dm_keys -newkeyver 112 -file "+name+" -key "+defaultKey), noVariables)
		if err != nil {
			t.Fatal(err)
		}
		card, state := stored(t, cardsim.Options{SecureChannel: "scp02-55", Profile: "short-apdus"})
		r := newFakeCard(t).access("", "")
		r.desk.Simulated = &simulator{card}
		err = r.runScript(t, ScriptOptions{Script: s, Dir: dir})
		if !problem.Is(err, want.code) || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %v", name, err)
		}
		if state().Management != nil {
			t.Errorf("%s: the card has keys", name)
		}
	}
}
