package opensc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// strangeJobs are what is done with a card that only OpenSC knows; each tells what
// it found.
var strangeJobs = []struct {
	name string
	do   func(ctx context.Context, c *pkcs15.Card) (any, error)
}{
	{"what is on it", func(ctx context.Context, c *pkcs15.Card) (any, error) {
		d, err := c.Directory(ctx)
		if err != nil {
			return nil, err
		}
		found := []any{c.Known(), d.Label, d.Serial, d.Manufacturer, d.PINs}
		for _, k := range d.Keys {
			_, err := c.PublicKey(ctx, k.ID)
			found = append(found, k.ID, k.Label, k.AuthID, k.Usage, k.Algorithm(), k.Reference, err)
		}
		return found, nil
	}},
	{"who may erase it", func(ctx context.Context, c *pkcs15.Card) (any, error) {
		s, err := c.Status(ctx)
		if err != nil || s.Erasing == nil {
			return nil, err
		}
		return fmt.Sprintf("%s %d", s.Erasing.Role(), s.Erasing.TriesLeft), nil
	}},
	{"the tries left", func(ctx context.Context, c *pkcs15.Card) (any, error) { return left(ctx, c) }},
	{"a wrong PIN", changing("02", "111111", "555555")},
	{"the tries left afterwards", func(ctx context.Context, c *pkcs15.Card) (any, error) { return left(ctx, c) }},
	{"another PIN", changing("02", "555555", "666666")},
	{"and back", changing("02", "666666", "555555")},
	{"a wrong PUK", unblocking("11111111")},
	{"the PUK", unblocking("12345678")},
}

func left(ctx context.Context, c *pkcs15.Card) (any, error) {
	d, err := c.PINs(ctx)
	if err != nil {
		return nil, err
	}
	var found []int
	for _, p := range d.PINs {
		n, err := c.Tries(ctx, p)
		if err != nil {
			return nil, err
		}
		found = append(found, n)
	}
	return found, nil
}

func pinWith(ctx context.Context, c *pkcs15.Card, id string) (pkcs15.PIN, error) {
	d, err := c.PINs(ctx)
	if err != nil {
		return pkcs15.PIN{}, err
	}
	p := *d.PIN(id)
	p.TriesLeft, err = c.Tries(ctx, p)
	return p, err
}

func changing(id, old, replacement string) func(ctx context.Context, c *pkcs15.Card) (any, error) {
	return func(ctx context.Context, c *pkcs15.Card) (any, error) {
		p, err := pinWith(ctx, c, id)
		if err != nil {
			return nil, err
		}
		return p, c.ChangePIN(ctx, p, secret.New([]byte(old)), secret.New([]byte(replacement)))
	}
}

func unblocking(puk string) func(ctx context.Context, c *pkcs15.Card) (any, error) {
	return func(ctx context.Context, c *pkcs15.Card) (any, error) {
		p, err := pinWith(ctx, c, "02")
		if err != nil {
			return nil, err
		}
		by, err := c.PUK(ctx, p)
		if err != nil {
			return nil, err
		}
		return by, c.UnblockPIN(ctx, p, by, secret.New([]byte(puk)), secret.New([]byte("555555")))
	}
}

// tell does one job and puts all that came of it into words.
func tell(ctx context.Context, open func() (*pkcs15.Card, error), do func(context.Context, *pkcs15.Card) (any, error)) (string, error) {
	c, err := open()
	if err != nil {
		return "", err
	}
	found, err := do(ctx, c)
	return fmt.Sprintf("%+v, %v", found, err), errors.Join(err, c.Close())
}

// TestACardThatOnlyOpenSCKnows has tries that OpenSC does not list: the card is
// asked, and a wrong PIN shows in them.
func TestACardThatOnlyOpenSCKnows(t *testing.T) {
	desk := withTwoPINs(t)
	desk.Strange = true
	open := func() (*pkcs15.Card, error) { return desk.Open(t.Context()) }
	fails := map[string]problem.Code{"a wrong PIN": problem.PINIncorrect, "a wrong PUK": problem.Failed}
	want := map[string]string{"who may erase it": "so 3, <nil>", "the tries left": "[3 3 3], <nil>", "the tries left afterwards": "[3 3 2], <nil>"}
	var done []string
	for _, j := range strangeJobs {
		said, err := tell(t.Context(), open, j.do)
		if code := fails[j.name]; code == "" && err != nil || code != "" && !problem.Is(err, code) {
			t.Errorf("%s: %v", j.name, err)
		}
		if want[j.name] != "" && said != want[j.name] {
			t.Errorf("%s: %s, want %s", j.name, said, want[j.name])
		}
		done = append(done, j.name)
	}
	if !slices.Contains(done, "the PUK") {
		t.Error(done)
	}
}
