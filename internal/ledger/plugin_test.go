package ledger_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// pluginProgram is the name by which age starts this program as a plugin.
const pluginProgram = "age-plugin-desk"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == pluginProgram {
		os.Exit(deskPlugin())
	}
	os.Exit(m.Run())
}

// deskPlugin is a plugin whose identities want a PIN.
func deskPlugin() int {
	p, err := plugin.New("desk")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	p.HandleRecipient(func(data []byte) (age.Recipient, error) { return age.ParseX25519Recipient(string(data)) })
	p.HandleIdentity(func(data []byte) (age.Identity, error) {
		if err := p.DisplayMessage("insert the desk token"); err != nil {
			return nil, err
		}
		pin, err := p.RequestValue("PIN of the desk token", true)
		if err != nil {
			return nil, err
		}
		if pin != "271828" {
			return nil, errors.New("wrong PIN")
		}
		return age.ParseX25519Identity(string(data))
	})
	p.RegisterFlags(flag.CommandLine)
	flag.Parse()
	return p.Main()
}

// A recipient of a plugin seals, and its identity opens: the plugin shows what it has to say,
// and asks for its PIN, which only a person gives.
func TestPluginThatWorks(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(dir, pluginProgram)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	recipient := plugin.EncodeRecipient("desk", []byte(key.Recipient().String()))
	sealers, err := ledger.Recipients([]string{recipient, other.Recipient().String()}, ledger.UI{})
	if err != nil || sealers.Count() != 2 {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(dir, "ledger.db"), ledger.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	e, err := l.Begin(t.Context(), ledger.Change{Command: "provision", Serial: "A1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.SealTo(t.Context(), secret.PUK, ledger.KeepLedger, secret.New([]byte("31415926")), sealers); err != nil {
		t.Fatal(err)
	}
	c, err := l.Card(t.Context(), "A1")
	if err != nil || len(c.Secrets) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	said := ""
	asking := func(pin string) ledger.UI {
		return ledger.UI{
			Show: func(line string) { said += line },
			Ask: func(prompt string, hidden bool) (*secret.Bytes, error) {
				if !hidden || !strings.Contains(prompt, "PIN of the desk token") {
					t.Errorf("%q, hidden: %v", prompt, hidden)
				}
				return secret.New([]byte(pin)), nil
			},
		}
	}
	open := func(ui ledger.UI) (string, error) {
		ids, err := ledger.Identities(secret.New([]byte(plugin.EncodeIdentity("desk", []byte(key.String())))), ui)
		if err != nil {
			t.Fatal(err)
		}
		value, err := ledger.Unseal(t.Context(), c.Secrets[0].Blob, ids...)
		if err != nil {
			return "", err
		}
		defer value.Wipe()
		return string(value.Reveal()), nil
	}
	if value, err := open(asking("271828")); value != "31415926" || err != nil {
		t.Errorf("%q, %v", value, err)
	}
	if !strings.Contains(said, "insert the desk token") {
		t.Errorf("it said %q", said)
	}
	if _, err := open(asking("111111")); !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "wrong PIN") {
		t.Errorf("with a wrong PIN: %v", err)
	}
	if _, err := open(ledger.UI{}); err == nil {
		t.Error("it was opened without anybody who was asked")
	}
}
