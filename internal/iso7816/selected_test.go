package iso7816

import (
	"context"
	"testing"
)

// TestSelected: an application counts as just selected until anything else is sent
// than what reads data objects.
func TestSelected(t *testing.T) {
	aid, other := []byte{0xD2, 0x76}, []byte{0xA0, 0x00}
	get := Command{INS: InsGetData, P2: 0x4F, Ne: 256}
	for name, test := range map[string]struct {
		answer string
		then   func(context.Context, *Channel) error
		want   bool
	}{
		"nothing":             {want: true, then: func(context.Context, *Channel) error { return nil }},
		"GET DATA":            {answer: "00CA004F00 > 9000", want: true, then: func(ctx context.Context, c *Channel) error { _, err := c.Send(ctx, get); return err }},
		"another application": {answer: "00A4040002A00000 > 9000", then: func(ctx context.Context, c *Channel) error { _, err := c.Select(ctx, other); return err }},
		"one that is missing": {answer: "00A4040002A00000 > 6A82", then: func(ctx context.Context, c *Channel) error { _, _ = c.Select(ctx, other); return nil }},
		"SELECT DATA": {answer: "00A50104 > 9000", then: func(ctx context.Context, c *Channel) error {
			_, err := c.Send(ctx, Command{INS: InsSelectData, P1: 1, P2: 4})
			return err
		}},
		"VERIFY": {answer: "002000820131 > 9000", then: func(ctx context.Context, c *Channel) error {
			_, err := c.Send(ctx, Command{INS: InsVerify, P2: 0x82, Data: []byte("1")})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			card := &script{t, []string{"00A4040002D27600 > 9000"}}
			if test.answer != "" {
				card.steps = append(card.steps, test.answer)
			}
			ch := NewChannel(card, Capabilities{})
			if ch.Selected(aid) {
				t.Error("before it was selected")
			}
			if _, err := ch.Select(t.Context(), aid); err != nil {
				t.Fatal(err)
			}
			if err := test.then(t.Context(), ch); err != nil {
				t.Fatal(err)
			}
			if got := ch.Selected(aid); got != test.want {
				t.Errorf("selected: %v", got)
			}
			if ch.Selected(nil) || ch.Selected(aid[:1]) {
				t.Error("another name")
			}
		})
	}
}
