package p11

import (
	"context"
	"crypto"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/miekg/pkcs11"
)

// rsaExponent is 65537, big-endian.
var rsaExponent = []byte{1, 0, 1}

// pair are the two objects of a key that was made now.
type pair struct{ public, private object }

// GenerateKeyPair makes a key on the token (C_GenerateKeyPair); algorithm is a
// name that Session.Makes knows. The session has to be logged in. What is
// returned was read back: a key that the token would give away is removed again
// and is a problem.Failed.
func (s *Session) GenerateKeyPair(ctx context.Context, algorithm string, n NewKey) (StoredKey, error) {
	if err := s.CheckMakes(ctx, algorithm); err != nil {
		return StoredKey{}, err
	}
	k, _ := kindNamed(algorithm)
	if err := s.writable(ctx); err != nil {
		return StoredKey{}, err
	}
	id := n.ID
	if id == nil {
		id = provisionalID()
	}
	public, private := n.templates(id)
	public = append(public, objectAttribute{pkcs11.CKA_CLASS, uint(pkcs11.CKO_PUBLIC_KEY)}, objectAttribute{pkcs11.CKA_KEY_TYPE, k.keyType})
	private = append(private, objectAttribute{pkcs11.CKA_CLASS, uint(pkcs11.CKO_PRIVATE_KEY)}, objectAttribute{pkcs11.CKA_KEY_TYPE, k.keyType})
	if k.keyType == pkcs11.CKK_RSA {
		public = append(public, objectAttribute{pkcs11.CKA_MODULUS_BITS, k.bits}, objectAttribute{pkcs11.CKA_PUBLIC_EXPONENT, rsaExponent})
	} else {
		public = append(public, objectAttribute{pkcs11.CKA_EC_PARAMS, k.curve})
	}
	made, err := create(ctx, s, "C_GenerateKeyPair", []objectAttribute{{pkcs11.CKA_ID, id}}, func(less shortening) (pair, error) {
		publicKey, privateKey, err := s.module.library.generateKeyPair(s.handle, mechanism{id: k.generate}, less(public), less(private))
		return pair{publicKey, privateKey}, err
	})
	if CodeOf(err) == pkcs11.CKR_ARGUMENTS_BAD { // as OpenSC says of cards that it does not write to
		refused := problem.New(problem.NotSupported, "the module cannot generate this key on the token %q [%s]", s.token.Label, CodeOf(err).Name()).
			Because("The module offers keys of this kind, but refused to generate this one. A card in a reader has key references of its own.").
			Advise(advice.Do(advice.ListReaders))
		refused.Cause = err
		err = refused
	}
	if err != nil {
		return StoredKey{}, err
	}
	return s.finish(ctx, made, n, id)
}

// CheckMakes refuses an algorithm that the token cannot make keys of, and says
// which it can.
func (s *Session) CheckMakes(ctx context.Context, algorithm string) error {
	makes, err := s.Makes(ctx, algorithm)
	if err == nil && !makes {
		return s.cannotMake(ctx, algorithm)
	}
	return err
}

// ImportKey puts a private key on the token: *rsa.PrivateKey, *ecdsa.PrivateKey,
// ed25519.PrivateKey or *ecdh.PrivateKey, and its public key beside it (C_CreateObject). The
// rest is as for GenerateKeyPair.
func (s *Session) ImportKey(ctx context.Context, key crypto.PrivateKey, n NewKey) (StoredKey, error) {
	public, private, id, err := n.objects(key)
	if err != nil {
		return StoredKey{}, problem.New(problem.NotSupported, "the token %q does not accept this key", s.token.Label).
			Because("The key is %v.", err)
	}
	defer wipeValues(private)
	if err := s.writable(ctx); err != nil {
		return StoredKey{}, err
	}
	privateKey, err := s.createObject(ctx, private)
	if problem.Is(err, problem.NotSupported) {
		err = because(problem.New(problem.NotSupported, "the token %q does not accept this private key [%s]", s.token.Label, CodeOf(err).Name()).
			Because("The module refused to store it. Some tokens, such as TPMs, use only keys that they generated."), err)
	}
	if err != nil {
		return StoredKey{}, err
	}
	publicKey, err := s.createObject(ctx, public)
	if err != nil {
		return StoredKey{}, s.undo(ctx, err, privateKey)
	}
	return s.finish(ctx, pair{publicKey, privateKey}, n, id)
}

// objects are the templates of a key from outside.
func (n NewKey) objects(key crypto.PrivateKey) (public, private []objectAttribute, id []byte, err error) {
	withPublic, ok := key.(interface{ Public() crypto.PublicKey })
	if !ok {
		_, err := privateValue(key)
		return nil, nil, nil, err
	}
	publicHalf, err := publicValue(withPublic.Public())
	if err != nil {
		return nil, nil, nil, err
	}
	privateHalf, err := privateValue(key)
	if err != nil {
		return nil, nil, nil, err
	}
	if id = n.ID; id == nil {
		id = KeyID(withPublic.Public())
	}
	public, private = n.templates(id)
	return append(public, publicHalf...), append(private, privateHalf...), id, nil
}

