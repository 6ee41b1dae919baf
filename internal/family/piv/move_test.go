package piv

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// certified is a card that moves keys, with a key and a certificate in a slot.
func certified(t *testing.T, slot app.Slot) (d *table, made *key.Generated, der []byte) {
	t.Helper()
	d = managed(t, "piv-yubikey-5.7")
	made = d.generated(slot, key.P256)
	der = d.certify(slot, made)
	return d, made, der
}

func (d *table) certify(slot app.Slot, made *key.Generated) []byte {
	d.t.Helper()
	der := certificateFor(d.t, made.Public, 10)
	d.looking(func(ctx context.Context, c *onCard) error { return c.key(slot).PutCertificate(ctx, der, nil) })
	return der
}

func (d *table) move(from, to app.Slot) (moved *key.Moved, err error) {
	d.t.Helper()
	err = d.on(func(ctx context.Context, c *onCard) error {
		ref := referenceOf(to)
		if to == 0 {
			if ref, err = c.key(from).Free(ctx); err != nil {
				return err
			}
		}
		moved, err = c.key(from).Move(ctx, ref)
		return err
	})
	return moved, err
}

// holds checks what is in a slot, nil for nothing.
func (d *table) holds(slot app.Slot, public any, der []byte) {
	d.t.Helper()
	d.looking(func(ctx context.Context, c *onCard) error {
		k := c.key(slot)
		stored, err := k.Certificate(ctx)
		if err != nil || !bytes.Equal(stored, der) {
			d.t.Errorf("%s: a certificate of %d bytes, want %d; %v", k.ref, len(stored), len(der), err)
		}
		got, err := k.Public(ctx)
		if problem.Is(err, problem.NotFound) {
			got, err = nil, nil
		}
		if err != nil || (got == nil) != (public == nil) || public != nil && !pubkey.Same(got, public) {
			d.t.Errorf("%s: %v, %v", k.ref, got, err)
		}
		return nil
	})
}

// history is what the card's key history object says; -1 where there is none.
func (d *table) history() (certified int) {
	d.t.Helper()
	d.looking(func(ctx context.Context, c *onCard) error {
		object, err := c.app.GetData(ctx, app.KeyHistory)
		if err != nil || object == nil {
			certified = -1
			return err
		}
		h, err := app.ParseHistory(object)
		certified = int(h.OnCard)
		return err
	})
	return certified
}

func TestMove(t *testing.T) {
	d, made, der := certified(t, app.Authentication)
	moved, err := d.move(app.Authentication, 0x83)
	if err != nil || moved.Finished || !bytes.Equal(moved.Certificate, der) || moved.Key.Reference().Text != "PIV.83" {
		t.Fatalf("%+v, %v", moved, err)
	}
	d.holds(app.Authentication, nil, nil)
	d.holds(0x83, made.Public, der)
	if n := d.history(); n != 2 {
		t.Errorf("key history: %d", n)
	}
	if _, err := d.move(app.Authentication, 0x84); !problem.Is(err, problem.NotFound) {
		t.Errorf("nothing: %v", err)
	}
	// Down, to the first that is free, and back: the history follows.
	if _, err := d.move(0x83, 0); err != nil || d.history() != 1 {
		t.Errorf("history %d, %v", d.history(), err)
	}
	if _, err := d.move(0x82, app.Signature); err != nil || d.history() != 0 {
		t.Errorf("history %d, %v", d.history(), err)
	}
	d.holds(app.Signature, made.Public, der)
}

// A key without a certificate leaves the history alone.
func TestMoveWithoutACertificate(t *testing.T) {
	d := managed(t, "piv-yubikey-5.7")
	made := d.generated(app.KeyManagement, key.P256)
	if moved, err := d.move(app.KeyManagement, 0); err != nil || moved.Certificate != nil || moved.Key.Reference().Text != "PIV.82" {
		t.Fatalf("%+v, %v", moved, err)
	}
	d.holds(0x82, made.Public, nil)
	if n := d.history(); n != -1 {
		t.Errorf("key history: %d", n)
	}
	// The next one goes behind it, and the one after it behind a certificate alone.
	d.generated(app.KeyManagement, key.P256)
	if moved, err := d.move(app.KeyManagement, 0); err != nil || moved.Key.Reference().Text != "PIV.83" {
		t.Fatalf("%+v, %v", moved, err)
	}
	content, _ := certificateObject(t)
	d.another(func(o *tool) { o.put("5FC10F", content) })
	d.generated(app.KeyManagement, key.P256)
	if moved, err := d.move(app.KeyManagement, 0); err != nil || moved.Key.Reference().Text != "PIV.85" {
		t.Fatalf("%+v, %v", moved, err)
	}
}

