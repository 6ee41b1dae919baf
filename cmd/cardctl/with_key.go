package main

import (
	"context"

	"github.com/cardctl/cardctl/internal/key"
)

// openKey is a key that a command works on, and the reader or token it is in.
type openKey struct {
	key.Key
	place string
}

// withKey finds what holds the key that is meant, and lets it go when work is
// done.
func (env *Env) withKey(ctx context.Context, ref key.Reference, access key.Access, work func(context.Context, openKey) error) error {
	return env.withCard(ctx, func(ctx context.Context, c *card) error {
		k, err := key.Open(ctx, c.Channel, ref, access)
		if err != nil {
			return err
		}
		return work(ctx, openKey{k, c.Reader})
	})
}
