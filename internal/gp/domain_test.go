package gp

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// script is a card that expects commands in order and answers what is written.
type script struct {
	t     *testing.T
	lines []string // "COMMAND > ANSWER"
}

func (s *script) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	s.t.Helper()
	if len(s.lines) == 0 {
		s.t.Fatalf("a command after the last: %X", apdu)
	}
	command, answer, _ := strings.Cut(s.lines[0], ">")
	s.lines = s.lines[1:]
	if got := strings.ToUpper(hex.EncodeToString(apdu)); got != strings.TrimSpace(command) {
		s.t.Fatalf("got %s, want %s", got, command)
	}
	return unhex(s.t, strings.TrimSpace(answer)), nil
}

func scripted(t *testing.T, lines ...string) (*iso7816.Channel, *script) {
	s := &script{t: t, lines: lines}
	t.Cleanup(func() {
		if len(s.lines) > 0 {
			t.Errorf("not sent: %v", s.lines)
		}
	})
	return iso7816.NewChannel(s, iso7816.Capabilities{}), s
}

func TestDiscover(t *testing.T) {
	const recognition = "66 0F 73 0D 64 0B 06 09 2A864886FC6B040255"
	for name, test := range map[string]struct {
		lines []string
		aid   AID
		want  string
	}{
		"by default":    {[]string{"00A4040000 > 6F0C8408A000000151000000A5009000"}, nil, "A000000151000000"},
		"Open Platform": {[]string{"00A4040000 > 6A82", "00A4040008A00000015100000000 > 6A82", "00A4040008A00000000300000000 > 6F108408A000000003000000A5049F6501FF9000"}, nil, "A000000003000000"},
		"no control information": {[]string{
			"00A4040000 > 9000", "80CA006600 > " + strings.ReplaceAll(recognition, " ", "") + "9000",
		}, nil, ""},
		"another applet by default": {[]string{
			"00A4040000 > 6F0A8406D276000124019000", "80CA006600 > 6D00",
			"00A4040008A00000015100000000 > 6F0C8408A000000151000000A5009000",
		}, nil, "A000000151000000"},
		"locked": {[]string{"00A4040000 > 6F0C8408A000000151000000A5006283"}, nil, "A000000151000000"},
		"named":  {[]string{"00A4040006A0000005591000 > 9000"}, AID{0xA0, 0, 0, 5, 0x59, 0x10}, "A00000055910"},
	} {
		t.Run(name, func(t *testing.T) {
			ch, _ := scripted(t, test.lines...)
			d, err := Discover(t.Context(), ch, test.aid)
			if err != nil || d.AID().String() != test.want {
				t.Errorf("%v, %v", d, err)
			}
		})
	}
	ch, _ := scripted(t, "00A4040000 > 6A82", "00A4040008A00000015100000000 > 6A82", "00A4040008A00000000300000000 > 6A82",
		"00A4040008A000000018434D0000 > 6A82", "00A4040007A000000018434D00 > 6A82", "00A4040010A000000018300301000000000000000000 > 6A82")
	if _, err := Discover(t.Context(), ch, nil); !errors.Is(err, ErrNoSecurityDomain) {
		t.Error(err)
	}
}

