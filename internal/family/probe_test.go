package family

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
)

// answers is a card that answers SELECT by the name in it, and other names by rest.
type answers struct {
	names map[string]string // hex to hex
	rest  string
	sent  int
}

func (a *answers) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	a.sent++
	if apdu[1] == iso7816.InsSelect {
		if told, ok := a.names[hex.EncodeToString(bytes.TrimSuffix(apdu[5:], []byte{0}))]; ok {
			return hex.DecodeString(told)
		}
	}
	return hex.DecodeString(a.rest)
}

// TestNineThousandIsNotEnough: of cards that select any name, only what tells its own
// name or has something of its own is there.
func TestNineThousandIsNotEnough(t *testing.T) {
	const aid = "a0000003080000"
	raw, err := hex.DecodeString(aid)
	if err != nil {
		t.Fatal(err)
	}
	yes := func(context.Context, *iso7816.Channel) (bool, error) { return true, nil }
	for _, test := range []struct {
		name   string
		card   answers
		probe  card.Probe
		there  bool
		atMost int
	}{
		{"refused", answers{rest: "6a82"}, card.Probe{}, false, 1},
		{"named", answers{names: map[string]string{aid: "6f098407a00000030800009000"}, rest: "6a82"}, card.Probe{}, true, 1},
		{"an application template", answers{names: map[string]string{aid: "61094f07a00000030800009000"}, rest: "6a82"}, card.Probe{}, true, 1},
		{"data of its own", answers{names: map[string]string{aid: "0006049000"}, rest: "6a82"}, card.Probe{}, true, 1},
		{"without data, and others are refused", answers{names: map[string]string{aid: "9000"}, rest: "6a82"}, card.Probe{}, true, 2},
		{"every name", answers{rest: "9000"}, card.Probe{}, false, 2},
		{"every name, with the name of another", answers{rest: "6f088406d276000124019000"}, card.Probe{}, false, 2},
		{"every name, and it has its own", answers{rest: "9000"}, card.Probe{Confirm: yes}, true, 3},
	} {
		test.probe.App, test.probe.AID = "piv", raw
		from := prober{ch: iso7816.NewChannel(&test.card, iso7816.Capabilities{})}
		found, err := from.lookFor(t.Context(), test.probe)
		if err != nil || (found != nil) != test.there || test.card.sent > test.atMost {
			t.Errorf("%s: %+v, %v, %d commands", test.name, found, err, test.card.sent)
		}
		if _, err := from.lookFor(t.Context(), test.probe); err != nil || test.card.sent > 2*test.atMost {
			t.Errorf("%s again: %v, %d commands", test.name, err, test.card.sent)
		}
	}
	if slices.Equal(nobody(), raw) {
		t.Error("somebody has that name")
	}
}