func TestMoveIsRefused(t *testing.T) {
	d, made, der := certified(t, app.Authentication)
	d.generated(0x82, key.P256)
	content, _ := certificateObject(t)
	d.another(func(o *tool) { o.put("5FC10E", content) })
	for to, code := range map[app.Slot]problem.Code{0x82: problem.Refused, 0x83: problem.Refused, app.Attestation: problem.NotSupported} {
		if _, err := d.move(app.Authentication, to); !problem.Is(err, code) {
			t.Errorf("to %02X: %v", byte(to), err)
		}
	}
	if _, err := d.move(app.Attestation, 0x84); !problem.Is(err, problem.NotSupported) {
		t.Errorf("the attestation key: %v", err)
	}
	d.holds(app.Authentication, made.Public, der)
	for _, profile := range []string{"piv-nist", "piv-yubikey-4", "piv-yubikey-5"} {
		old := managed(t, profile)
		old.generated(app.Authentication, key.P256)
		for _, to := range []app.Slot{0x82, 0} {
			if _, err := old.move(app.Authentication, to); !problem.Is(err, problem.NotSupported) {
				t.Errorf("%s: %v", profile, err)
			}
		}
	}
}

// A card that says of no slot what is in it keeps its keys where they are.
func TestMoveOnACardThatReportsNothing(t *testing.T) {
	d := managed(t, "piv-yubikey-5.7")
	made := d.generated(app.Authentication, key.P256)
	d.sent = nil
	d.instead = func(cmd iso7816.Command) []byte {
		const attest, metadata = 0xF9, 0xF7
		if slices.Contains([]byte{attest, metadata, iso7816.InsGeneralAuthenticate}, cmd.INS) {
			return []byte{0x6D, 0x00}
		}
		return nil
	}
	_, err := d.move(app.Authentication, 0x82)
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Refused || p.Next.Action != advice.ShowCard {
		t.Errorf("%v, %+v", err, p)
	}
	if slices.ContainsFunc(d.sent, func(cmd iso7816.Command) bool { return cmd.INS == 0xF6 }) {
		t.Error("the card was told to move a key")
	}
	d.instead = nil
	d.holds(app.Authentication, made.Public, nil)
}

// The card leaves the reader at each command: the same command, run again, completes it,
// and nothing is ever lost.
func TestMoveIsContinued(t *testing.T) {
	for _, to := range []app.Slot{0x84, 0} {
		for _, lost := range []bool{false, true} {
			for n := 1; ; n++ {
				d, made, der := certified(t, app.Authentication)
				d.sent, d.pulled, d.lost = nil, n, lost
				_, first := d.move(app.Authentication, to)
				whole := len(d.sent) < n
				d.pulled = 0
				if first == nil && !whole || first != nil && !problem.Is(first, problem.CardRemoved) {
					t.Fatalf("pulled at %d: %v", n, first)
				}
				goal := cmp.Or(to, 0x82)
				_, err := d.move(app.Authentication, to)
				// Nothing tells a whole move from an empty slot: where the key is, is told.
				why := fmt.Sprintf("%X (p256, %s)", byte(goal), pubkey.Fingerprint(made.Public))
				if err != nil && !(problem.Is(err, problem.NotFound) && errors.Is(err, app.ErrEmpty) && strings.Contains(err.Error(), why)) {
					t.Errorf("pulled at %d, then %v", n, err)
				}
				d.holds(app.Authentication, nil, nil)
				d.holds(goal, made.Public, der)
				if h := d.history(); h != goal.Position() {
					t.Errorf("pulled at %d: key history %d", n, h)
				}
				if whole {
					break
				}
			}
		}
	}
}

