package applet

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/cardctl/cardctl/internal/problem"
)

func noVariables(string) string { return "" }

// muscle is a script as the HOWTO of OpenSC has it, for another file.
const muscle = `mode_211
enable_trace
establish_context
card_connect
select -AID a000000151000000
open_sc -security 1 -keyind 0 -keyver 0 -mac_key 404142434445464748494a4b4c4d4e4f \
 -enc_key, 404142434445464748494a4b4c4d4e4f -kek_key 40414243444546474849\
4a4b4c4d4e4f // Open secure channel
delete -AID F00000000101
delete -AID F000000001
install -file demo.cap -sdAID A000000151000000
 -nvCodeLimit 4000 -nvDataLimit 12000 -instParam 00 -priv 2
# getdata
get_status -element e0
card_disconnect
release_context
`

func TestRunScript(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "demo.cap"), sample().cap(t), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ParseScript([]byte("\xEF\xBB\xBF"+strings.ReplaceAll(muscle, "\n", "\r\n")), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	card := newFakeCard(t)
	var said strings.Builder
	for range 2 {
		err = card.access("", t.TempDir()).runScript(t, ScriptOptions{Script: s, Dir: dir, Report: func(e ScriptEvent) {
			said.WriteString(e.Command + " " + e.Text + "\n")
		}})
		if err != nil || len(card.apps) != 1 || len(card.files) != 1 {
			t.Fatalf("%+v, %v", card, err)
		}
	}
	text := said.String()
	if !strings.Contains(text, "F00000000101\tselectable") || !strings.Contains(text, "refused DELETE [6A88") || strings.Contains(strings.ToUpper(text), defaultKey) {
		t.Error(text)
	}
}

// TestScriptsOfEveryEditor reads the same script as editors save it.
func TestScriptsOfEveryEditor(t *testing.T) {
	want, err := ParseScript([]byte(muscle), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	wide := []byte("\xFF\xFE")
	for _, unit := range utf16.Encode([]rune(strings.ReplaceAll(muscle, "\n", "\r\n"))) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	for how, text := range map[string]string{
		"Windows": strings.ReplaceAll(muscle, "\n", "\r\n"), "CR": strings.ReplaceAll(muscle, "\n", "\r"), "UTF-16": string(wide), "a mark": "\uFEFF" + muscle,
	} {
		if got, err := ParseScript([]byte(text), noVariables); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", how, got, err)
		}
	}
}

