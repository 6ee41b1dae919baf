package openpgp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// answering changes the answers of a card to some commands.
type answering struct {
	iso7816.Connection
	answer func(cmd iso7816.Command) []byte // nil where the card answers
}

func (a answering) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if cmd, _, err := iso7816.ParseCommand(slices.Clone(apdu)); err == nil {
		if answer := a.answer(cmd); answer != nil {
			return answer, nil
		}
	}
	return a.Connection.Transmit(ctx, apdu)
}

func (d *table) answers(answer func(cmd iso7816.Command) []byte) {
	d.wrap = func(conn iso7816.Connection) iso7816.Connection { return answering{conn, answer} }
}

// probed is what the probe says of the card, and what describe adds.
func (d *table) probed() (found *card.Identity) {
	d.t.Helper()
	ctx := d.t.Context()
	line, err := (&desk.Desk{Simulated: d}).OpenIn(ctx, desk.SimulatedPrefix+"card")
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = line.Close() }()
	ch, err := line.Channel(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	probe := Family().Probes[0]
	answer, err := ch.Select(ctx, probe.AID)
	a, err := probe.Answer(ctx, ch, answer, err)
	if err != nil {
		d.t.Fatal(err)
	}
	if a == nil {
		return nil
	}
	found = &card.Identity{Applications: []card.Application{*a}, State: a.State}
	if err := Family().Describe(ctx, line, found); err != nil {
		d.t.Fatal(err)
	}
	return found
}

// TestProbe: SELECT and one GET DATA tell everything of a card that names itself;
// 9000 alone is no OpenPGP card.
func TestProbe(t *testing.T) {
	for profile, version := range map[string]string{"": "3.4", "openpgp-2.0": "2.0", "exact-le-6cxx": "3.4"} {
		d := newTableOf(t, cardsim.Options{Profile: profile, Serial: "12345678"})
		found := d.probed()
		if found == nil || found.Serial != "FFFE12345678" || found.Applications[0].Version != version || len(found.Applications[0].AID) != 32 {
			t.Errorf("%s: %+v", profile, found)
		}
		if n := d.card.Traffic().APDUs; profile == "" && n > 2 {
			t.Errorf("%d APDUs, 2 are enough", n)
		}
	}
	d := newTable(t, "")
	d.terminate()
	if found := d.probed(); found == nil || found.State != "terminated" {
		t.Errorf("terminated: %+v", found)
	}
	if found := newTableOf(t, cardsim.Options{Applications: []string{"pkcs15"}}).probed(); found != nil {
		t.Errorf("a PKCS#15 card is %+v", found)
	}
	silent := newTable(t, "")
	silent.answers(func(cmd iso7816.Command) []byte {
		if cmd.INS == iso7816.InsSelect {
			return []byte{0x90, 0x00}
		}
		return []byte{0x6D, 0x00}
	})
	if found := silent.probed(); found != nil {
		t.Errorf("an applet that answers 9000 to every SELECT is %+v", found)
	}
	err := silent.on(func(context.Context, session) error { return nil })
	if !errors.Is(err, card.ErrLacks) {
		t.Errorf("it was opened: %v", err)
	}
	short := newTableOf(t, cardsim.Options{Serial: "12345678"})
	short.wrap = func(conn iso7816.Connection) iso7816.Connection { return terse{conn} }
	if found := short.probed(); found == nil || found.Serial != "FFFE12345678" {
		t.Errorf("without control information: %+v", found)
	}
}

// terse answers SELECT without control information.
type terse struct{ iso7816.Connection }

func (c terse) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	answer, err := c.Connection.Transmit(ctx, apdu)
	if n := len(answer); apdu[1] == iso7816.InsSelect && n > 2 {
		answer = answer[n-2:]
	}
	return answer, err
}