func TestStatusWithContinuation(t *testing.T) {
	ch, _ := scripted(t,
		"80F24002024F0000 > "+strings.ReplaceAll("E3 12 4F07A0000000035351 9F700107 C503800000 6310", " ", ""),
		"80F24003024F0000 > "+strings.ReplaceAll("E3 15 4F05A000000001 9F700187 C50104 C405A0000000FF 9000", " ", ""))
	d := &SecurityDomain{ch: ch}
	got, err := d.Status(t.Context(), Application, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !got[0].SecurityDomain() || got[0].State() != "selectable" || got[1].State() != "locked" ||
		got[1].Privileges.String() != "default-selected" || got[1].File.String() != "A0000000FF" {
		t.Errorf("%+v", got)
	}
}

func TestStatusInTheOldFormat(t *testing.T) {
	s := &script{t: t, lines: []string{
		"80F21002024F0000 > 6A86",
		"80F21000024F0000 > " + strings.ReplaceAll("05A0000000010100 02 06A00000000101 06A00000000102 6310", " ", ""),
		"80F21001024F0000 > 05A0000000020100009000",
		"80F24000024F0000 > 6A88",
	}}
	ch := iso7816.NewChannel(s, iso7816.Capabilities{})
	d := &SecurityDomain{ch: ch}
	files, err := d.Files(t.Context())
	if err != nil || len(files) != 2 || len(files[0].Modules) != 2 || files[0].State() != "loaded" || files[0].Kind != LoadFile {
		t.Errorf("%+v, %v", files, err)
	}
	if apps, err := d.Status(t.Context(), Application, nil); err != nil || len(apps) != 0 {
		t.Errorf("the format is not remembered: %v, %v", apps, err)
	}
}

func TestManagement(t *testing.T) {
	app, file, sd := AID(unhex(t, "A00000000101")), AID(unhex(t, "A000000001")), AID(unhex(t, "A000000151000000"))
	for name, test := range map[string]struct {
		line string
		do   func(context.Context, *SecurityDomain) error
	}{
		"install for load": {"80E602001805A00000000108A0000001510000000006EF04C60210000000", func(ctx context.Context, d *SecurityDomain) error {
			return d.InstallForLoad(ctx, file, sd, nil, Memory{Code: 0x1000})
		}},
		"install and make selectable": {"80E60C001B05A00000000106A0000000010106A00000000101010403C901AA0000", func(ctx context.Context, d *SecurityDomain) error {
			return d.InstallAndMakeSelectable(ctx, Instance{File: file, Module: app, AID: app, Privileges: 0x040000, Parameters: InstallParameters([]byte{0xAA}, Memory{}, nil)})
		}},
		"install, privileges of three bytes": {"80E604001C05A00000000106A0000000010106A0000000010103800400 02C9000000", func(ctx context.Context, d *SecurityDomain) error {
			return d.InstallForInstall(ctx, Instance{File: file, Module: app, AID: app, Privileges: 0x800400, Parameters: InstallParameters(nil, Memory{}, nil)})
		}},
		"make selectable": {"80E608000D000006A00000000101010000 0000", func(ctx context.Context, d *SecurityDomain) error { return d.MakeSelectable(ctx, app, 0) }},
		"personalization": {"80E620000C000006A0000000010100000000", func(ctx context.Context, d *SecurityDomain) error { return d.InstallForPersonalization(ctx, app) }},
		"extradition": {"80E610001105A0000000020006A00000000101000000 00", func(ctx context.Context, d *SecurityDomain) error {
			return d.Extradite(ctx, app, AID{0xA0, 0, 0, 0, 2})
		}},
		"the card is initialised":        {"80F08007", func(ctx context.Context, d *SecurityDomain) error { return d.SetCardState(ctx, CardInitialized) }},
		"the card is locked":             {"80F0807F", func(ctx context.Context, d *SecurityDomain) error { return d.SetCardState(ctx, CardLocked) }},
		"lock":                           {"80F0408006A00000000101", func(ctx context.Context, d *SecurityDomain) error { return d.Lock(ctx, app) }},
		"unlock":                         {"80F0400006A00000000101", func(ctx context.Context, d *SecurityDomain) error { return d.Unlock(ctx, app) }},
		"delete":                         {"80E40000084F06A0000000010100", func(ctx context.Context, d *SecurityDomain) error { return d.Delete(ctx, app, false) }},
		"delete with what belongs to it": {"80E40080074F05A00000000100", func(ctx context.Context, d *SecurityDomain) error { return d.Delete(ctx, file, true) }},
		"delete a key":                   {"80E4000006D00101D2010400", func(ctx context.Context, d *SecurityDomain) error { return d.DeleteKey(ctx, 1, 4) }},
		"store data": {"80E2880002AABB", func(ctx context.Context, d *SecurityDomain) error {
			_, err := d.StoreData(ctx, StoreDGI, []byte{0xAA, 0xBB}, 0, false)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ch, _ := scripted(t, strings.ReplaceAll(test.line, " ", "")+" > 9000")
			if err := test.do(t.Context(), &SecurityDomain{ch: ch}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCommandErrorNamesTheCommand(t *testing.T) {
	for status, want := range map[string]string{"6A88": "refused DELETE [6A88 ", "6985": "answered DELETE with [6985 "} {
		ch, _ := scripted(t, "80E40000084F06A0000000010100 > "+status)
		err := (&SecurityDomain{ch: ch}).Delete(t.Context(), AID{0xA0, 0, 0, 0, 1, 1}, false)
		if iso7816.StatusOf(err) == 0 || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
	}
}

// TestLoad sends a file in blocks and puts it together again on the card.
func TestLoad(t *testing.T) {
	for _, test := range []struct {
		size, total, blocks int
		level               Level
	}{
		{10, 255, 1, LevelMAC}, {244, 255, 1, LevelMAC}, {245, 255, 2, LevelMAC}, {19749, 255, 80, LevelMAC}, {19749, 255, 83, LevelEncryption},
		{19749, 4096, 5, LevelMAC},
	} {
		card, keys := newFakeCard(t, Protocol{3, 0x00}, 16)
		var loaded []byte
		blocks := 0
		card.handle = func(cmd iso7816.Command) ([]byte, uint16) {
			if cmd.INS != 0xE8 || int(cmd.P2) != blocks || (cmd.P1 == 0x80) != (blocks == test.blocks-1) {
				t.Errorf("block %d: %02X %02X %02X", blocks, cmd.INS, cmd.P1, cmd.P2)
			}
			blocks++
			loaded = append(loaded, cmd.Data...)
			return nil, 0x9000
		}
		d := discover(t, card, iso7816.Capabilities{ExtendedLength: test.total > 255})
		if err := d.Open(t.Context(), Credentials{Keys: keys, Level: test.level}); err != nil {
			t.Fatal(err)
		}
		file := bytes.Repeat([]byte{0xDE, 0xCA, 0xFF}, test.size/3+1)[:test.size]
		last := 0
		if err := d.Load(t.Context(), file, Blocks{Total: test.total}, func(n int) { last = n }); err != nil {
			t.Fatal(err)
		}
		framed, ok := iso7816.FindTLV(loaded, 0xC4)
		if !ok || !bytes.Equal(framed, file) || blocks != test.blocks || last != test.size {
			t.Errorf("%+v: %d blocks, %d bytes reported", test, blocks, last)
		}
	}
}

func TestLoadOfTooManyBlocks(t *testing.T) {
	card, keys := newFakeCard(t, Protocol{3, 0x00}, 16)
	d := discover(t, card, iso7816.Capabilities{})
	if err := d.Open(t.Context(), Credentials{Keys: keys, Level: LevelMAC}); err != nil {
		t.Fatal(err)
	}
	before := len(card.commands)
	if err := d.Load(t.Context(), make([]byte, 65000), Blocks{Total: 255}, nil); !errors.Is(err, ErrTooManyBlocks) || len(card.commands) != before {
		t.Error(err)
	}
}

// TestPutKeys lets the card decrypt the keys and answer their check values.
func TestPutKeys(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"right": func(b []byte) []byte { return b }, "only the version": func(b []byte) []byte { return b[:1] },
		"nothing": func([]byte) []byte { return nil }, "another version": func(b []byte) []byte { b[0]++; return b },
		"another check value": func(b []byte) []byte { b[9] ^= 1; return b }, "cut": func(b []byte) []byte { return b[:5] },
	} {
		for _, p := range []Protocol{{1, 0x05}, {2, 0x55}, {3, 0x70}} {
			t.Run(name+"/"+p.String(), func(t *testing.T) {
				card, keys := newFakeCard(t, p, 16)
				fresh := mustKeys(16)
				card.handle = func(cmd iso7816.Command) ([]byte, uint16) {
					if cmd.INS != 0xD8 || cmd.P1 != 0x30 || cmd.P2 != 0x81 {
						t.Errorf("%02X %02X %02X", cmd.INS, cmd.P1, cmd.P2)
					}
					values, err := fresh.CheckValues(p.Cipher())
					if err != nil {
						t.Fatal(err)
					}
					answer := []byte{cmd.Data[0]}
					for _, v := range values {
						answer = append(answer, v[:]...)
					}
					return spoil(answer), 0x9000
				}
				d := discover(t, card, iso7816.Capabilities{})
				if err := d.Open(t.Context(), Credentials{Keys: keys, Level: LevelMAC}); err != nil {
					t.Fatal(err)
				}
				err := d.PutKeys(t.Context(), NewKeys{Keys: fresh, Cipher: p.Cipher(), Replace: 0x30, Version: 0x31})
				good := name == "right" || name == "only the version" || name == "nothing"
				if (err == nil) != good {
					t.Error(err)
				}
			})
		}
	}
}

func TestRecognition(t *testing.T) {
	ch, _ := scripted(t, "80CA006600 > 66317F2F9000",
		"80CA006600 > 6631732F06072A864886FC6B01600C060A2A864886FC6B02020201630906072A864886FC6B03640B06092A864886FC6B0402159000")
	d := &SecurityDomain{ch: ch}
	if _, err := d.Recognition(t.Context()); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	r, err := d.Recognition(t.Context())
	if err != nil || r.Version != "2.2.1" || !reflect.DeepEqual(r.Protocols, []Protocol{{2, 0x15}}) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCPLC(t *testing.T) {
	ch, _ := scripted(t, "80CA9F7F00 > 9F7F2A4790504047918102310083580011689145814812836500000000012F31303131363800000000000000009000")
	c, err := (&SecurityDomain{ch: ch}).CPLC(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fields := c.Fields()
	if c.Serial() != "8358001168914581" || fields[0].Meaning != "NXP" || fields[3].Meaning != "day 102 of a year that ends in 8" || fields[6].Value != "00116891" || len(fields) != 18 {
		t.Errorf("%s %+v", c.Serial(), fields)
	}
}

func TestPrivileges(t *testing.T) {
	for names, want := range map[string]string{
		"": "", "default-selected": "04", "card-lock, Card-Terminate": "18", "dap-verification": "C0", "mandated-dap-verification": "C1",
		"security-domain,trusted-path": "808000", "global-delete": "001000",
	} {
		p, err := ParsePrivileges(names)
		if got := hex.EncodeToString(p.bytes()); err != nil || want != "" && !strings.EqualFold(got, want) {
			t.Errorf("%q: %s, %v", names, got, err)
		}
		again, err := ParsePrivileges(p.String())
		if err != nil || again != p {
			t.Errorf("%q does not survive: %q, %v", names, p, err)
		}
	}
	if _, err := ParsePrivileges("root"); err == nil {
		t.Error("root is a privilege")
	}
}

func TestParseAID(t *testing.T) {
	for text, ok := range map[string]bool{
		"A000000001": true, "a0 00 00 00 01": true, "A0000000010203040506070809101112": true,
		"A0000000": false, "A000000001020304050607080910111213": false, "A00000000": false, "": false, "A00000000G": false,
	} {
		if _, err := ParseAID(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestTerminatedIsNeverSent: nothing revives a card that is terminated.
func TestTerminatedIsNeverSent(t *testing.T) {
	for state := range 0x100 {
		if s := LifeCycle(state); s == CardInitialized || s == CardSecured || s == CardLocked {
			continue
		}
		ch, _ := scripted(t)
		if err := (&SecurityDomain{ch: ch}).SetCardState(t.Context(), LifeCycle(state)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%02X: %v", state, err)
		}
	}
}

// TestStatusThatIsCutOff returns what was read of a list that ends within an entry,
// that has an odd one, or whose continuation is refused.
func TestStatusThatIsCutOff(t *testing.T) {
	const whole = "E3124F07A00000000353519F700107C503800000"
	for name, lines := range map[string][]string{
		"cut in an entry":      {"80F24002024F0000 > " + whole + "E3154F05A00000009000"},
		"cut in a tag":         {"80F24002024F0000 > " + whole + "E39000"},
		"an odd entry":         {"80F24002024F0000 > E3034F0041" + whole + "9000"},
		"a refused rest":       {"80F24002024F0000 > " + whole + "6310", "80F24003024F0000 > 6985"},
		"nothing more to send": {"80F24002024F0000 > " + whole + "6310", "80F24003024F0000 > 6310"},
	} {
		ch, _ := scripted(t, lines...)
		got, err := (&SecurityDomain{ch: ch}).Status(t.Context(), Application, nil)
		if len(got) != 1 || got[0].AID.String() != "A0000000035351" || !errors.Is(err, ErrIncomplete) || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	entries, err := ParseOldStatus(Application, unhex(t, "05A0000000010100"+"06A000"))
	if len(entries) != 1 || !errors.Is(err, ErrIncomplete) {
		t.Errorf("%+v, %v", entries, err)
	}
}

// TestKeyInformationIsReadEntryByEntry: an odd entry hides no other.
func TestKeyInformationIsReadEntryByEntry(t *testing.T) {
	for name, test := range map[string]struct{ data, want string }{
		"all are as they should be": {"E00CC00401FF8010C00402FF8010", "1/255/1 2/255/1"},
		"one is odd":                {"E013C00401FF8010C00502FF801088C00403FF8010", "1/255/1 2/255/0 3/255/1"},
		"one has no kind":           {"E00AC00201FFC00402FF8010", "1/255/0 2/255/1"},
		"one is empty":              {"E008C000C00402FF8010", "2/255/1"},
		"another tag":               {"E00AC1020000C00402FF8010", "2/255/1"},
		"the last is cut":           {"E00CC00401FF8010C00402FF80", "1/255/1"},
		"no outer tag":              {"C00401FF8010C00402FF8010", "1/255/1 2/255/1"},
		"extended, and cut":         {"E00FC00901FFFF88001001FF01C00202FF", "1/255/0 2/255/0"},
	} {
		keys, err := ParseKeyInformation(unhex(t, test.data))
		var got []string
		for _, k := range keys {
			got = append(got, fmt.Sprintf("%d/%d/%d", k.ID, k.Version, len(k.Components)))
		}
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if keys, err := ParseKeyInformation([]byte{0x66, 0x30}); !errors.Is(err, ErrMalformed) {
		t.Errorf("%v, %v", keys, err)
	}
}

// TestLockedCard: what a locked card refuses, it refuses for that.
func TestLockedCard(t *testing.T) {
	ch, _ := scripted(t, "00A4040000 > 6F0C8408A000000151000000A5006283", "80E40000084F06A0000000010100 > 6985")
	d, err := Discover(t.Context(), ch, nil)
	if err != nil || !d.Locked() {
		t.Fatalf("%v, %v", d, err)
	}
	var refused *CommandError
	if err := d.Delete(t.Context(), AID{0xA0, 0, 0, 0, 1, 1}, false); !errors.As(err, &refused) || !refused.Locked {
		t.Error(err)
	}
}

// TestRandomChallenge: SCP03 i=70 with a challenge that is not the one of the
// protocol is opened only where that is accepted by name.
func TestRandomChallenge(t *testing.T) {
	for _, accept := range []bool{false, true} {
		card, keys := newFakeCard(t, Protocol{3, 0x70}, 16)
		d := discover(t, card, iso7816.Capabilities{})
		card.challenge[0] ^= 1
		err := d.Open(t.Context(), Credentials{Keys: keys, Level: LevelMAC, AcceptRandomChallenge: accept})
		if accept != (err == nil) || !accept && (!errors.Is(err, ErrCardChallenge) || card.refused > 0) {
			t.Errorf("accepted %t: %v", accept, err)
		}
	}
}
