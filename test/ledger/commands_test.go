//go:build stack

package ledger_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

const (
	identity  = "AGE-SECRET-KEY-1TV0Z42KCLL285Y7P7EWG8FJ9A30CJGJ8T975FJZD6MELRFHEW7XSSX64GV"
	recipient = "age10f79ta2r0jvme3mvwwm5hwwjts9hnzf2ddcla5gr90nhkp28xdmsvmwt4p"
)

// The commands of docs/ledger.md on PostgreSQL: the owner makes the tables, and stations
// do the rest, with a password from a source and a server whose certificate is verified.
func TestCommandsOnPostgreSQL(t *testing.T) {
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.Query("postgres", "CREATE ROLE station LOGIN PASSWORD 'canary-90441127'")
	server.NewDatabase("desk")
	ca := server.TLS("localhost")
	owner, station := server.Address("owner", "desk"), server.Address("station", "desk")
	_, port, _ := strings.Cut(server.HostPort(), ":")
	away := "postgres://station@localhost:" + port + "/desk?sslmode=verify-full&sslrootcert=" + ca

	d := stack.NewDesk(t)
	d.Setenv("CARDCTL_READER", "sim:desk")
	d.Setenv("CARDCTL_LEDGER", station)
	d.Setenv("PIN", "123456")
	d.Setenv("ADMIN_PIN", "12345678")
	d.Setenv("PASSWORD", "canary-90441127")
	d.Write("desk.key", identity, 0o600)
	d.Write("cards.csv", "serial,person,puk\nA1,floppy@example.com,27182818\n", 0o600)
	d.Run("cardctl", "sim", "create", "desk", "--serial", "12345678")

	// Without tables nothing is changed.
	if p := d.Refused("gen-key", "--key", "OPENPGP.3", "--admin-pin", "env:ADMIN_PIN"); p.Exit != 8 {
		t.Errorf("%+v", p)
	}
	d.Run("cardctl", "ledger", "migrate", "--station", "station", "--ledger", owner)
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.1", "--admin-pin", "env:ADMIN_PIN")
	d.Run("cardctl", "ledger", "import", d.Path("cards.csv"), "--to", recipient)
	d.Run("cardctl", "ledger", "mark", "FFFE12345678", "active", "--person", "bob@example.com")
	if puk := d.Run("cardctl", "ledger", "reveal", "A1", "--secret", "puk", "--identity", d.Path("desk.key")); puk != "27182818\n" {
		t.Errorf("%q", puk)
	}
	d.Run("cardctl", "ledger", "sign", "--key", "OPENPGP.1", "--pin", "env:PIN", "--out", d.Path("anchor.json"))
	d.Run("cardctl", "ledger", "verify", "--anchor", d.Path("anchor.json"))
	d.Run("cardctl", "ledger", "report", "--out", d.Path("desk.html"))
	d.Run("cardctl", "ledger", "reseal", "--identity", d.Path("desk.key"), "--to", recipient)

	// Through the network, with the password.
	var list struct {
		Cards []struct{ Serial, Person, State string }
	}
	text := d.Run("cardctl", "ledger", "list", "-o", "json", "--ledger", away, "--ledger-password", "env:PASSWORD")
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Cards) != 2 || list.Cards[1].Person != "bob@example.com" {
		t.Errorf("%s", text)
	}
	for _, args := range [][]string{
		{"--ledger", away, "--ledger-password", "env:PIN"}, {"--ledger", away},
		{"--ledger", strings.Replace(away, "station@", "station:canary-90441127@", 1)},
		{"--ledger", strings.Replace(away, "localhost", "127.0.0.1", 1), "--ledger-password", "env:PASSWORD"},
	} {
		p := d.Refused(append([]string{"ledger", "list"}, args...)...)
		if p.Exit == 0 || strings.Contains(p.Message+p.Hint, "canary") {
			t.Errorf("%q: %+v", args, p)
		}
	}

	// A station neither migrates nor changes the log; a backup is a ledger in a file.
	if p := d.Refused("ledger", "migrate", "--station", "station"); p.Exit == 0 {
		t.Errorf("%+v", p)
	}
	d.Run("cardctl", "ledger", "backup", d.Path("backup.db"))
	d.Run("cardctl", "ledger", "verify", "--anchor", d.Path("anchor.json"), "--ledger", "sqlite:"+d.Path("backup.db"))
	d.Run("cardctl", "ledger", "forget", "floppy@example.com", "--yes")
	server.Query("desk", "UPDATE event SET data = replace(data, 'gen-key', 'delete-key') WHERE data LIKE '%gen-key%'")
	if p := d.Refused("ledger", "verify", "--anchor", d.Path("anchor.json")); p.Exit != 8 || !strings.Contains(p.Message, "record 1 of the log was changed") {
		t.Errorf("%+v", p)
	}
	backup, err := os.ReadFile(d.Path("backup.db"))
	if err != nil || strings.Contains(string(backup), "27182818") || strings.Contains(string(backup), "canary") {
		t.Errorf("a secret is in the backup, or: %v", err)
	}
}
