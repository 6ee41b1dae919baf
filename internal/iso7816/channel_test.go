package iso7816

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// script is a card that expects commands and gives the answers beside them.
type script struct {
	t     *testing.T
	steps []string // "COMMAND > ANSWER", hex; a trailing … matches any rest
}

func (s *script) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	if len(s.steps) == 0 {
		s.t.Fatalf("unexpected command %X", apdu)
	}
	want, answer, _ := strings.Cut(strings.ReplaceAll(s.steps[0], " ", ""), ">")
	s.steps = s.steps[1:]
	got := fmt.Sprintf("%X", apdu)
	if prefix, open := strings.CutSuffix(want, "…"); open && strings.HasPrefix(got, prefix) {
		want = got
	}
	if got != want {
		s.t.Fatalf("command %s, want %s", got, want)
	}
	return unhex(s.t, answer), nil
}

func TestChannelSend(t *testing.T) {
	long := bytes.Repeat([]byte{0x11}, 300)
	first, rest := strings.Repeat("11", 254), strings.Repeat("11", 46)
	both := Capabilities{Chaining: true, ExtendedLength: true}
	for name, test := range map[string]struct {
		can    Capabilities
		cmd    Command
		steps  []string
		want   string
		status Status

		tooLong bool
	}{
		"short": {
			cmd:   Command{INS: 0xCA, P2: 0x6E, Ne: 65536},
			steps: []string{"00CA006E00 > AA9000"}, want: "AA",
		},
		"extended answer": {
			can: both, cmd: Command{INS: 0xCA, P2: 0x6E, Ne: 65536},
			steps: []string{"00CA006E000000 > AA9000"}, want: "AA",
		},
		"extended length announced and refused": {
			can: both, cmd: Command{INS: 0xCA, P2: 0x6E, Ne: 65536},
			steps: []string{"00CA006E000000 > 6700", "00CA006E00 > AA9000"}, want: "AA",
		},
		"get response keeps the channel, not the chaining": {
			cmd:   Command{CLA: 0x01, INS: 0xCA, P2: 0x6E, Ne: 256},
			steps: []string{"01CA006E00 > AA6102", "01C0000002 > BBCC9000"}, want: "AABBCC",
		},
		"the beginning is enough": {
			cmd:   Command{INS: 0xCA, P2: 0x6E, Ne: 65536, Beginning: true},
			steps: []string{"00CA006E00 > AA6102"}, want: "AA",
		},
		"the beginning comes after 61xx alone": {
			cmd:   Command{INS: 0xCA, P2: 0x6E, Ne: 65536, Beginning: true},
			steps: []string{"00CA006E00 > 6102", "00C0000002 > AABB6101"}, want: "AABB",
		},
		"the card's own Le": {
			cmd:   Command{INS: 0xCA, P2: 0x6E, Ne: 256},
			steps: []string{"00CA006E00 > 6C03", "00CA006E03 > 0102039000"}, want: "010203",
		},
		"chaining": {
			can: Capabilities{Chaining: true}, cmd: Command{INS: 0xDA, P2: 0x5E, Data: long},
			steps: []string{"10DA005EFE" + first + "> 9000", "00DA005E2E" + rest + "> 9000"},
		},
		"extended data": {
			can: both, cmd: Command{INS: 0xDA, P2: 0x5E, Data: long},
			steps: []string{"00DA005E00012C… > 9000"},
		},
		"extended data too long for the card": {
			can:   Capabilities{Chaining: true, ExtendedLength: true, MaxCommand: 261},
			cmd:   Command{INS: 0xDA, P2: 0x5E, Data: long},
			steps: []string{"10DA005EFE" + first + "> 9000", "00DA005E2E" + rest + "> 9000"},
		},
		"extended data refused": {
			can: both, cmd: Command{INS: 0xDA, P2: 0x5E, Data: long},
			steps: []string{"00DA005E00012C… > 6700", "10DA005EFE… > 9000", "00DA005E2E… > 9000"},
		},
		"nothing announced, extended works": {
			cmd:   Command{INS: 0xDA, P2: 0x5E, Data: long},
			steps: []string{"00DA005E00012C… > 9000"},
		},
		"nothing announced, chaining works": {
			cmd:   Command{INS: 0xDA, P2: 0x5E, Data: long},
			steps: []string{"00DA005E00012C… > 6700", "10DA005EFE… > 9000", "00DA005E2E… > 9000"},
		},
		"chaining announced and refused": {
			can: Capabilities{Chaining: true}, cmd: Command{INS: 0xDA, P2: 0x5E, Data: long},
			steps: []string{"10DA005EFE… > 6884", "00DA005E00012C… > 9000"},
		},
		"the last block refused": {
			can: Capabilities{Chaining: true}, cmd: Command{INS: 0xDA, P2: 0x5E, Data: long},
			steps: []string{"10DA005EFE… > 9000", "00DA005E2E… > 6581"}, status: StatusMemoryFailure,
		},
		"chaining announced and refused, and extended length too": {
			can: Capabilities{Chaining: true}, cmd: Command{INS: 0xDA, P2: 0x5E, Data: long},
			steps: []string{"10DA005EFE… > 6884", "00DA005E00012C… > 6700"}, status: 0x6700, tooLong: true,
		},
		"nothing announced, and both refused": {
			cmd:   Command{INS: 0xDA, P2: 0x5E, Data: long},
			steps: []string{"00DA005E00012C… > 6700", "10DA005EFE… > 6884"}, status: 0x6884, tooLong: true,
		},
		"refused": {
			cmd:   Command{INS: 0x20, P2: 0x82, Data: []byte("123456")},
			steps: []string{"0020008206313233343536 > 63C2"}, status: 0x63C2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			card := &script{t, test.steps}
			answer, err := NewChannel(card, test.can).Send(t.Context(), test.cmd)
			if StatusOf(err) != test.status || test.status == 0 && err != nil {
				t.Fatalf("error %v, want status %04X", err, uint16(test.status))
			}
			if refused := new(StatusError); errors.As(err, &refused) && refused.TooLong != test.tooLong {
				t.Errorf("too long: %t, want %t", refused.TooLong, test.tooLong)
			}
			if want := unhex(t, test.want); !bytes.Equal(answer, want) {
				t.Fatalf("answer %X, want %X", answer, want)
			}
			if len(card.steps) > 0 {
				t.Fatalf("not sent: %v", card.steps)
			}
		})
	}
}

