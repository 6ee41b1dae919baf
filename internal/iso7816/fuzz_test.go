package iso7816

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func decode(f *testing.F, text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// FuzzATR reads answers to reset, and what their historical bytes announce.
func FuzzATR(f *testing.F) {
	for _, seed := range []string{
		"3BDA18FF81B1FE751F030031F573C001600090001C", "3B7F96000080318065B0855956FB120FFE829000", "3B6800000073C84012009000", "3B00", "3FFF", "",
	} {
		f.Add(decode(f, seed))
	}
	f.Fuzz(func(t *testing.T, atr []byte) {
		historical := HistoricalBytes(atr)
		if len(historical) > 15 || !bytes.Contains(atr, historical) {
			t.Errorf("%X: historical bytes %X", atr, historical)
		}
		CapabilitiesOf(historical)
		CapabilitiesOf(atr)
	})
}

// answerer is a card that gives one answer to everything.
type answerer []byte

func (a answerer) Transmit(context.Context, []byte) ([]byte, error) { return a, nil }

// FuzzTracer traces arbitrary commands and answers: what a command that takes a
// PIN or a key carries is not to be seen, whatever its shape.
func FuzzTracer(f *testing.F) {
	for _, seed := range [][2]string{
		{"0020008206313233343536", "9000"}, {"00200082000006313233343536", "9000"}, {"0020008209313233", "6700"},
		{"102C008103AABBCC", "9000"}, {"80D8018103018010", "9000"}, {"B02A000002AABB", "9000"}, {"002A808602AABB00", "CCDD9000"}, {"00", ""}, {"0121008203AABBCC", "9000"},
	} {
		f.Add(decode(f, seed[0]), decode(f, seed[1]))
	}
	f.Fuzz(func(t *testing.T, command, answer []byte) {
		var b strings.Builder
		if _, err := NewTracer(answerer(answer), &b).Transmit(t.Context(), command); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		if len(lines) != 3 || !strings.HasPrefix(lines[0], "> ") || !strings.HasPrefix(lines[1], "< ") || lines[2] != "" {
			t.Fatalf("%q", b.String())
		}
		if len(command) <= 5 {
			return
		}
		switch command[1] {
		case InsVerify, InsVerify | 1, InsChangeReferenceData, InsChangeReferenceData | 1, InsResetRetryCounter, InsResetRetryCounter | 1,
			InsPutDataOdd, 0xD6, 0xD7, 0xDC, 0xDD, 0x87, 0xFF:
			c, _, err := ParseCommand(command)
			want := fmt.Sprintf("> %X%s", command[:4], blank)
			if err == nil && len(c.Data) == 0 {
				want = fmt.Sprintf("> %X", command)
			}
			if lines[0] != want {
				t.Errorf("%X is traced as %q", command, lines[0])
			}
		}
	})
}
