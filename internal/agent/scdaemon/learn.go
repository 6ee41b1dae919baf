package scdaemon

import (
	"context"
	"strconv"
)

// learn tells of the card and its keys.
func (s *session) learn(ctx context.Context, a arguments) error {
	if a.has("demand") {
		if _, err := s.choose(ctx, a.options["demand"], ""); err != nil {
			return err
		}
	}
	c, keys, err := s.selectedKeys(ctx)
	if err != nil {
		return err
	}
	if !a.has("keypairinfo") {
		if err := s.tellCard(ctx, c, keys); err != nil {
			return err
		}
	}
	for _, k := range keys {
		s.tellKey(k)
	}
	return nil
}

// tellCard writes what there is to say of a card, apart from its keys. What a card does not
// have is left out.
func (s *session) tellCard(ctx context.Context, c *card, keys []*key) error {
	if c.isOpenPGP() {
		if _, err := c.objects(ctx); err != nil {
			return err
		}
	}
	s.out.status("READER", plus(c.about.Reader))
	s.out.status("SERIALNO", c.serial)
	for _, name := range learnt {
		if values, err := attribute(ctx, c, keys, name); err == nil {
			s.tell(name, values)
		}
	}
	for _, k := range keys {
		if k.about.Certificate != nil {
			const trusted = "101" // of somebody, not of an authority
			s.out.status("CERTINFO", trusted, k.ref)
		}
	}
	return nil
}

func (s *session) tellKey(k *key) {
	usage, created := k.usage, "-"
	if usage == "" {
		usage = "-"
	}
	if !k.about.Created.IsZero() {
		created = strconv.FormatInt(k.about.Created.Unix(), 10)
	}
	s.out.status("KEYPAIRINFO", k.grip, k.ref, usage, created, algorithmName(k.about.Public))
}

func (s *session) readKey(ctx context.Context, a arguments) error {
	k, err := s.key(ctx, a.word(0))
	if err != nil {
		return err
	}
	public, err := canonical(k.about.Public)
	if err != nil {
		return err
	}
	if a.has("info") || a.has("info-only") {
		s.tellKey(k)
	}
	if !a.has("info-only") {
		s.out.data(public)
	}
	return nil
}

func (s *session) readCertificate(ctx context.Context, a arguments) error {
	k, err := s.key(ctx, a.word(0))
	if err != nil {
		return err
	}
	if k.about.Certificate == nil {
		return fail(errNotFound, "the key has no certificate")
	}
	s.out.data(k.about.Certificate)
	return nil
}
