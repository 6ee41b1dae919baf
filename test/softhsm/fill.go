package softhsm

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/secret"
)

// Fill generates so many P-256 keys for signatures on the token with this label: key0,
// key1, and so on.
func Fill(ctx context.Context, label, pin string, keys int) (err error) {
	m, err := p11.NewModules().Load(ctx, "softhsm2", "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	s, err := m.Open(ctx, p11.URI{Path: []p11.Attribute{{Name: p11.AttrToken, Value: label}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	value := secret.New([]byte(pin))
	defer value.Wipe()
	if err := s.LoginWith(ctx, p11.User, value); err != nil {
		return err
	}
	for i := range keys {
		if _, err := s.GenerateKeyPair(ctx, "p256", p11.NewKey{Label: fmt.Sprintf("key%d", i), Sign: true}); err != nil {
			return err
		}
	}
	return nil
}