// always answers every command with the same bytes.
type always []byte

func (a always) Transmit(context.Context, []byte) ([]byte, error) { return bytes.Clone(a), nil }

func TestChannelBoundsAHostileCard(t *testing.T) {
	for name, answer := range map[string]always{
		"61xx with nothing, for ever": {0x61, 0x10},
		"61xx with data, for ever":    append(make(always, 256), 0x61, 0x00),
		"no status word":              {0x90},
		"nothing":                     {},
		"an answer beyond any length": make(always, MaxExtendedNe+3),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewChannel(answer, Capabilities{}).Send(t.Context(), Command{INS: 0xCA, Ne: 256})
			if !errors.Is(err, ErrAnswerTooLong) && !errors.Is(err, ErrEncoding) {
				t.Fatal(err)
			}
		})
	}
	// 6Cxx for ever is asked once more, and then is the answer.
	_, err := NewChannel(always{0x6C, 0x10}, Capabilities{}).Send(t.Context(), Command{INS: 0xCA, Ne: 256})
	if StatusOf(err) != 0x6C10 {
		t.Fatal(err)
	}
}

func TestWhatACardShowedCountsMoreThanWhatItAnnounces(t *testing.T) {
	both := Capabilities{Chaining: true, ExtendedLength: true}
	get := Command{INS: 0xCA, P2: 0x6E, Ne: MaxExtendedNe}
	card := &script{t, []string{"00CA006E000000 > 6700", "00CA006E00 > AA9000", "00CA006E00 > AA9000", "00CA006E000000 > AA9000"}}
	ch := NewChannel(card, both)
	for _, next := range []func(){func() {}, func() { ch.Announce(both) }, ch.Doubt} {
		next()
		if _, err := ch.Send(t.Context(), get); err != nil {
			t.Fatal(err)
		}
	}
	if ch.Announce(Capabilities{}); !ch.Capabilities().ExtendedLength {
		t.Error("a cut answer to a short command was forgotten")
	}
}

