package applet

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
)

// recorded is a session of GPShell as testdata of package gp has it.
type recorded struct {
	ID     string
	Inputs struct {
		HostChallenge string `json:"host_challenge"`
	}
	Outputs struct {
		Exchanges []struct {
			Command string `json:"capdu"`
			Answer  string `json:"rapdu"`
			Plain   string `json:"plain_capdu"`
		}
	}
}

func recordings(t *testing.T) map[string]recorded {
	t.Helper()
	raw, err := os.ReadFile("../gp/testdata/globalplatform.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []recorded
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	all := map[string]recorded{}
	for _, r := range list {
		all[r.ID] = r
	}
	return all
}

// file is what was loaded in a session: its components, one after the other.
func (r recorded) file(t *testing.T) []byte {
	t.Helper()
	var block []byte
	for _, e := range r.Outputs.Exchanges {
		if strings.HasPrefix(e.Plain, "80E8") {
			cmd, _, err := iso7816.ParseCommand(unhex(t, e.Plain))
			if err != nil {
				t.Fatal(err)
			}
			block = append(block, cmd.Data...)
		}
	}
	object, _, err := iso7816.ParseTLV(block)
	if err != nil {
		t.Fatal(err)
	}
	return object.Value
}

// replayed is a card that gives the answers of a recorded session to the commands
// that were recorded. Only SELECT may have a length of the answer, which GPShell leaves
// to T=0.
type replayed struct {
	t       *testing.T
	session recorded
	next    int
}

func (c *replayed) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	c.t.Helper()
	if c.next == len(c.session.Outputs.Exchanges) {
		c.t.Fatalf("a command after the last: %X", apdu)
	}
	e := c.session.Outputs.Exchanges[c.next]
	c.next++
	want := e.Command
	if strings.HasPrefix(want, "00A4") {
		want += "00"
	}
	if got := fmt.Sprintf("%X", apdu); got != want {
		c.t.Errorf("command %d\n got %s\nwant %s", c.next, got, want)
	}
	return unhex(c.t, e.Answer), nil
}

func (*replayed) ATR() []byte                  { return nil }
func (*replayed) Release(bool) error           { return nil }
func (*replayed) Resume(context.Context) error { return nil }
func (*replayed) Close(bool) error             { return nil }

func (*replayed) List() ([]cardsim.Info, error) { return []cardsim.Info{{Name: "desk"}}, nil }

func (c *replayed) Connect(context.Context, string) (iso7816.Connection, error) { return c, nil }

// challenged lets the next host challenge be this one.
func challenged(t *testing.T, challenge []byte) {
	t.Helper()
	random := rand.Reader
	t.Cleanup(func() { rand.Reader = random })
	rand.Reader = io.MultiReader(bytes.NewReader(challenge), random)
}

