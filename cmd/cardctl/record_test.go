package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
)

// unchanging are the commands that leave cards as they are: nothing of them is recorded.
// Groups of commands are not here.
var unchanging = []string{
	"list-readers", "list-tokens", "info", "gen-csr", "export-cert", "export-key", "attest", "smoke-test", "openvpn",
	"setup", "setup chromium", "doctor", "completion", "version", "help",
	"applet list", "applet inspect", "applet domain list",
	"ca init", "ca issue", "ca revoke", "ca release", "ca crl", "ca ocsp", "ca list", "ca show", "ca renew", "ca import", "ca export", "ca backup",
	"sim create", "sim list", "sim attach", "sim delete", "agent status", "agent lock", "agent release", "agent stop",
	"ledger list", "ledger show", "ledger mark", "ledger reveal", "ledger letters", "ledger report", "ledger export", "ledger import",
	"ledger sign", "ledger verify", "ledger backup", "ledger migrate", "ledger reseal", "ledger forget",
}

// recordingThemselves are the commands that write to the ledger in their own way.
var recordingThemselves = []string{"provision"}

// A new command is one or the other.
func TestEveryCommandChangesCardsOrNot(t *testing.T) {
	left := slices.Concat(changing(), unchanging)
	everyCommand(newRootCmd(newSession(newEnv())), func(cmd *cobra.Command) {
		_, path, _ := strings.Cut(cmd.CommandPath(), " ")
		if path == "" || cmd.HasSubCommands() || slices.Contains(recordingThemselves, path) {
			return
		}
		if slices.Contains(changing(), path) == slices.Contains(unchanging, path) {
			t.Errorf("does %s change a card?", path)
		}
		left = slices.DeleteFunc(left, func(name string) bool { return name == path })
	})
	for _, name := range left {
		if name != "setup chromium" && name != "help" {
			t.Errorf("there is no command %s", name)
		}
	}
}

// logged is a record of the log.
type logged struct {
	Serial string
	Data   struct {
		What, Command, Ref, Result string
		Entry                      int64
		Late, Over                 bool
	}
}

// log is what the ledger of the test has.
func (d *testDesk) log() (records []logged) {
	d.t.Helper()
	for line := range strings.Lines(d.must("ledger", "export", "--ledger", d.ledger()).stdout) {
		var r struct {
			Kind string
			logged
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			d.t.Fatal(err)
		}
		if r.Kind == "event" {
			records = append(records, r.logged)
		}
	}
	return records
}

func (d *testDesk) ledgerFile() string { return filepath.Join(d.state, "recorded.db") }
func (d *testDesk) ledger() string     { return "sqlite:" + d.ledgerFile() }

func (d *testDesk) withoutLedger() {
	d.t.Helper()
	for _, more := range []string{"", "-wal", "-shm"} {
		if err := os.RemoveAll(d.ledgerFile() + more); err != nil {
			d.t.Fatal(err)
		}
	}
}

// changes reports whether a line of cardCommands changes a card.
func changes(line string) bool {
	return slices.ContainsFunc(changing(), func(name string) bool { return strings.HasPrefix(line+" ", name+" ") })
}

// Every command that changes a card is recorded before and after, and no other.
func TestCommandsAreRecorded(t *testing.T) {
	for kind, commands := range cardCommands {
		t.Run(kind, func(t *testing.T) {
			d := hostileDesk(t, kind)
			start := d.save()
			for _, line := range commands {
				if strings.Contains(line, "ledger") {
					continue
				}
				d.restore(start)
				d.withoutLedger()
				r := d.run(t.Context(), append(d.words(line), "--ledger", d.ledger()))
				_, err := os.Stat(d.ledgerFile())
				if !changes(line) {
					if err == nil {
						t.Errorf("%s was recorded", line)
					}
					continue
				}
				if err != nil {
					if r.exit == 0 {
						t.Errorf("%s was not recorded", line)
					}
					continue // it did not come so far: OpenSC does not see cards in process
				}
				d.checkLog(line, r.exit == 0)
			}
		})
	}
}

// checkLog looks at the records of one command.
func (d *testDesk) checkLog(line string, done bool) {
	d.t.Helper()
	open := map[int64]string{}
	for i, record := range d.log() {
		switch data := record.Data; data.What {
		case "begin":
			if !strings.HasPrefix(line, data.Command+" ") && line != data.Command || record.Serial == "" && done {
				d.t.Errorf("%s: record %d is %+v", line, i+1, record)
			}
			open[int64(i+1)] = data.Command
		case "end":
			if open[data.Entry] == "" || (data.Result == "done") != done {
				d.t.Errorf("%s: record %d is %+v", line, i+1, record)
			}
			delete(open, data.Entry)
		}
	}
	if len(open) > 0 {
		d.t.Errorf("%s: not ended: %v", line, open)
	}
}

