package piv

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// What is on a card beside keys and certificates is told without a PIN, and what the PIN
// opens only by its name.
func TestDetails(t *testing.T) {
	d := newTable(t, "piv-yubikey-5")
	d.pins = map[secret.Name]string{secret.PIN: newPIN, secret.PUK: newPUK}
	if _, err := d.initialise(card.InitOptions{Management: card.NewManagementKey{Protect: true}}); err != nil {
		t.Fatal(err)
	}
	d.asked = nil
	d.looking(func(ctx context.Context, c *onCard) error {
		facts, err := c.Details(ctx)
		if err != nil {
			return err
		}
		told, err := json.Marshal(facts[0].Value)
		want := `^\[{"tag":"5FC102","name":"card holder unique identifier","length":59,"guid":"[0-9A-F]{32}","expires":"20\d\d-\d\d-\d\d"},` +
			`{"tag":"5FC107","name":"card capability container","length":51},` +
			`{"tag":"5FC109","name":"printed information","needs":"user"},` +
			`{"tag":"5FFF00","name":"administration data of ykman","length":5},` +
			`{"tag":"5FC103","name":"fingerprints","needs":"user"},{"tag":"5FC108","name":"facial image","needs":"user"},` +
			`{"tag":"5FC121","name":"iris images","needs":"user"},{"tag":"7E","name":"discovery object","length":18}\]$`
		if !regexp.MustCompile(want).Match(told) || facts[0].Field != "dataObjects" {
			t.Errorf("%s", told)
		}
		lines := facts[0].Lines
		if len(lines) != 9 || lines[3] != (card.Line{Label: "printed information", Value: "readable with the user PIN only"}) ||
			!regexp.MustCompile(`^59 bytes, GUID [0-9A-F]{32}, expires 20`).MatchString(lines[1].Value) {
			t.Errorf("%q", lines)
		}
		return err
	})
	if slices.Contains(d.asked, secret.PIN) {
		t.Error("the PIN was asked for")
	}
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if cmd.INS == 0xCB {
			return []byte{0x53, 0x05, 0x01, 0x90, 0x00}
		}
		return answer
	}
	if err := d.on(func(ctx context.Context, c *onCard) error { _, err := c.Details(ctx); return err }); err == nil {
		t.Error("objects that are cut are not told")
	}
}