// finish reads the new key back, and gives it the ID of its public key where
// it has only a provisional one.
func (s *Session) finish(ctx context.Context, made pair, n NewKey, id []byte) (StoredKey, error) {
	k, err := readBack(ctx, s, func() (StoredKey, error) {
		k := StoredKey{HasPublic: true, publics: []object{made.public}}
		v, err := s.read(made.public, publicAttributes)
		if err != nil {
			return k, err
		}
		k.Public = v.publicKey()
		if v, err = s.read(made.private, slices.Concat(privateAttributes, guardAttributes)); err != nil {
			return k, err
		}
		k.addPrivate(made.private, v)
		return k, s.guarded(v)
	})
	if err == nil && k.Public == nil {
		err = problem.New(problem.NotSupported, "the token %q does not report the public key of its new key", s.token.Label).
			Because("The key could not be used, and was not kept. The module may not support keys of this kind.").
			Advise(advice.Repeat().Without(advice.Algorithm))
	}
	if err == nil && n.ID == nil && string(id) != string(KeyID(k.Public)) {
		// First the private half: the public one tells that it belongs to it.
		if _, err = s.setIDOf(ctx, KeyID(k.Public), made.private, made.public); err == nil {
			k.ID, err = readBack(ctx, s, func() ([]byte, error) {
				v, err := s.read(made.private, []uint{pkcs11.CKA_ID})
				return v[pkcs11.CKA_ID], err
			})
		}
	}
	if err != nil {
		return StoredKey{}, s.undo(ctx, err, made.private, made.public)
	}
	return k, nil
}

var guardAttributes = []uint{pkcs11.CKA_SENSITIVE, pkcs11.CKA_EXTRACTABLE}

// guarded refuses a key that can be read from the token.
func (s *Session) guarded(v values) error {
	if v.flag(pkcs11.CKA_SENSITIVE, true) && !v.flag(pkcs11.CKA_EXTRACTABLE, false) {
		return nil
	}
	return problem.New(problem.Failed, "the new key on the token %q can be read out, and was not kept", s.token.Label).
		Because("cardctl asked for a sensitive key that is not extractable, and the token created another kind.")
}

// SetID gives a key that was made now another ID than that of its public key. A module
// that does not let it be changed leaves it. The private half has that of the public key the
// longest, by which the halves belong together.
func (s *Session) SetID(ctx context.Context, k StoredKey, id []byte) error {
	_, err := s.setIDOf(ctx, id, k.publics[0], k.privates[0])
	return err
}

// JoinHalves gives the public half of a key the ID of its private half, if that is the ID of
// the public key, and an interrupted command left another one. It is false where there is
// nothing to change, or the module does not let it be changed.
func (s *Session) JoinHalves(ctx context.Context, k StoredKey) (bool, error) {
	if !k.divided() {
		return false, nil
	}
	if err := s.writable(ctx); err != nil {
		return false, err
	}
	return s.setIDOf(ctx, k.ID, k.publics...)
}

// GiveID gives a key that has no ID one, by which programs find its certificate. It
// is false where the module does not let it be changed. The session has to be logged
// in.
func (s *Session) GiveID(ctx context.Context, k StoredKey, id []byte) (bool, error) {
	if err := s.writable(ctx); err != nil {
		return false, err
	}
	return s.setIDOf(ctx, id, slices.Concat(k.privates, k.publics)...)
}

// setIDOf changes the ID of objects that belong together. It is false where the
// module does not let that of the first be changed.
func (s *Session) setIDOf(ctx context.Context, id []byte, objects ...object) (bool, error) {
	return change(ctx, s, "C_SetAttributeValue", func() (bool, error) {
		for i, o := range objects {
			err := s.module.library.setAttribute(s.handle, o, objectAttribute{pkcs11.CKA_ID, id})
			switch {
			case i == 0 && CodeOf(err).keepsAttributes():
				return false, nil
			case err != nil:
				return false, err
			}
		}
		return true, nil
	})
}

// keepsAttributes reports whether a module does not let an attribute be changed.
func (c Code) keepsAttributes() bool {
	switch c {
	case pkcs11.CKR_FUNCTION_NOT_SUPPORTED, pkcs11.CKR_ATTRIBUTE_READ_ONLY, pkcs11.CKR_ACTION_PROHIBITED:
		return true
	}
	return false
}

// undo removes what was made before it went wrong. Where that fails too, the cause
// leaves open what is on the token.
func (s *Session) undo(ctx context.Context, cause error, made ...object) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	left := false
	for _, o := range made {
		left = s.destroy(ctx, o) != nil || left // the cause says more
	}
	if left && !Uncertain(cause) {
		return s.doubted(cause, "C_DestroyObject")
	}
	return cause
}

// DeleteKey removes the private and the public key object. Certificates stay.
// The session has to be logged in.
func (s *Session) DeleteKey(ctx context.Context, k StoredKey) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	for _, o := range slices.Concat(k.privates, k.publics) {
		if err := s.destroy(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) destroy(ctx context.Context, o object) error {
	_, err := change(ctx, s, "C_DestroyObject", func() (struct{}, error) {
		return struct{}{}, s.module.library.destroyObject(s.handle, o)
	})
	return err
}