// A ledger that cannot be written stops the command before the card is changed.
func TestNothingIsChangedWithoutItsRecord(t *testing.T) {
	for kind, commands := range cardCommands {
		t.Run(kind, func(t *testing.T) {
			d := hostileDesk(t, kind)
			start := d.save()
			for _, line := range commands {
				if !changes(line) || strings.Contains(line, "ledger") {
					continue
				}
				d.restore(start)
				d.writeFile("recorded.db", []byte("no database, but a file that is long enough to be read as one"))
				r := d.run(t.Context(), append(d.words(line), "--ledger", d.ledger()))
				if r.exit == 0 || r.exit != 8 && kind != "pkcs15" && !strings.HasPrefix(line, "delete-key -k OPENPGP") {
					t.Errorf("%s: exit status %d\n%s", line, r.exit, r.stderr)
				}
				if !bytes.Equal(d.save(), start) {
					t.Errorf("%s changed the card", line)
				}
			}
		})
	}
}

// The record costs no command to a card that tells its serial anyway.
func TestTheRecordCostsNoCommand(t *testing.T) {
	never := cardsim.Garbage(1_000_000, nil)
	for kind, lines := range map[string][]string{
		"openpgp": {"init --yes", "set-pin user --new-pin env:NEW", "gen-key -k OPENPGP.3 --replace $F", "import-cert -k OPENPGP.3 --yes $W/a.pem", "delete-cert -k OPENPGP.3 --yes"},
		"piv":     {"gen-key -k PIV.9A --replace $PIV", "import-cert -k PIV.9A --yes $W/a.pem", "set-pin puk --new-pin env:NEW8"},
	} {
		d := hostileDesk(t, kind)
		start := d.save()
		for _, line := range lines {
			var sent []int
			for _, more := range [][]string{nil, {"--ledger", d.ledger()}} {
				d.restore(start)
				r := d.run(t.Context(), append(d.words(line), more...), never)
				if r.exit != 0 {
					t.Errorf("%s: exit status %d\n%s", line, r.exit, r.stderr)
				}
				sent = append(sent, r.traffic.APDUs)
			}
			if sent[0] != sent[1] || sent[0] == 0 {
				t.Errorf("%s: %d commands, and %d with a record", line, sent[0], sent[1])
			}
		}
	}
}

// breaking is a connection that breaks something when a command with this instruction is
// sent.
type breaking struct {
	iso7816.Connection
	ins   byte
	broke func()
}

func (b breaking) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if apdu[1] == b.ins {
		b.broke()
	}
	return b.Connection.Transmit(ctx, apdu)
}

// What cannot be recorded afterwards is said, and sent by the next command.
func TestWhatIsRecordedLate(t *testing.T) {
	const generate = 0x47
	d := newDesk(t)
	d.must("init", "--yes")
	d.writeFile("cards.csv", []byte("serial\nA1\n"))
	d.must("ledger", "import", filepath.Join(d.state, "cards.csv"), "--ledger", d.ledger())
	rename := func(from, to string) {
		t.Helper()
		db, err := sql.Open("sqlite", d.ledgerFile())
		if err == nil {
			_, err = db.Exec("ALTER TABLE " + from + " RENAME TO " + to)
		}
		if err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	broken := false
	d.connect = func(ctx context.Context, name string) (iso7816.Connection, error) {
		_, connection, err := d.hold(ctx, name)
		return breaking{connection, generate, func() {
			if !broken {
				rename("event", "away")
				broken = true
			}
		}}, err
	}
	r := d.run(t.Context(), []string{"gen-key", "-k", "OPENPGP.3", "--ledger", d.ledger()})
	d.connect = nil
	if r.exit != 1 || !strings.Contains(r.stdout, "Generated the key OPENPGP.3") || !strings.Contains(r.stderr, "could not be recorded in the ledger") {
		t.Errorf("exit status %d\n%s%s", r.exit, r.stdout, r.stderr)
	}
	rename("away", "event")
	spool := filepath.Join(d.state, "ledger-spool")
	waiting, err := os.ReadDir(spool)
	if err != nil || len(waiting) == 0 {
		t.Fatalf("%v, %v", waiting, err)
	}
	for _, file := range waiting {
		if info, err := file.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	d.must("set-holder", "--name", "a", "--ledger", d.ledger())
	if waiting, err = os.ReadDir(spool); err != nil || len(waiting) > 0 {
		t.Errorf("%v, %v", waiting, err)
	}
	if !slices.ContainsFunc(d.log(), func(r logged) bool { return r.Data.What == "end" && r.Data.Late && r.Data.Result == "done" }) {
		t.Errorf("%+v", d.log())
	}
}
