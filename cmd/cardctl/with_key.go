package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pkcs15"
)

// openKey is a key that a command works on, and the reader or token it is in.
type openKey struct {
	key.Key
	place string
}

// withKey finds what holds the key that is meant, and lets it go when work is
// done.
func (env *Env) withKey(ctx context.Context, ref key.Reference, access key.Access, work func(context.Context, openKey) error) error {
	switch ref.Application {
	case key.PKCS11:
		return env.withTokenKey(ctx, ref, access, work)
	case key.PKCS15:
		return env.withPKCS15(ctx, func(ctx context.Context, c *pkcs15.Card, reader string) error {
			k, _, err := key.OpenPKCS15(ctx, c, ref, access) // withPKCS15 closes the card
			if err != nil {
				return err
			}
			return work(ctx, openKey{k, reader})
		})
	}
	return env.withCard(ctx, func(ctx context.Context, c *card) error {
		k, err := key.Open(ctx, c.Channel, ref, access)
		if err != nil {
			return err
		}
		return work(ctx, openKey{k, c.Reader})
	})
}

func (env *Env) withTokenKey(ctx context.Context, ref key.Reference, access key.Access, work func(context.Context, openKey) error) error {
	uri, err := p11.ParseURI(ref.ID)
	if err != nil {
		return err
	}
	return env.withModule(ctx, uri, func(ctx context.Context, m *p11.Module) error {
		k, session, err := key.OpenToken(ctx, m, ref, access)
		if err != nil {
			return err
		}
		place, _ := uri.Get(p11.AttrToken)
		return errors.Join(work(ctx, openKey{k, cmp.Or(place, m.Path())}), session.Close())
	})
}

// withModule loads the PKCS#11 module that --module names, or else the URI.
func (env *Env) withModule(ctx context.Context, uri p11.URI, work func(context.Context, *p11.Module) error) error {
	m, err := p11.Load(ctx, cmp.Or(env.flags.module, uri.Module(), defaultModule))
	if err != nil {
		return err
	}
	env.detail("using the module %s", m.Path())
	return errors.Join(work(ctx, m), m.Close())
}
