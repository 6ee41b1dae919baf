package iso7816

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// counting answers every command with one status word and keeps what it was
// sent.
type counting struct {
	status Status
	sent   []Command
}

func (c *counting) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	cmd, _, err := ParseCommand(slices.Clone(apdu))
	c.sent = append(c.sent, cmd)
	return []byte{byte(c.status >> 8), byte(c.status)}, err
}

// changing are commands that carry a secret, change the card, or are not known,
// each with and without a wish for an answer.
func changing() []Command {
	pin := []byte("123456")
	var list []Command
	for _, cmd := range []Command{
		{INS: InsVerify, P2: 0x81, Data: pin},
		{INS: 0x21, P2: 0x81, Data: pin},
		{INS: InsChangeReferenceData, P2: 0x81, Data: pin},
		{INS: InsResetRetryCounter, P2: 0x81, Data: pin},
		{INS: InsExternalAuthenticate, Data: make([]byte, 8)},
		{INS: InsGenerateKeyPair, P1: 0x80, Data: []byte{0xB6, 0}},
		{INS: InsGenerateKeyPair, P1: 0x00, Data: []byte{0xB6, 0}},
		{INS: InsPerformSecurityOp, P1: 0x9E, P2: 0x9A, Data: make([]byte, 32)},
		{INS: InsPutData, P2: 0x5B, Data: []byte("name")},
		{INS: InsPutDataOdd, P1: 0x3F, P2: 0xFF, Data: make([]byte, 100)},
		{INS: InsPutDataOdd, P1: 0x3F, P2: 0xFF},
		{INS: InsTerminateDF}, {INS: InsActivateFile}, {INS: 0xD6, Data: []byte{1}}, {INS: 0xE0, Data: []byte{1}}, {INS: 0xE4, Data: []byte{1}},
		{CLA: 0x80, INS: 0xD8, Data: make([]byte, 60)}, {CLA: 0x80, INS: 0xE4, Data: []byte{1}}, {CLA: 0x80, INS: 0xE2, Data: []byte{1}},
		{CLA: 0x80, INS: InsSelect}, {CLA: 0xB0, INS: 0xB0}, {CLA: 0xB0, INS: 0xCA}, {INS: 0x99},
		{INS: 0xF6, P1: 0x9A, P2: 0x82}, {INS: 0xF7, Data: pin}, {INS: 0xF9, P1: 0x9A}, {INS: 0xFA, P1: 3, P2: 3}, {INS: 0xFB}, {INS: 0xFE, Data: pin}, {INS: 0xFF, Data: pin},
	} {
		for _, ne := range []int{0, 16, MaxShortNe} {
			cmd.Ne = ne
			list = append(list, cmd)
		}
	}
	return list
}

// TestChangesAreSentOnce has every command that must not be carried out twice
// answered by wishes: the card may have carried it out.
func TestChangesAreSentOnce(t *testing.T) {
	for _, status := range []Status{0x6C00, 0x6C10, 0x6200, 0x6282, 0x6310, 0x63C1, 0x6581, 0x6985, 0x6F00, 0x9000} {
		for _, cmd := range changing() {
			card := &counting{status: status}
			_, err := NewChannel(card, Capabilities{Chaining: true, ExtendedLength: true}).Send(t.Context(), cmd)
			if len(card.sent) != 1 {
				t.Errorf("%02X%02X%02X%02X, Ne %d, answered %v: sent %d times", cmd.CLA, cmd.INS, cmd.P1, cmd.P2, cmd.Ne, status, len(card.sent))
			}
			if status != StatusOK && StatusOf(err) != status {
				t.Errorf("%02X answered %v: %v", cmd.INS, status, err)
			}
		}
	}
}

func TestReadsAreRepeatedWithTheCardsLe(t *testing.T) {
	for _, cmd := range []Command{
		{INS: InsSelect, P1: 4, Data: []byte{0xD2}}, {INS: InsGetData, P2: 0x6E}, {INS: InsGetNextData}, {INS: 0xB0}, {INS: 0xB2}, {INS: 0xCB},
		{CLA: 0x01, INS: InsGetData}, {INS: InsGenerateKeyPair, P1: 0x81, Data: []byte{0xB6, 0}}, {INS: InsGetChallenge},
		{INS: InsInternalAuthenticate, Data: []byte{1}}, {INS: InsPerformSecurityOp, P1: 0x80, P2: 0x86, Data: []byte{0}},
		{CLA: 0x80, INS: 0xF2, P1: 0x80, Data: []byte{0x4F, 0}}, {CLA: 0x80, INS: InsGetData}, {CLA: 0x80, INS: 0x50, Data: make([]byte, 8)},
		{INS: 0xF7, P2: 0x9A}, {INS: 0xF8}, {INS: 0xFD},
	} {
		cmd.Ne = MaxShortNe
		card := &counting{status: 0x6C10}
		_, _ = NewChannel(card, Capabilities{}).Send(t.Context(), cmd)
		if len(card.sent) != 2 || card.sent[1].Ne != 0x10 {
			t.Errorf("%02X%02X%02X: %+v", cmd.CLA, cmd.INS, cmd.P1, card.sent)
		}
	}
}