func TestScriptChangesKeys(t *testing.T) {
	s, err := ParseScript([]byte(`mode_211
establish_context
card_connect
select -AID a000000151000000
open_sc -security 1 -keyind 0 -keyver 0 -key 404142434445464748494a4b4c4d4e4f // all three
put_sc_key -keyver 0 -newkeyver 1 -mac_key 505152535455565758595a5b5c5d5e5f -enc_key 505152535455565758595a5b5c5d5e5f -kek_key 505152535455565758595a5b5c5d5e5f
card_disconnect
card_connect
open_sc -security 1 -keyver 1 -key 505152535455565758595a5b5c5d5e5f
get_key_information_templates
send_apdu -sc 1 -APDU 80F28000024F0000
send_apdu_nostop -sc 1 -APDU 80FF0000
exit
get_data -identifier 9F7F
`), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	card := newFakeCard(t)
	if err := card.access("", "").runScript(t, ScriptOptions{Script: s}); err != nil || card.version != 1 {
		t.Errorf("version %d, %v", card.version, err)
	}
	if strings.Contains(strings.Join(card.log, " "), "CA9F") {
		t.Error("the script goes on after exit")
	}
}

func TestScriptsThatDoNotParse(t *testing.T) {
	const key = "404142434445464748494a4b4c4d4e4f"
	for text, want := range map[string]string{
		"":                                "no command",
		"mode_211\nput_dm_keys -keyver 1": "line 2: put_dm_keys needs -newkeyver",
		"mode_211\nfrobnicate":            "line 2: unknown command",
		key:                               "unknown command of 32 hexadecimal digits",
		"select -AID A0000000":            "has 4 bytes",
		"select -AID A000000000000000000000000000000000": "has 17 bytes",
		"select -AID xyz":         "not hexadecimal",
		"select -AID":             "has no value",
		"select -frob 1":          `no option "-frob"`,
		"open_sc -mac_key " + key: "needs -enc_key",
		"open_sc -mac_key " + key[2:] + " -enc_key " + key:                                       "has 15 bytes",
		"open_sc -key " + key + " -security x":                                                   "is not a number",
		"open_sc -key " + key + " -key " + key:                                                   "given twice",
		"open_sc -key " + key + " -keyDerivation visa1":                                          "none, visa2 and emvcps11",
		"open_sc -key " + key + " -keyver 256":                                                   "greater than 255",
		"put_sc_key -newkeyver 128 -key " + key:                                                  "1 to 127",
		"put_dm_keys -newkeyver 0 -file key.pem -key " + key:                                     "1 to 127",
		"put_dm_keys -newkeyver 1 -file key.pem -key " + key:                                     "put_dm_keys without an open_sc",
		"put_dm_keys -newkeyver 1 -key " + key:                                                   "needs -file",
		"put_sc_key -newkeyver 1 -key " + key:                                                    "without an open_sc",
		"open_sc -enc_key " + key + " -mac_key " + key + "\nput_sc_key -newkeyver 1 -key " + key: "needs a key to encrypt with",
		"open_sc -key " + key + "\nselect\nput_sc_key -newkeyver 1 -key " + key:                  "line 3: put_sc_key without",
		"get_data -identifier ${NOTHING}":                                                        "the environment variable NOTHING is not set",
		"get_data -identifier ${NOTHING":                                                         "not closed",
		"delete_key -keyver 0":                                                                   "needs -keyver",
		"install_for_make_selectable":                                                            "needs -instaid",
		"open_sc -key " + key[:20] + " \\\n" + key[20:]:                                          "has 10 bytes",
		"delete":                                 "needs -aid",
		"install -AID A000000001":                "needs -file",
		"send_apdu -APDU 80":                     "at least 4 bytes",
		"select " + strings.Repeat("x", 100):     "option of 100 bytes",
		strings.Repeat("print\n", maxCommands+1): "line 10001: the script has more than 10000 commands",
		strings.Repeat("a ", 2000):               "more than 1000 words",
		strings.Repeat("print \\\na \\\n", 1500): "more than 1000 words",
		`install -file "demo.cap`:                "not closed",
	} {
		_, err := ParseScript([]byte(text), noVariables)
		if !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), key[:20]) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestScriptFilesAreReadFirst sees that a bad file stops a script before its
// first command.
func TestScriptFilesAreReadFirst(t *testing.T) {
	s, err := ParseScript([]byte("card_connect\nselect\ninstall -file missing.cap\n"), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	card := newFakeCard(t)
	err = card.access("", "").runScript(t, ScriptOptions{Script: s, Dir: t.TempDir()})
	if !problem.Is(err, problem.NotFound) || card.count > 0 || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("%d commands, %v", card.count, err)
	}
}

func TestScriptRespectsTheGuard(t *testing.T) {
	s, err := ParseScript([]byte("open_sc -security 1 -key 00112233445566778899AABBCCDDEEFF\n"), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	card, state := newFakeCard(t), t.TempDir()
	for _, code := range []problem.Code{problem.KeysIncorrect, problem.PINBlocked} {
		if err := card.access("", state).runScript(t, ScriptOptions{Script: s}); !problem.Is(err, code) {
			t.Error(err)
		}
	}
}

func FuzzParseScript(f *testing.F) {
	f.Add([]byte(muscle))
	for _, text := range []string{
		"send_apdu -sc 0 -APDU 80CA9F7F00 # x\nselect -AID A000000003000000",
		"card_connect -reader \"ACME, 00 00\"\nget_data -identifier ${9F7F}\nprint -a ${b}",
		"open_sc -security 3, -key 40414243444546474849\\\n4a4b4c4d4e4f -keyDerivation visa2\nput_sc_key -keyver 0 -newkeyver 1 -key 404142434445464748494a4b4c4d4e4f",
		"install_for_install -pkgAID F000000001 -AID\nF00000000101\ninstall_for_make_selectable -instAID F00000000101\ndelete_key -keyind 255 -keyver 4 -noStop",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseScript(text, func(name string) string { return name })
		if err != nil {
			if !problem.Is(err, problem.Usage) {
				t.Error(err)
			}
			return
		}
		for i := range s.commands {
			_ = s.commands[i].describe()
		}
	})
}