func TestVerifiedIsKnownAfterAPINOrAKey(t *testing.T) {
	for _, test := range []struct {
		cmd  Command
		want bool
	}{
		{Command{INS: InsVerify, P2: 0x82}, false}, // a question for the tries left
		{Command{INS: InsVerify, P2: 0x82, Data: []byte("123456")}, true},
		{Command{CLA: 0x84, INS: InsExternalAuthenticate, P1: 1, Data: make([]byte, 16)}, true},
		{Command{INS: InsGeneralAuthenticate, P1: 0x03, P2: 0x9B, Data: make([]byte, 12)}, true}, // PIV's management key
		{Command{INS: InsGeneralAuthenticate, P1: 0x11, P2: 0x9A, Data: make([]byte, 12)}, false},
		{Command{INS: InsGetData, Ne: 256}, false},
	} {
		ch := NewChannel(always{0x90, 0x00}, Capabilities{})
		if _, err := ch.Send(t.Context(), test.cmd); err != nil || ch.Verified() != test.want {
			t.Errorf("%+v: %v, %v", test.cmd, ch.Verified(), err)
		}
	}
}

func TestSendStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := NewChannel(&script{t: t}, Capabilities{}).Send(ctx, Command{INS: 0xCA})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestStatusWords(t *testing.T) {
	for status, want := range map[Status]string{
		0x6982: "6982 security status not satisfied",
		0x63C1: "63C1 verification failed, 1 try left",
		0x63C2: "63C2 verification failed, 2 tries left",
		0x6A12: "6A12 wrong parameters",
		0x1234: "1234 unknown status word",
	} {
		if got := status.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if n, ok := Status(0x63C0).TriesLeft(); n != 0 || !ok {
		t.Error(n, ok)
	}
}

func TestCapabilities(t *testing.T) {
	for name, test := range map[string]struct {
		atr  string
		want Capabilities
	}{
		"OpenPGP card with both": {"3BDA11FF81B1FE551F0300318473800180009000E4", Capabilities{Chaining: true}},
		"extended and chaining":  {"3BDA18FF81B1FE751F030031F573C001600090001C", Capabilities{ExtendedLength: true}},
		"no historical bytes":    {"3B00", Capabilities{}},
		"cut":                    {"3BDA18FF81", Capabilities{}},
		"nothing":                {"", Capabilities{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := CapabilitiesOf(HistoricalBytes(unhex(t, test.atr))); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func FuzzChannel(f *testing.F) {
	f.Add([]byte{0x6E, 0x00, 0x61, 0x01}, []byte{0x90, 0x00})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		card := &alternating{answers: [][]byte{first, second}}
		_, _ = NewChannel(card, Capabilities{Chaining: true, ExtendedLength: true}).
			Send(t.Context(), Command{INS: 0xCA, Data: make([]byte, 400), Ne: MaxExtendedNe})
		if card.n > 2*maxGetResponses {
			t.Fatalf("%d commands", card.n)
		}
	})
}

type alternating struct {
	answers [][]byte
	n       int
}

func (a *alternating) Transmit(context.Context, []byte) ([]byte, error) {
	a.n++
	return bytes.Clone(a.answers[a.n%2]), nil
}

// TestProtectedCommandsTravelInOneForm sees that a refused length is not tried
// in another one: the card would see a wrong MAC.
func TestProtectedCommandsTravelInOneForm(t *testing.T) {
	card := &script{t, []string{
		"84E80000000100 > 6700", "84F2000002010200 > 6C03", "84E8000002010200 > 6103", "00C0000003 > AABBCC9000",
	}}
	ch := NewChannel(card, Capabilities{ExtendedLength: true, Chaining: true})
	if _, err := ch.SendProtected(t.Context(), Command{CLA: 0x84, INS: 0xE8, Ne: 0x100}, true); StatusOf(err) != StatusWrongLength {
		t.Error(err)
	}
	if _, err := ch.SendProtected(t.Context(), Command{CLA: 0x84, INS: 0xF2, Data: []byte{1, 2}, Ne: 256}, false); StatusOf(err) != 0x6C03 {
		t.Error(err)
	}
	answer, err := ch.SendProtected(t.Context(), Command{CLA: 0x84, INS: 0xE8, Data: []byte{1, 2}, Ne: 256}, false)
	if err != nil || len(answer) != 3 || !ch.Verified() || !ch.Capabilities().ExtendedLength {
		t.Errorf("%X, %v", answer, err)
	}
}
