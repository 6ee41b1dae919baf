package applet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
	ID      string
	Outputs struct {
		Exchanges []struct {
			Role    string
			Command string `json:"capdu"`
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

// plain are the commands of a session without their protection. What depends on
// challenges is left out.
func (r recorded) plain() (list []string) {
	for _, e := range r.Outputs.Exchanges {
		switch e.Role {
		case "secured":
			list = append(list, e.Plain)
		case "plain":
			list = append(list, e.Command)
		default:
			list = append(list, e.Command[:8])
		}
	}
	return list
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

// tapped keeps the commands to a simulated card without their C-MAC.
type tapped struct {
	iso7816.Connection
	list *[]string
}

func (c tapped) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	cmd, _, err := iso7816.ParseCommand(apdu)
	switch {
	case err != nil:
		return nil, err
	case cmd.INS == 0x50 || cmd.INS == 0x82:
		*c.list = append(*c.list, fmt.Sprintf("%X", apdu[:4]))
	case cmd.CLA == 0x84:
		cmd.CLA, cmd.Data = 0x80, cmd.Data[:len(cmd.Data)-8]
		plain, err := cmd.Encode(false)
		if err != nil {
			return nil, err
		}
		*c.list = append(*c.list, fmt.Sprintf("%X", plain))
	default:
		*c.list = append(*c.list, fmt.Sprintf("%X", apdu))
	}
	return c.Connection.Transmit(ctx, apdu)
}

// tap is the reader of a simulated card whose commands are kept.
type tap struct {
	simulator
	list []string
}

func (s *tap) Connect(ctx context.Context, name string) (iso7816.Connection, error) {
	c, err := s.simulator.Connect(ctx, name)
	return tapped{c, &s.list}, err
}

// TestScriptsSendWhatGPShellSends compares scripts with recorded sessions, byte for
// byte: only SELECT has a length of the answer here, which GPShell leaves to T=0.
func TestScriptsSendWhatGPShellSends(t *testing.T) {
	const head = "mode_211\nenable_trace\nestablish_context\nlist_readers\ncard_connect\nselect -AID a000000151000000\n"
	const keys = " -mac_key " + defaultKey + " -enc_key " + defaultKey + " -kek_key " + defaultKey
	const tail = "\ncard_disconnect\nrelease_context\n"
	for id, test := range map[string]struct{ channel, script string }{
		"peer-gpshell_install_Empty-2.2.1-gppro_l01": {"scp03-70", "open_sc -security 1" + keys + "\ninstall -file x.ijc -priv 0"},
		"peer-gpshell_install_TwoApplets-3.0.4_l01":  {"scp03-70", "open_sc -security 1 -keyind 0 -keyver 0" + keys + "\ninstall -file x.ijc -priv 0"},
		"peer-gpshell_div_emv_scp2":                  {"scp02-55", "open_sc -security 1" + keys + "\nget_status -element 80\nget_status -element 20"},
		"peer-gpshell_putsc_scp02":                   {"scp02-55", "open_sc -security 1" + keys + "\nput_sc_key -keyver 1 -newkeyver 1 -key 505152535455565758595A5B5C5D5E5F"},
		"peer-gpshell3_status_term":                  {"scp03-70", "open_sc -security 51" + keys},
	} {
		t.Run(id, func(t *testing.T) {
			session, ok := recordings(t)[id]
			if !ok {
				t.Fatal("there is no such recording")
			}
			options := cardsim.Options{Applications: []string{"gp"}, SecureChannel: test.channel}
			if strings.Contains(test.script, "-keyver 1") {
				options.CardKeys = [][]byte{unhex(t, defaultKey)} // as version 1
			}
			card, err := cardsim.NewCard(options)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if strings.Contains(test.script, "x.ijc") {
				if err := os.WriteFile(filepath.Join(dir, "x.ijc"), session.file(t), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := ParseScript([]byte(head+test.script+tail), noVariables)
			if err != nil {
				t.Fatal(err)
			}
			spy := &tap{simulator: simulator{card}}
			r := newFakeCard(t).access("", "")
			r.desk.Simulated = spy
			r.desk.OpenReaders = func(context.Context, pcsc.Options) (desk.Readers, error) {
				return nil, problem.New(problem.NotFound, "no readers")
			}
			if err := r.runScript(t, ScriptOptions{Script: s, Dir: dir}); err != nil {
				t.Fatal(err)
			}
			want := session.plain()
			if len(spy.list) < len(want) {
				t.Fatalf("sent %q, want %q", spy.list, want)
			}
			for i, got := range spy.list[:len(want)] {
				if strings.HasPrefix(want[i], "00A4") {
					want[i] += "00"
				}
				if masked(got) != masked(want[i]) {
					t.Errorf("command %d\n got %s\nwant %s", i, got, want[i])
				}
			}
			if more := spy.list[len(want):]; len(more) > 0 {
				t.Errorf("and then %q", more)
			}
		})
	}
}

// masked leaves the encrypted keys of PUT KEY out, which depend on the session.
func masked(command string) string {
	if !strings.HasPrefix(command, "80D8") {
		return command
	}
	const keyAndValue = 2 * (2 + 16 + 4)
	head, rest := command[:12], command[12:]
	for ; len(rest) >= keyAndValue; rest = rest[keyAndValue:] {
		head += rest[:4] + strings.Repeat("-", 32) + rest[36:keyAndValue]
	}
	return head + rest
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
