package p11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
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
		return nil, problem.New(problem.Usage, "no key on the token %q was selected", s.token.Label).
			Advise(s.module.Show(s.token))
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
	keys, err := again(ctx, s, "C_FindObjects", s.privateKeys)
	return keys, s.judge(ctx, err)
}

// only is the one key that is meant.
func (s *Session) only(keys []*Key) (*Key, error) {
	switch {
	case keys[0].public == nil:
		return nil, s.Unreported(keys[0].id)
	case len(keys) > 1 && !pubkey.Same(keys[0].told, keys[1].told):
		return nil, problem.New(problem.NotFound, "the token %q has several private keys with the same ID", s.token.Label).
			Because("Only one of them belongs to the public key, and the token does not report which.").
			Advise(s.module.listObjects())
	}
	return keys[0], nil
}

// Unreported is the error of a private key with this ID, of which the token does
// not report the public key.
func (s *Session) Unreported(id []byte) error {
	return problem.New(problem.NotFound, "the token %q does not report the public key of the key", s.token.Label).
		Because("The token has no certificate and no public key with the ID of the private key.").
		Advise(advice.Run("pkcs11-tool", "--module", s.module.path, "--login",
			"--write-object", "cert.der", "--type", "cert", "--id", fmt.Sprintf("%x", id)))
}

func (s *Session) noKey() error {
	p := problem.New(problem.NotFound, "the token %q has no matching private key", s.token.Label).
		Because("No private key on it has the expected public key, or the ID of a certificate with that key.")
	if len(s.others) > 0 {
		return p.Because("%s", p.Why+" The card has other tokens, perhaps with other PINs.").
			Advise(advice.Repeat(advice.Set(advice.Key, s.found.on(s.others[0]).String())))
	}
	return p.Advise(s.module.listObjects())
}

// privateKeys are the private keys that can be the wanted one.
func (s *Session) privateKeys() ([]*Key, error) {
	if err := s.listMechanisms(); err != nil {
		return nil, err
	}
	if s.found.Public != nil {
		k := StoredKey{Public: s.found.Public}
		for _, id := range s.found.ids {
			k.names = append(k.names, name{id: id})
		}
		return s.privatesOf(k)
	}
	handles, err := s.objects(pkcs11.CKO_PRIVATE_KEY)
	if err != nil {
		return nil, err
	}
	var keys []*Key
	for _, o := range handles {
		v, err := s.read(o, privateAttributes)
		if err != nil {
			return nil, err
		}
		n, told := v.name(), v.publicKey()
		if s.wanted.isKey(told, n.id, n.label) {
			keys = append(keys, s.newKey(o, v, told))
		}
	}
	return keys, nil
}

// KeyOf is the private key of a key that Contents told of, before the login or
// after it.
func (s *Session) KeyOf(ctx context.Context, k StoredKey) (*Key, error) {
	if k.Public == nil {
		return nil, s.Unreported(k.ID)
	}
	keys, err := again(ctx, s, "C_FindObjects", func() ([]*Key, error) {
		if err := s.listMechanisms(); err != nil {
			return nil, err
		}
		return s.privatesOf(k)
	})
	switch {
	case err != nil:
		return nil, s.Explain(ctx, err)
	case len(keys) == 0:
		return nil, s.noKey()
	}
	return s.only(keys)
}

// privatesOf are the private keys that can be that of a key: those with its ID, or
// with its label where neither has an ID, those with the ID that its public key makes, else
// those that tell its public key.
func (s *Session) privatesOf(k StoredKey) ([]*Key, error) {
	for _, n := range append(slices.Clone(k.names), name{id: k.ID, label: k.Label}, name{id: KeyID(k.Public)}) {
		having := objectAttribute{pkcs11.CKA_ID, n.id}
		if len(n.id) == 0 && n.label != "" {
			having = objectAttribute{pkcs11.CKA_LABEL, []byte(n.label)}
		}
		keys, err := s.privatesAmong(k, having, func(own name) bool { return bytes.Equal(own.id, n.id) && (len(n.id) > 0 || own.label == n.label) })
		if err != nil || len(keys) > 0 {
			return keys, err
		}
	}
	for _, a := range identifying(k.Public) {
		keys, err := s.privatesAmong(k, a, func(name) bool { return false })
		if err != nil || len(keys) > 0 {
			return keys, err
		}
	}
	return nil, nil
}

// identifying are attributes by which objects of a key are found.
func identifying(public crypto.PublicKey) []objectAttribute {
	value, err := publicValue(public)
	if err != nil {
		return nil
	}
	found := slices.DeleteFunc(value, func(a objectAttribute) bool { return a.kind != pkcs11.CKA_MODULUS && a.kind != pkcs11.CKA_EC_POINT })
	if info, err := x509.MarshalPKIXPublicKey(public); err == nil {
		found = append(found, objectAttribute{ckaPublicKeyInfo, info})
	}
	return found
}

// privatesAmong are those with an attribute that tell the public key, or tell none and
// belong to it by their names.
func (s *Session) privatesAmong(k StoredKey, having objectAttribute, belongs func(name) bool) ([]*Key, error) {
	handles, err := s.objects(pkcs11.CKO_PRIVATE_KEY, having)
	if err != nil {
		return nil, err
	}
	var keys []*Key
	for _, o := range handles {
		v, err := s.read(o, privateAttributes)
		if err != nil {
			return nil, err
		}
		told := v.publicKey()
		if pubkey.Same(told, k.Public) ||
			told == nil && belongs(v.name()) && isOfKind(k.Public, v.number(pkcs11.CKA_KEY_TYPE)) {
			keys = append(keys, s.newKey(o, v, k.Public))
		}
	}
	return keys, nil
}
