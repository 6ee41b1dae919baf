package gp

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/cardsim"
)

// The words that the scripts here share. The card has the test keys in version
// 255, and its security domain the AID A000000151000000.
var scriptWords = strings.NewReplacer(
	"KEYS", "-mac_key 404142434445464748494a4b4c4d4e4f -enc_key 404142434445464748494a4b4c4d4e4f",
	"KEK", "-kek_key 404142434445464748494a4b4c4d4e4f",
	"NEW", "-mac_key 505152535455565758595a5b5c5d5e5f -enc_key 505152535455565758595a5b5c5d5e5f -kek_key 505152535455565758595a5b5c5d5e5f",
	"PACKAGE", "F276A288BCFBA69D34F310", "APPLET", "F276A288BCFBA69D34F31001",
)

// scripts are what administrators have: each with what it says, and what is on
// the card afterwards.
var scripts = map[string]struct {
	text  string
	says  []string
	there string
}{
	"list": {`
mode_211
enable_trace
enable_timer
establish_context
card_connect -readerNumber 2
select -AID a000000151000000
open_sc -security 3 -keyind 0 -keyver 0 KEYS KEK // Open secure channel
get_status -element 20
get_status -element 40 -noStop
get_status -element 80
get_status -element 10
get_status -element e0
card_disconnect
release_context
`, []string{"A000000151000000\tOP_READY"}, ""},
	"list, Open Platform": {`
mode_201
establish_context
card_connect -reader "ACME Reader, 00 00" -protocol 1
select -AID a0000000030000
open_sc -security 1 -keyind 0 -keyver 0 KEYS
get_status -element e0
release_context
`, []string{"using A000000151000000 instead", "OP_READY"}, ""},
	"list without secure messaging": {`
establish_context
card_connect
select -AID a000000151
open_sc -security 0, -keyind 0, -keyver 0, KEYS
get_status -element 80
`, []string{"OP_READY"}, ""},
	"install": {`
mode_211
establish_context
card_connect
select -AID a000000151000000
open_sc -security 1 KEYS
delete -AID APPLET
delete -AID PACKAGE
delete -AID APPLET
install -file IsoApplet.cap -nvCodeLimit 10000 -instParam 00 -nvDataLimit 2000 -nvCodeLimit 1000 -priv 0
#card_connect -readerNumber 2
  // options:
  //   -keyind Key index
print installed what is in the file
card_disconnect
release_context
`, []string{"6A88", "continuing", "installed what is in the file"}, "APPLET PACKAGE"},
	"install in steps": {`
mode_201
establish_context
card_connect
select -AID a000000003000000
open_sc -security 1 -keyind 0 -keyver 0 KEYS
install_for_load -pkgAID PACKAGE -nvCodeLimit 500  -sdAID A000000003000000
load -file IsoApplet.cap
install_for_install -instParam 00 -priv 02 -AID APPLET -pkgAID PACKAGE -instAID APPLET -nvDataLimit 500
card_disconnect
`, nil, "APPLET PACKAGE"},
	"install, then make selectable": {`
establish_context
card_connect
select -AID a000000151000000
open_sc -security 3 KEYS
install_for_load -pkgAID PACKAGE
load -file IsoApplet.cap
install_for_install -AID APPLET -pkgAID PACKAGE -instAID APPLET02
install_for_make_selectable -instAID APPLET02 -priv 0
get_status -element 40
send_apdu -sc 0 -APDU 00A404000DF276A288BCFBA69D34F3100102
`, []string{"APPLET02\tselectable"}, "APPLET02 PACKAGE"},
	"data": {`
establish_context
card_connect
send_apdu -sc 0 -APDU 00a4040007A0000001510000
send_apdu -sc 0 -noStop -APDU 80CAFF6000
send_apdu_nostop -APDU 80CAFF4000
select -AID A0000001510000
get_data -identifier ${TAG}
get_data -identifier 66
get_data -identifier 9F7F
get_card_recognition_data
get_key_information_templates -noStop
get_extended_card_resources_information
get_secure_channel_protocol_details
release_context
`, []string{"6631732F", "9F7F2A", "E012C00401FF", "FF21", "SCP0"}, ""},
	"change keys": {`
mode_211
establish_context
card_connect
select -AID A000000151000000
get_key_information_templates -noStop
open_sc -security 3 -keyind 0 -keyver 0 KEYS KEK
put_sc_key -keyver 0 -newkeyver 1 NEW // Put secure channel keys
card_disconnect
card_connect
open_sc -security 3 NEW
delete_key -keyver 4 -noStop
put_sc_key -keyver 0 -newkeyver 4 NEW
card_disconnect
card_connect
open_sc -security 3 -keyind 0 -keyver 4 NEW
get_status -element 20
delete_key -keyver 4 -keyind 255 -noStop
select -AID A000000151000000
open_sc -security 1 -keyver 1 NEW
put_sc_key -keyver 1 -newkeyver 1 KEYS KEK
release_context
`, nil, ""},
}