// A move that the card reports and did not do is no move.
func TestMoveThatDidNotHappen(t *testing.T) {
	d, made, der := certified(t, app.Authentication)
	d.dropped = 0xF6
	if _, err := d.move(app.Authentication, 0x82); !problem.Is(err, problem.Failed) {
		t.Errorf("got %v", err)
	}
	d.dropped = 0
	d.holds(app.Authentication, made.Public, der)
	if _, err := d.move(app.Authentication, 0x82); err != nil {
		t.Error(err)
	}
	d.holds(0x82, made.Public, der)
}

func TestDelete(t *testing.T) {
	d, _, der := certified(t, app.Authentication)
	work := func() error {
		return d.on(func(ctx context.Context, c *onCard) error { return c.key(app.Authentication).Delete(ctx) })
	}
	d.dropped = 0xF6
	if err := work(); !problem.Is(err, problem.Failed) {
		t.Errorf("a card that does nothing: %v", err)
	}
	d.dropped = 0
	if err := work(); err != nil {
		t.Fatal(err)
	}
	d.holds(app.Authentication, nil, der)
	for _, profile := range []string{"piv-nist", "piv-yubikey-4", "piv-yubikey-5"} {
		d := managed(t, profile)
		d.generated(app.Authentication, key.P256)
		for name, work := range map[string]func(context.Context, *slotKey) error{
			"Delete": func(ctx context.Context, k *slotKey) error { return k.Delete(ctx) }, "Deletable": func(ctx context.Context, k *slotKey) error { return k.Deletable(ctx) },
		} {
			err := d.on(func(ctx context.Context, c *onCard) error { return work(ctx, c.key(app.Authentication)) })
			if !problem.Is(err, problem.NotSupported) {
				t.Errorf("%s, %s: %v", profile, name, err)
			}
		}
	}
}

// What the history says of certificates elsewhere stays, and slots that nobody told of are
// found.
func TestKeyHistory(t *testing.T) {
	d := managed(t, "piv-yubikey-5.7")
	content, _ := certificateObject(t)
	d.another(func(o *tool) { o.put("5FC112", content) }) // 87, the sixth
	made := d.generated(0x83, key.P256)
	d.certify(0x83, made)
	if n := d.history(); n != 6 {
		t.Errorf("without an object: %d", n)
	}
	d.another(func(o *tool) { o.put("5FC10C", []byte("\xC1\x01\x02\xC2\x01\x03\xF3\x09http://xy\xFE\x00")) })
	d.certify(0x83, made)
	d.looking(func(ctx context.Context, c *onCard) error {
		if err := c.key(0x83).DeleteCertificate(ctx); err != nil {
			return err
		}
		object, err := c.app.GetData(ctx, app.KeyHistory)
		if want := "\xC1\x01\x00\xC2\x01\x03\xF3\x09http://xy\xFE\x00"; string(object) != want {
			t.Errorf("%X", object)
		}
		return err
	})
}

// A key that another program put there after the caller was told is neither deleted nor
// overwritten.
func TestAKeyThatCameMeanwhile(t *testing.T) {
	for name, work := range map[string]func(context.Context, *slotKey) error{
		"delete": func(ctx context.Context, k *slotKey) error { return k.Delete(ctx) },
		"generate": func(ctx context.Context, k *slotKey) error {
			_, err := k.Generate(ctx, key.Spec{})
			return err
		},
		"import": func(ctx context.Context, k *slotKey) error {
			_, err := k.Import(ctx, brought(t, key.P256), key.Spec{})
			return err
		},
	} {
		d := managed(t, "piv-yubikey-5.7")
		d.generated(app.Authentication, key.P256)
		var came any
		err := d.on(func(ctx context.Context, c *onCard) error {
			k := c.key(app.Authentication)
			if _, err := k.Occupant(ctx); err != nil {
				return err
			}
			if err := c.line.Release(); err != nil {
				return err
			}
			d.another(func(o *tool) { o.send(0x47, 0, 0x9A, "AC03800111") })
			return work(ctx, k)
		})
		d.looking(func(ctx context.Context, c *onCard) (err error) {
			came, err = c.key(app.Authentication).Public(ctx)
			return err
		})
		if !problem.Is(err, problem.Refused) || came == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
