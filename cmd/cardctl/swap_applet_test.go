//go:build unix

package main

import (
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
)

// TestSwappedJavaCard has another card in the reader at every moment of the
// commands that change a Java card.
func TestSwappedJavaCard(t *testing.T) {
	there := []string{"applet install $W/there.cap --card-keys default"}
	keys := []string{"card-keys"}
	files := map[string][]byte{"job.gpsh": []byte("open_sc -security 1 -key " + testKey + "\ndelete -AID F00000000101\ndelete -AID F000000001\ninstall -file new.cap\nget_status -element 60\n")}
	const open, put = "open_sc -security 1 -key " + testKey + "\n", "put_sc_key -keyver 0 -key " + testKey + " -newkeyver "
	files["keys.gpsh"] = []byte(open + put + "5\ncard_disconnect\n" + open + put + "6\n")
	for name, c := range map[string]capFile{
		"there.cap":  {pkg: "F000000001", applets: []string{"F00000000101"}},
		"new.cap":    {pkg: "F000000002", applets: []string{"F00000000201"}, code: 400},
		"muscle.cap": {pkg: "A000000001", applets: []string{"A00000000101"}},
	} {
		var err error
		if files[name], err = c.bytes(); err != nil {
			t.Fatal(err)
		}
	}
	workflows := map[string]swap{
		"applet list":                        {before: there, command: "applet list", secrets: keys},
		"applet install":                     {before: there, command: "applet install $W/new.cap", secrets: keys},
		"applet install, replacing":          {before: there, command: "applet install $W/there.cap --replace", secrets: keys},
		"applet delete":                      {before: there, command: "applet delete F000000001 --with-applets", secrets: keys},
		"applet set-keys":                    {before: there, command: "applet set-keys --keys-file $W/new.keys --generate", secrets: keys},
		"applet install, a further instance": {before: there, command: "applet install --package F000000001 --applet F00000000101 --instance F0000000AA", secrets: keys},
		"applet state lock":                  {before: there, command: "applet state lock F00000000101", secrets: keys},
		"applet state initialized":           {before: there, command: "applet state initialized", secrets: keys},
		"applet domain extradite": {
			before:  append(slices.Clone(there), "applet domain create F0000000DD --card-keys default"),
			command: "applet domain extradite F00000000101 --to F0000000DD", secrets: keys,
		},
		"applet delete of keys": {
			before:  append(slices.Clone(there), "applet script $W/keys.gpsh --yes"),
			command: "applet delete --key-version 6", secrets: keys,
		},
		"applet domain create": {before: there, command: "applet domain create F0000000DD", secrets: keys},
		"applet store-data":    {before: there, command: "applet store-data 4504A0B1C2D3", secrets: keys},
		"applet script":        {before: there, command: "applet script $W/job.gpsh"},
	}
	for name, channel := range map[string]string{"Java card, SCP02": "scp02-55", "Java card, SCP03": "scp03-70"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			swapAll(t, kindOfCard{
				name: name, options: cardsim.Options{Applications: []string{"gp"}, SecureChannel: channel, Profile: "short-apdus"},
				secrets: map[string]string{"card-keys": testKey}, files: files,
			}, workflows)
		})
	}
	t.Run("MUSCLE", func(t *testing.T) {
		t.Parallel()
		swapAll(t, kindOfCard{
			name: "MUSCLE", options: cardsim.Options{Applications: []string{"gp"}}, files: files,
			secrets: map[string]string{"pin": "246813", "so-pin": "13579246", "puk": "24681357"},
		}, map[string]swap{
			"init": {before: []string{"applet install $W/muscle.cap --card-keys default"}, command: "init --app muscle", secrets: []string{"so-pin", "pin", "puk"}},
		})
	})
}