func TestScripts(t *testing.T) {
	for _, channel := range []string{"scp01-05", "scp01-15", "scp02-15", "scp02-55", "scp03-00", "scp03-70"} {
		for name, script := range scripts {
			t.Run(channel+" "+name, func(t *testing.T) {
				runScript(t, newCard(t, cardsim.Options{SecureChannel: channel}), script.text, script.says, script.there)
			})
		}
	}
}

func runScript(t *testing.T, card *cardsim.Card, text string, says []string, there string) {
	t.Helper()
	variables := map[string]string{"TAG": "00E0"}
	script, err := applet.ParseScript([]byte(scriptWords.Replace(text)), func(name string) string { return variables[name] })
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	_, err = applet.RunScript(t.Context(), deskWith(card, t.TempDir()), person(""), applet.ScriptOptions{
		Script: script,
		Dir:    filepath.Join("..", "..", "internal", "cardsim", "testdata"),
		Report: func(e applet.ScriptEvent) { _, _ = fmt.Fprintln(&said, e.Text) },
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	for _, want := range says {
		if !strings.Contains(said.String(), scriptWords.Replace(want)) {
			t.Errorf("no %q in %s", want, said.String())
		}
	}
	if got := contents(t, card); got != scriptWords.Replace(there) {
		t.Errorf("on the card are %q", got)
	}
}

// contents are the AIDs on a card with the test keys, applications first.
func contents(t *testing.T, card *cardsim.Card) string {
	t.Helper()
	l, err := applet.List(t.Context(), deskWith(card, ""), person(""), applet.Domain{DefaultKeys: true})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, item := range append(l.Applications, l.Packages...) {
		list = append(list, item.AID.String())
	}
	return strings.Join(list, " ")
}

// A package that something was installed from stays, unless GPShell's way is
// asked for.
func TestScriptDeletesWhatItNames(t *testing.T) {
	text := scriptWords.Replace("open_sc -security 1 KEYS\ndelete -AID PACKAGE\n")
	for _, test := range []struct {
		withApplets bool
		there       string
	}{{false, "APPLET PACKAGE"}, {true, ""}} {
		card := newCard(t, cardsim.Options{})
		if _, err := applet.Install(t.Context(), deskWith(card, ""), person(""), applet.InstallOptions{Domain: applet.Domain{DefaultKeys: true}, File: isoApplet(t)}); err != nil {
			t.Fatal(err)
		}
		script, err := applet.ParseScript([]byte(text), func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		said, told := "", false
		_, err = applet.RunScript(t.Context(), deskWith(card, ""), person(""), applet.ScriptOptions{
			Script: script, WithApplets: test.withApplets,
			Report: func(e applet.ScriptEvent) { said, told = said+e.Text, told || e.Unless != nil },
		})
		if got := contents(t, card); err != nil || got != scriptWords.Replace(test.there) || told == test.withApplets {
			t.Errorf("%t: %q, %q, %v", test.withApplets, got, said, err)
		}
	}
}