// A PIN goes out in one form, whatever is refused about it and however long it
// is.
func TestPINsTravelInOneForm(t *testing.T) {
	for _, can := range []Capabilities{{}, {Chaining: true}, {ExtendedLength: true}, {Chaining: true, ExtendedLength: true}} {
		for _, status := range []Status{StatusWrongLength, StatusCLANotSupported, StatusChainingNotSupported, StatusLastCommandExpected} {
			for _, length := range []int{0, 6, 255, 256, 700} {
				for _, ins := range []byte{InsVerify, InsChangeReferenceData, InsResetRetryCounter} {
					card := &counting{status: status}
					_, _ = NewChannel(card, can).Send(t.Context(), Command{INS: ins, P2: 0x81, Data: make([]byte, length), Ne: MaxExtendedNe})
					if len(card.sent) != 1 {
						t.Errorf("%s of %d bytes, answered %v: sent %d times", InstructionName(ins), length, status, len(card.sent))
					}
				}
			}
		}
	}
}

// A chain of which the card took a block is not sent in another form.
func TestABegunChainIsNotSentAgain(t *testing.T) {
	cmd := Command{INS: InsPutDataOdd, P1: 0x3F, P2: 0xFF, Data: make([]byte, 600)}
	for _, steps := range [][]string{
		{"10DB3FFFFE… > 9000", "10DB3FFFFE… > 6884"},
		{"10DB3FFFFE… > 9000", "10DB3FFFFE… > 9000", "00DB3FFF5C… > 6884"},
		{"10DB3FFFFE… > 9000", "10DB3FFFFE… > 9000", "00DB3FFF5C… > 6E00"},
		{"10DB3FFFFE… > 9000", "10DB3FFFFE… > 9000", "00DB3FFF5C… > 6700"},
		{"10DB3FFFFE… > 6700"},
		{"10DB3FFFFE… > 6985"},
	} {
		card := &script{t, steps}
		_, err := NewChannel(card, Capabilities{Chaining: true}).Send(t.Context(), cmd)
		if StatusOf(err) == 0 || len(card.steps) > 0 {
			t.Errorf("%v: %v", steps, err)
		}
	}
}

// TestNothingUnaskedIsFetched: 61xx is a normal end, and a command of case 1 or 3
// wants nothing.
func TestNothingUnaskedIsFetched(t *testing.T) {
	for _, step := range []string{"00A4000C023F00 > 6100", "00A4000C023F00 > 6110", "00DA005B0141 > 617D", "00E60000 > 6100", "0020008106313233343536 > 617D"} {
		apdu, _, _ := strings.Cut(step, " ")
		cmd, _, err := ParseCommand(unhex(t, apdu))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := NewChannel(&script{t, []string{step}}, Capabilities{}).Send(t.Context(), cmd)
		if err != nil || len(answer) != 0 {
			t.Errorf("%s: %X, %v", step, answer, err)
		}
	}
	// Nor within a chain.
	card := &script{t, []string{"10DA005BFE… > 6100", "00DA005B2E… > 6100"}}
	if _, err := NewChannel(card, Capabilities{Chaining: true}).Send(t.Context(), Command{INS: 0xDA, P2: 0x5B, Data: make([]byte, 300)}); err != nil {
		t.Error(err)
	}
}

// An answer that the card does not hand over is no refusal of the command, and
// the command is named.
func TestAnswerThatIsNotHandedOver(t *testing.T) {
	card := &script{t, []string{"00A4040001D200 > 6100", "00C0000000 > 6985"}}
	_, err := NewChannel(card, Capabilities{}).Send(t.Context(), Command{INS: InsSelect, P1: 4, Data: []byte{0xD2}, Ne: 256})
	if !errors.Is(err, ErrAnswerLost) || StatusOf(err) != 0 || !strings.HasPrefix(fmt.Sprint(err), "SELECT: ") {
		t.Error(err)
	}
	card = &script{t, []string{"00CA006E00 > 6100", "00C0000000 > 6C02", "00C0000002 > AABB6282"}}
	answer, err := NewChannel(card, Capabilities{}).Send(t.Context(), Command{INS: InsGetData, P2: 0x6E, Ne: 256})
	if StatusOf(err) != 0x6282 || len(answer) != 2 {
		t.Errorf("%X, %v", answer, err)
	}
}
