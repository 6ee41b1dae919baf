package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// watchedCard notes how it is let go.
type watchedCard struct {
	iso7816.Connection
	reset *bool
}

func (c watchedCard) Close(reset bool) error {
	*c.reset = reset
	return c.Connection.Close(reset)
}

// TestCardForgetsThePIN has a card reset after a PIN was sent, right or wrong,
// and left alone where none was.
func TestCardForgetsThePIN(t *testing.T) {
	d := newDesk(t, "WRONG=111111")
	d.must("init", "--yes")
	d.must("gen-key", "-k", "OPENPGP.3")
	for line, want := range map[string]bool{
		"info":                                false,
		"export-key -k OPENPGP.3":             false,
		"gen-csr -k OPENPGP.3 --subject CN=a": true,
		"gen-csr -k OPENPGP.3 --subject CN=a --pin env:WRONG": true,
		"gen-key -k OPENPGP.1":                                true,
	} {
		reset := false
		d.connect = func(ctx context.Context, name string) (iso7816.Connection, error) {
			_, connection, err := d.hold(ctx, name)
			return watchedCard{connection, &reset}, err
		}
		d.run(context.Background(), d.words(line))
		if d.connect = nil; reset != want {
			t.Errorf("%s: reset %v", line, reset)
		}
	}
}

// stuckCard cannot be let go at the end.
type stuckCard struct{ iso7816.Connection }

func (c stuckCard) Close(reset bool) error {
	return errors.Join(c.Connection.Close(reset), errors.New("the reader said no"))
}

// A card that is not let go after a change hides neither the change nor the failure;
// one that is not let go after a failure does not hide that.
func TestResultOfACardThatIsNotLetGo(t *testing.T) {
	d := newDesk(t, "OTHER=654321", "WRONG=111111")
	d.must("init", "--yes")
	d.connect = func(ctx context.Context, name string) (iso7816.Connection, error) {
		_, connection, err := d.hold(ctx, name)
		return stuckCard{connection}, err
	}
	r := d.run(t.Context(), d.words("set-pin user --new-pin env:OTHER -o json"))
	if r.exit != 1 || !strings.Contains(r.stdout, `"kind":"PINChanged"`) || !strings.Contains(r.stderr, `result stands`) || !strings.Contains(r.stderr, "the reader said no") {
		t.Errorf("%+v", r)
	}
	r = d.run(t.Context(), d.words("set-pin user --pin env:WRONG --new-pin env:OTHER"))
	if r.exit != 4 || r.stdout != "" || strings.Contains(r.stderr, "stands") {
		t.Errorf("%+v", r)
	}
}