// TestScriptsSendWhatGPShellSends has the sessions that GPShell had, byte for byte: its
// challenge, cryptogram, MACs and encrypted data too.
func TestScriptsSendWhatGPShellSends(t *testing.T) {
	const head = "mode_211\nenable_trace\nestablish_context\nlist_readers\ncard_connect\nselect -AID a000000151000000\n"
	const keys = " -mac_key " + defaultKey + " -enc_key " + defaultKey + " -kek_key " + defaultKey
	const tail = "\ncard_disconnect\nrelease_context\n"
	scripts := map[string]string{
		"peer-gpshell_install_Empty-2.2.1-gppro_l01": "open_sc -security 1" + keys + "\ninstall -file x.ijc -priv 0",
		"peer-gpshell_install_TwoApplets-3.0.4_l01":  "open_sc -security 1 -keyind 0 -keyver 0" + keys + "\ninstall -file x.ijc -priv 0",
		"peer-gpshell_div_emv_scp2":                  "open_sc -security 1 -key " + defaultKey + " -keyDerivation emvcps11\nget_status -element 80\nget_status -element 20",
		"peer-gpshell_putsc_scp02":                   "open_sc -security 1" + keys + "\nput_sc_key -keyver 1 -newkeyver 1 -key 505152535455565758595A5B5C5D5E5F",
		"peer-gpshell_scp2_i55_l13_k128":             "open_sc -security 19 -scp 2 -scpimpl 0x55" + keys + "\nget_status -element 80\nget_status -element 20",
		"peer-gpshell3_status_term":                  "open_sc -security 51" + keys,
	}
	all := recordings(t)
	for id := range all {
		if strings.HasPrefix(id, "peer-gpshell") && scripts[id] == "" {
			t.Errorf("no script for the session %s", id)
		}
	}
	for id, script := range scripts {
		t.Run(id, func(t *testing.T) {
			session, ok := all[id]
			if !ok {
				t.Fatal("there is no such recording")
			}
			dir := t.TempDir()
			if strings.Contains(script, "x.ijc") {
				if err := os.WriteFile(filepath.Join(dir, "x.ijc"), session.file(t), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := ParseScript([]byte(head+script+tail), noVariables)
			if err != nil {
				t.Fatal(err)
			}
			card := &replayed{t: t, session: session}
			r := newFakeCard(t).access("", "")
			r.desk.Simulated = card
			r.desk.OpenReaders = func(context.Context, pcsc.Options) (desk.Readers, error) {
				return nil, problem.New(problem.NotFound, "no readers")
			}
			challenged(t, unhex(t, session.Inputs.HostChallenge))
			if err := r.runScript(t, ScriptOptions{Script: s, Dir: dir}); err != nil {
				t.Fatal(err)
			}
			if left := len(session.Outputs.Exchanges) - card.next; left != 0 {
				t.Errorf("%d commands were not sent", left)
			}
		})
	}
}

// TestScriptParameters: what a script does not give is not sent, and what it gives
// stands in the order that GPShell has.
func TestScriptParameters(t *testing.T) {
	for options, want := range map[string]string{
		"":                                       "C900",
		" -instParam 0102":                       "C9020102",
		" -uiccSystemSpecParam 800100":           "C900EA03800100",
		" -nvDataLimit 500 -vDataLimit 100":      "C900EF08C7020064C80201F4",
		" -simSpecParam 01 -instParam FF":        "C901FFEF03CA0101",
		` -instParam "" -uiccSystemSpecParam ""`: "C900",
	} {
		s, err := ParseScript([]byte("install_for_install -pkgAID F000000001 -AID F00000000101"+options), noVariables)
		if err != nil {
			t.Fatal(err)
		}
		c := &s.commands[0]
		if got := c.instance(c.aid("-pkgaid"), c.aid("-aid")).Parameters; !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%q: %X, want %s", options, got, want)
		}
	}
}

// TestScriptsGoOn: send_apdu does not end a script, as in GPShell, unless that is
// asked for.
func TestScriptsGoOn(t *testing.T) {
	const script = "open_sc -security 1 -key " + defaultKey + "\nsend_apdu -sc 1 -APDU 80FF000000\nget_status -element 80\n"
	s, err := ParseScript([]byte(script), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	for _, stop := range []bool{false, true} {
		said := ""
		card := newFakeCard(t)
		err := card.access("", "").runScript(t, ScriptOptions{Script: s, StopOnError: stop, Report: func(e ScriptEvent) { said += e.Text + "\n" }})
		if stop != (err != nil) || stop == strings.Contains(said, "6D00") || stop == strings.Contains(said, "OP_READY") {
			t.Errorf("stop %t: %v, %q", stop, err, said)
		}
	}
	goesOn, err := ParseScript([]byte(strings.Replace(script, "send_apdu", "send_apdu_nostop", 1)), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	if err := newFakeCard(t).access("", "").runScript(t, ScriptOptions{Script: goesOn, StopOnError: true}); err != nil {
		t.Error(err)
	}
}

// TestScriptsLoadLibraries: a file without applets is loaded, and of several all are
// installed, or the one that is named.
func TestScriptsLoadLibraries(t *testing.T) {
	dir := t.TempDir()
	library, two := sample(), sample()
	library.pkg, library.applets, library.flags = "F000000003", nil, 0
	two.applets = []string{"F00000000101", "F00000000102"}
	for name, f := range map[string]source{"library.cap": library, "two.cap": two} {
		if err := os.WriteFile(filepath.Join(dir, name), f.cap(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]struct{ files, apps int }{
		"install -file library.cap":                                  {1, 0},
		"install -file two.cap":                                      {1, 2},
		"install -file two.cap -AID F00000000102":                    {1, 1},
		"install -file two.cap -instAID F0000000AA":                  {1, 1},
		"install -file two.cap\ninstall -file library.cap -priv 0x4": {2, 2},
	} {
		s, err := ParseScript([]byte("open_sc -security 1 -key "+defaultKey+"\n"+line), noVariables)
		if err != nil {
			t.Fatal(err)
		}
		card := newFakeCard(t)
		if err := card.access("", "").runScript(t, ScriptOptions{Script: s, Dir: dir}); err != nil || len(card.files) != want.files || len(card.apps) != want.apps {
			t.Errorf("%s: %d packages, %d applications, %v", line, len(card.files), len(card.apps), err)
		}
	}
}