// TestWhatCannotBeReadHidesNothingElse has a card refuse one data object after
// the other.
func TestWhatCannotBeReadHidesNothingElse(t *testing.T) {
	for _, tag := range []uint16{0x65, 0x5E, 0x5F50, 0x7A, 0x4F} {
		for _, status := range [][]byte{{0x6E, 0x00}, {0x69, 0x82}, {0x69, 0x85}} {
			d := newTable(t, "")
			d.generate("OPENPGP.3")
			d.answers(func(cmd iso7816.Command) []byte {
				if cmd.INS == iso7816.InsGetData && uint16(cmd.P1)<<8|uint16(cmd.P2) == tag {
					return status
				}
				return nil
			})
			err := d.on(func(ctx context.Context, s session) error {
				facts, err := s.card.Facts(ctx)
				pins, failed := s.card.PINs(ctx)
				if len(facts) == 0 || len(pins) != 3 {
					t.Errorf("%X, %X: %v, %v", tag, status, facts, pins)
				}
				return errors.Join(err, failed)
			})
			if err != nil || len(d.keys()) != 1 {
				t.Errorf("%X, %X: %v", tag, status, err)
			}
		}
	}
}

func TestFacts(t *testing.T) {
	d := newTable(t, "")
	for tag, value := range map[uint16]string{0x5B: "Head<<Floppy", 0x5E: "floppy", 0x5F50: "https://example.com/key"} {
		if err := d.put(tag, value); err != nil {
			t.Fatal(err)
		}
	}
	err := d.on(func(ctx context.Context, s session) error {
		facts, err := s.card.Facts(ctx)
		told, failed := json.Marshal(facts[0].Value)
		const want = `{"name":"Floppy Head","login":"floppy","url":"https://example.com/key"}`
		if string(told) != want || facts[0].Field != "cardholder" || len(facts[0].Lines) != 4 || facts[1].Field != "signatureCount" || facts[1].Value != 0 {
			t.Errorf("%+v", facts)
		}
		return errors.Join(err, failed)
	})
	if err != nil {
		t.Error(err)
	}
}

// The data for private use are shown without a PIN, as text or in hex; those that need a
// PIN say which.
func TestPrivateData(t *testing.T) {
	long := strings.Repeat("\xFF", 255)
	for name, test := range map[string]struct {
		first, second string
		want          string
		lines         []string
	}{
		"nothing": {"", "", `{"tag":"0101","length":0},{"tag":"0102","length":0}`, []string{"empty", "empty"}},
		"text": {"Größe: 7\n", "a  b", `{"tag":"0101","length":11,"text":"Größe: 7\n"},{"tag":"0102","length":4,"text":"a  b"}`,
			[]string{"11 bytes: Größe: 7\n", "4 bytes: a  b"}},
		"bytes": {"\x1b[2J", long, `{"tag":"0101","length":4,"hex":"1B5B324A"},{"tag":"0102","length":255,"hex":"` + strings.Repeat("FF", 255) + `"}`,
			[]string{"4 bytes: 1B5B324A", "255 bytes: " + strings.Repeat(strings.Repeat("FF", 32)+" ", 7) + strings.Repeat("FF", 31)}},
		"letters that turn the line": {"a\u202Eb", "\xE4", `{"tag":"0101","length":5,"hex":"61E280AE62"},{"tag":"0102","length":1,"hex":"E4"}`, []string{"5 bytes: 61E280AE62", "1 byte: E4"}},
	} {
		for _, profile := range []string{"", "short-apdus", "openpgp-2.0"} {
			d := newTable(t, profile)
			d.putPrivate(test.first, test.second)
			before := d.tries()
			err := d.on(func(ctx context.Context, s session) error {
				facts, err := s.card.Details(ctx)
				if err != nil {
					return err
				}
				told, err := json.Marshal(facts[0].Value)
				want := "[" + test.want + `,{"tag":"0103","needs":"user"},{"tag":"0104","needs":"admin"}]`
				lines := append([]card.Line{{Label: "Private data"}, {Label: "0101", Value: test.lines[0]}, {Label: "0102", Value: test.lines[1]}},
					card.Line{Label: "0103", Value: "readable with the user PIN only"}, card.Line{Label: "0104", Value: "readable with the admin PIN only"})
				if string(told) != want || facts[0].Field != "privateData" || !slices.Equal(facts[0].Lines, lines) {
					t.Errorf("%s, %s: %s\n%q", name, profile, told, facts[0].Lines)
				}
				return err
			})
			if err != nil || len(d.asked) > 0 || !slices.Equal(d.tries(), before) {
				t.Errorf("%s, %s: %v, %v", name, profile, err, d.asked)
			}
		}
	}
}

