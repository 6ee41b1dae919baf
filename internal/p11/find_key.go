package p11

import (
	"context"
	"crypto"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/miekg/pkcs11"
)

// Key is the private key that was looked for. On most tokens it is seen only
// after the login. It belongs to what was found by the public key: it tells the
// same public key itself, or has the ID of the certificate or public key that
// does. Where the token does not have it and the PIN that was right is that of
// the card's other tokens too, the session moves on to them. Errors are
// problem.NotFound and problem.Usage, the latter where nothing said which key is
// meant.
func (s *Session) Key(ctx context.Context) (*Key, error) {
	if !s.wanted.namesKey() {
		return nil, problem.New(problem.Usage, "no key of the token %q is named", s.token.Label).
			Hint("--key 'pkcs11:token=LABEL;id=%%01'")
	}
	for {
		keys, err := s.candidates(ctx)
		if err != nil {
			return nil, err
		}
		if len(keys) > 0 {
			return s.only(keys)
		}
		if len(s.others) == 0 || !s.sharedPIN {
			return nil, s.noKey()
		}
		if err := s.moveOn(ctx); err != nil {
			return nil, err
		}
	}
}

// candidates are the private keys on this token that can be the wanted one.
func (s *Session) candidates(ctx context.Context) ([]*Key, error) {
	if s.found.Public == nil {
		if err := s.look(ctx, s.wanted); err != nil {
			return nil, err
		}
	}
	keys, err := call(ctx, s.module, "C_FindObjects", s.privateKeys)
	return keys, s.judge(ctx, err)
}

// only is the one key that is meant.
func (s *Session) only(keys []*Key) (*Key, error) {
	switch {
	case keys[0].public == nil:
		return nil, s.untold()
	case len(keys) > 1 && !SamePublicKey(keys[0].told, keys[1].told):
		return nil, problem.New(problem.NotFound, "the token %q has several private keys with the same ID", s.token.Label).
			Because("Only one of them belongs to the public key, and the token does not tell which.").
			Hint("pkcs11-tool --module %s --login --list-objects", s.module.path)
	}
	return keys[0], nil
}

func (s *Session) untold() error {
	return problem.New(problem.NotFound, "the token %q does not tell the public key of the key", s.token.Label).
		Because("It has no certificate and no public key with the ID of the private key, so that no signature can be checked.").
		Hint("write the certificate to the token")
}

func (s *Session) noKey() error {
	p := problem.New(problem.NotFound, "the token %q has no private key for it", s.token.Label).
		Because("None of its private keys has the wanted public key, or the ID of a certificate or public key that has it.")
	if len(s.others) > 0 {
		return p.Hint("the card has other tokens, perhaps with other PINs: name one, --key '%s;id=%%01'", s.others[0].URI)
	}
	return p.Hint("pkcs11-tool --module %s --login --list-objects", s.module.path)
}

// privateKeys are the private keys that can be the wanted one.
func (s *Session) privateKeys() ([]*Key, error) {
	handles, err := s.objects(pkcs11.CKO_PRIVATE_KEY)
	if err != nil {
		return nil, err
	}
	var keys []*Key
	for _, o := range handles {
		id, label := s.bytes(o, pkcs11.CKA_ID), string(s.bytes(o, pkcs11.CKA_LABEL))
		told := s.publicKey(o)
		public := s.publicOf(o, told, id, label)
		if public == nil && (told != nil || s.found.Public != nil || !s.wanted.isKey(nil, id, label)) {
			continue
		}
		keys = append(keys, s.newKey(o, public, told))
	}
	return keys, nil
}

// publicOf is the public key that makes a private key the wanted one, nil
// where nothing does.
func (s *Session) publicOf(o object, told crypto.PublicKey, id []byte, label string) crypto.PublicKey {
	switch {
	case told != nil && s.found.Public != nil:
		if SamePublicKey(told, s.found.Public) {
			return told
		}
	case told != nil:
		if s.wanted.isKey(told, id, label) {
			return told
		}
	case s.found.Public != nil:
		if kind, ok := keyType(s.found.Public); ok && kind == s.number(o, pkcs11.CKA_KEY_TYPE) && contains(s.found.ids, id) {
			return s.found.Public
		}
	}
	return nil
}
