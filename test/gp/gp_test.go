// Package gp runs the two sides of GlobalPlatform against each other: cardctl's
// and the simulated Java card's, which were written from the specification
// without shared code. Each side alone is left to its own tests.
package gp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

const javaCard = "gp"

// isoApplet is a CAP file with the AIDs of IsoApplet.
func isoApplet(t *testing.T) *applet.File {
	t.Helper()
	file, err := applet.ReadFile(t.Context(), filepath.Join("..", "..", "internal", "cardsim", "testdata", "IsoApplet.cap"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func newCard(t *testing.T, o cardsim.Options, faults ...cardsim.Fault) *cardsim.Card {
	t.Helper()
	o.Applications = []string{javaCard}
	card, err := cardsim.NewCard(o, faults...)
	if err != nil {
		t.Fatal(err)
	}
	return card
}

// connect powers the card.
func connect(t *testing.T, card *cardsim.Card) (*iso7816.Channel, func()) {
	t.Helper()
	conn, err := card.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	can := iso7816.CapabilitiesOf(iso7816.HistoricalBytes(conn.ATR()))
	return iso7816.NewChannel(conn, can), func() { _ = conn.Close(true) }
}

func counting(length int, from byte) []byte {
	key := make([]byte, length)
	for i := range key {
		key[i] = from + byte(i)
	}
	return key
}

func keySet(t *testing.T, key []byte) *gp.KeySet {
	t.Helper()
	keys, err := gp.NewKeySet(key, key, key)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Every protocol, key length and security level: the registry is read, a
// package loaded and installed, the keys are changed, and all is deleted in a
// session with the new ones.
func TestSessions(t *testing.T) {
	levels := []gp.Level{gp.LevelNone, gp.LevelMAC, gp.LevelEncryption, gp.RMAC, gp.LevelRMAC, gp.LevelEncryptedRMAC, gp.LevelFull}
	for _, channel := range cardsim.SecureChannels() {
		lengths := []int{16}
		if strings.HasPrefix(channel, "scp03") {
			lengths = []int{16, 24, 32}
		}
		worked := 0
		for _, length := range lengths {
			for _, level := range levels {
				t.Run(fmt.Sprintf("%s %d %02X", channel, length, byte(level)), func(t *testing.T) {
					old := counting(length, 0x10)
					card := newCard(t, cardsim.Options{SecureChannel: channel, CardKeys: [][]byte{old}})
					if session(t, card, old, counting(length, 0x60), level) {
						worked++
					}
				})
			}
		}
		if worked < 3*len(lengths) {
			t.Errorf("%s: %d levels", channel, worked)
		}
	}
}

// session reports whether the protocol has the level.
func session(t *testing.T, card *cardsim.Card, old, fresh []byte, level gp.Level) bool {
	t.Helper()
	ctx := t.Context()
	ch, release := connect(t, card)
	defer release()
	file := isoApplet(t)
	domain, err := gp.Discover(ctx, ch, nil)
	if err != nil {
		t.Fatal(err)
	}
	open := func(key []byte, version byte) error {
		return domain.Open(ctx, gp.Credentials{Keys: keySet(t, key), KeyVersion: version, Level: level})
	}
	if err := open(old, 1); err != nil {
		if errors.Is(err, gp.ErrProtocol) {
			return false
		}
		t.Fatal(err)
	}
	entries, err := domain.Status(ctx, gp.IssuerDomain, nil)
	if err != nil || len(entries) != 1 || !entries[0].AID.Equal(domain.AID()) {
		t.Fatalf("%+v, %v", entries, err)
	}
	pkg, module := file.Package.AID, file.Applets[0]
	if err := domain.InstallForLoad(ctx, pkg, nil, nil, gp.Memory{}); err != nil {
		t.Fatal(err)
	}
	if err := domain.Load(ctx, file.LoadFile(false, false), gp.Blocks{Total: 200}, func(int) {}); err != nil {
		t.Fatal(err)
	}
	i := gp.Instance{File: pkg, Module: module, AID: module, Parameters: gp.InstallParameters(nil, gp.Memory{}, nil)}
	if err := domain.InstallAndMakeSelectable(ctx, i); err != nil {
		t.Fatal(err)
	}
	if err := domain.PutKeys(ctx, gp.NewKeys{Keys: keySet(t, fresh), Cipher: domain.Session().Protocol.Cipher(), Replace: 1, Version: 2}); err != nil {
		t.Fatal(err)
	}
	if err := open(fresh, 2); err != nil {
		t.Fatal(err)
	}
	if entries, err = domain.Status(ctx, gp.Application, nil); err != nil || len(entries) != 1 || !entries[0].AID.Equal(module) {
		t.Fatalf("%+v, %v", entries, err)
	}
	if err := domain.Delete(ctx, pkg, true); err != nil {
		t.Fatal(err)
	}
	if err := open(old, 0); err == nil {
		t.Fatal("the old keys work")
	}
	return true
}

// one is a desk with one card.
type one struct{ card *cardsim.Card }

func (o one) List() ([]cardsim.Info, error) { return nil, nil }

func (o one) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	return o.card.Connect(ctx)
}

// deskWith is a desk with a card, and what is remembered in a directory.
func deskWith(card *cardsim.Card, state string) *desk.Desk {
	return &desk.Desk{
		Simulated: one{card}, Meant: desk.Selection{Reader: "sim:java"}, Detail: func(string, ...any) {},
		StateDir: func() (string, error) { return state, nil },
	}
}

// person is somebody with card keys, who says yes.
func person(keys string) desk.Access {
	return desk.Access{
		Now:     time.Now,
		Confirm: func(context.Context, desk.Question) error { return nil },
		Ask: func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
			if r.Optional {
				return nil, nil
			}
			return secret.New([]byte(keys)), nil
		},
	}
}

// work is a workflow on a card, with a directory for its files.
type work func(ctx context.Context, d *desk.Desk, a desk.Access, dir string) error

// The card pulled at every APDU of install, delete and set-keys: afterwards the
// card can be listed with keys that are known, and the same again completes.
func TestPulled(t *testing.T) {
	old := counting(16, 0x10)
	install := func(ctx context.Context, d *desk.Desk, a desk.Access, _ string) error {
		_, err := applet.Install(ctx, d, a, applet.InstallOptions{File: isoApplet(t), Replace: true})
		return err
	}
	remove := func(ctx context.Context, d *desk.Desk, a desk.Access, _ string) error {
		_, err := applet.Delete(ctx, d, a, applet.DeleteOptions{AID: isoApplet(t).Package.AID, WithApplets: true})
		return err
	}
	for _, work := range []struct {
		name    string
		channel string
		before  work
		do      work
	}{
		{"install", "scp02-55", nil, install},
		{"replace", "scp03-70", install, install},
		{"delete", "scp01-15", install, remove},
		{"set-keys", "scp03-11", nil, func(ctx context.Context, d *desk.Desk, a desk.Access, dir string) error {
			file := filepath.Join(dir, "keys")
			_ = os.Remove(file) // of the attempt before, which left the card as it was
			_, err := applet.SetKeys(ctx, d, a, applet.SetKeysOptions{Generate: true, File: file})
			return err
		}},
	} {
		t.Run(work.name, func(t *testing.T) {
			for n, done := 1, false; !done; n++ {
				for when, fault := range map[string]func(int) cardsim.Fault{"before": cardsim.RemoveBefore, "after": cardsim.RemoveAfter} {
					t.Run(fmt.Sprintf("%s %d", when, n), func(t *testing.T) {
						done = pulled(t, work.channel, old, work.before, work.do, fault, n)
					})
				}
				if n > 200 {
					t.Fatal("it does not end")
				}
			}
		})
	}
}

// pulled reports whether the work was over before APDU n.
func pulled(t *testing.T, channel string, old []byte, before, do work, fault func(int) cardsim.Fault, n int) bool {
	t.Helper()
	ctx, dir, someone := t.Context(), t.TempDir(), person(fmt.Sprintf("%X", old))
	o := cardsim.Options{SecureChannel: channel, CardKeys: [][]byte{old}, Serial: "12345678"}
	offset := 0
	if before != nil {
		dry := newCard(t, o)
		if err := before(ctx, deskWith(dry, dir), someone, dir); err != nil {
			t.Fatal(err)
		}
		offset = dry.Traffic().APDUs
	}
	card := newCard(t, o, fault(offset+n))
	if before != nil {
		if err := before(ctx, deskWith(card, dir), someone, dir); err != nil {
			t.Fatal(err)
		}
	}
	err := do(ctx, deskWith(card, dir), someone, dir)
	if err == nil {
		return true
	}
	keys := known(t, card, dir, old)
	if keys != fmt.Sprintf("%X", old) {
		return false // the card has the new keys: there is nothing to repeat
	}
	if err := do(ctx, deskWith(card, dir), someone, dir); err != nil && !gone(err) {
		t.Fatalf("again: %v", err)
	}
	return false
}

// gone is the answer of delete where there is nothing left to delete.
func gone(err error) bool {
	var p *problem.Error
	return errors.As(err, &p) && p.Code == problem.NotFound
}

// known lists the card with the old keys or those of the file, and returns
// which the card has.
func known(t *testing.T, card *cardsim.Card, dir string, old []byte) string {
	t.Helper()
	candidates := []string{fmt.Sprintf("%X", old)}
	if text, err := os.ReadFile(filepath.Join(dir, "keys")); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(text)))
	}
	var last error
	for _, keys := range candidates {
		if _, last = applet.List(t.Context(), deskWith(card, ""), person(keys), applet.Domain{}); last == nil {
			return keys
		}
	}
	t.Fatalf("the card cannot be listed with keys that are known: %v", last)
	return ""
}