// A card without these data shows nothing of them; one that fails says so.
func TestNoPrivateData(t *testing.T) {
	for status, fails := range map[string]bool{"\x6A\x88": false, "\x6B\x00": false, "\x6D\x00": false, "\x69\x82": false, "\x6F\x00": true} {
		d := newTable(t, "")
		d.answers(func(cmd iso7816.Command) []byte {
			if cmd.INS == iso7816.InsGetData && cmd.P1 == 1 {
				return []byte(status)
			}
			return nil
		})
		err := d.on(func(ctx context.Context, s session) error {
			facts, err := s.card.Details(ctx)
			if (len(facts) > 0) != (status == "\x69\x82") {
				t.Errorf("%X: %+v", status, facts)
			}
			return err
		})
		if (err != nil) != fails {
			t.Errorf("%X: %v", status, err)
		}
	}
}

// What a card has may be longer than the simulated one's.
func TestLongPrivateData(t *testing.T) {
	d := newTable(t, "")
	d.answers(func(cmd iso7816.Command) []byte {
		if cmd.INS == iso7816.InsGetData && cmd.P1 == 1 && cmd.P2 == 2 {
			return append(bytes.Repeat([]byte{'x'}, 2048), 0x90, 0x00)
		}
		if cmd.INS == iso7816.InsGetData && cmd.P1 == 1 && cmd.P2 == 1 {
			return []byte{0x69, 0x82}
		}
		return nil
	})
	err := d.on(func(ctx context.Context, s session) error {
		facts, err := s.card.Details(ctx)
		if err == nil && (facts[0].Lines[1].Value != "readable with a PIN only" || facts[0].Lines[2].Value != "2048 bytes: "+strings.Repeat("x", 2048)) {
			t.Errorf("%+v", facts)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// putPrivate writes the data for private use that everybody may read.
func (d *table) putPrivate(first, second string) {
	d.t.Helper()
	conn, err := d.card.Connect(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = conn.Close(true) }()
	ch := iso7816.NewChannel(conn, iso7816.Capabilities{Chaining: true})
	_, err = ch.Select(d.t.Context(), Family().Probes[0].AID)
	for _, cmd := range []iso7816.Command{
		{INS: iso7816.InsVerify, P2: 0x82, Data: []byte(factoryUser)}, {INS: iso7816.InsVerify, P2: 0x83, Data: []byte(factoryAdmin)},
		{INS: iso7816.InsPutData, P1: 1, P2: 1, Data: []byte(first)}, {INS: iso7816.InsPutData, P1: 1, P2: 2, Data: []byte(second)},
	} {
		if err == nil {
			_, err = ch.Send(d.t.Context(), cmd)
		}
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// put writes a data object behind everybody's back.
func (d *table) put(tag uint16, value string) error {
	conn, err := d.card.Connect(d.t.Context())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(true) }()
	ch := iso7816.NewChannel(conn, iso7816.Capabilities{Chaining: true})
	_, err = ch.Select(d.t.Context(), Family().Probes[0].AID)
	for _, cmd := range []iso7816.Command{
		{INS: iso7816.InsVerify, P2: 0x83, Data: []byte("12345678")},
		{INS: iso7816.InsPutData, P1: byte(tag >> 8), P2: byte(tag), Data: []byte(value)},
	} {
		if err == nil {
			_, err = ch.Send(d.t.Context(), cmd)
		}
	}
	return err
}

func TestPINs(t *testing.T) {
	d := newTable(t, "")
	err := d.on(func(ctx context.Context, s session) error {
		pins, err := s.card.PINs(ctx)
		if err != nil {
			return err
		}
		for i, want := range []struct {
			role  pin.Role
			min   int
			unset bool
			left  int
		}{{pin.User, 6, false, 3}, {pin.ResetCode, 8, true, 0}, {pin.Admin, 8, false, 3}} {
			left, err := pins[i].Tries(ctx, false)
			if p := pins[i]; p.Role != want.role || p.Min != want.min || p.Max != 127 || p.Unset != want.unset || left != pin.Left(want.left) || err != nil {
				t.Errorf("%+v, %v, %v", p, left, err)
			}
		}
		return nil
	})
	if n := d.card.Traffic().APDUs; err != nil || n != 2 {
		t.Errorf("%v, %d APDUs", err, n)
	}
}

// TestAKeyTellsItsPIN: the user PIN to use it, the admin PIN for everything else.
func TestAKeyTellsItsPIN(t *testing.T) {
	newTable(t, "").open("OPENPGP.1", func(k key.Key) {
		for purpose, role := range map[key.Purpose]pin.Role{key.ToUse: pin.User, key.ToMake: pin.Admin, key.ToStore: pin.Admin} {
			if p, err := k.PIN(t.Context(), purpose); err != nil || p.Role != role || p.Derived || !strings.HasPrefix(p.Holder, "OpenPGP card FFFE") {
				t.Errorf("%d: %+v, %v", purpose, p, err)
			}
		}
		holder, err := k.Holder(t.Context())
		if err != nil || holder.Driver != "openpgp" || holder.Card != "OpenPGP card "+holder.Serial || !holder.SharedPIN || holder.Place != "signature" || holder.ShownInstead != "OPENPGP.3" {
			t.Errorf("%+v, %v", holder, err)
		}
		able, err := k.Algorithms(t.Context())
		if err != nil || !slices.Contains(able, key.Ed25519) || slices.Contains(able, key.X25519) {
			t.Errorf("%v, %v", able, err)
		}
	})
	newTable(t, "kdf").open("OPENPGP.1", func(k key.Key) {
		if p, err := k.PIN(t.Context(), key.ToUse); err != nil || !p.Derived {
			t.Errorf("KDF: %+v, %v", p, err)
		}
	})
}

// TestUnknownTriesAreNotEnough has a card whose data has no password status.
func TestUnknownTriesAreNotEnough(t *testing.T) {
	d := newTable(t, "")
	d.generate("OPENPGP.3")
	d.wrap = func(conn iso7816.Connection) iso7816.Connection { return statusless{conn} }
	d.pins[secret.PIN], d.pins[secret.NewPIN] = "123456", "654321"
	if err := d.setPIN(pin.User); !problem.Is(err, problem.TriesUnknown) {
		t.Errorf("%v", err)
	}
	if tries := d.tries(); tries[0] != 3 {
		t.Errorf("%v", tries)
	}
	d.unknown = true
	if err := d.setPIN(pin.User); err != nil {
		t.Errorf("allowed: %v", err)
	}
}

// statusless gives DO C4 another tag.
type statusless struct{ iso7816.Connection }

func (s statusless) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	answer, err := s.Connection.Transmit(ctx, apdu)
	const length, maxima = 0x07, 0x7F
	for i := range len(answer) - 5 {
		if answer[i] == 0xC4 && answer[i+1] == length && answer[i+3] == maxima && answer[i+4] == maxima {
			answer[i] = 0xC0 + 0x0B
		}
	}
	return answer, err
}
