package p11

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"io"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/miekg/pkcs11"
)

// CanDecrypt reports whether module, token and key share a way to decrypt
// RSAES-PKCS1-v1_5, or RSAES-OAEP.
func (k *Key) CanDecrypt(ctx context.Context, oaep bool) bool {
	if _, isRSA := k.public.(*rsa.PublicKey); !isRSA || !k.decrypt {
		return false
	}
	if oaep {
		return k.has(ctx, pkcs11.CKM_RSA_PKCS_OAEP, pkcs11.CKF_DECRYPT)
	}
	return k.has(ctx, pkcs11.CKM_RSA_PKCS, pkcs11.CKF_DECRYPT)
}

// Decrypt decrypts with RSAES-PKCS1-v1_5 where opts are nil, and with RSAES-OAEP
// where they are *rsa.OAEPOptions without a label.
func (s *Signer) Decrypt(_ io.Reader, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	k := s.key
	m := mechanism{id: pkcs11.CKM_RSA_PKCS}
	supported := k.CanDecrypt(s.ctx, false)
	switch o := opts.(type) {
	case nil:
	case *rsa.OAEPOptions:
		names, known := hashes[o.Hash]
		supported = k.CanDecrypt(s.ctx, true) && known && len(o.Label) == 0 && (o.MGFHash == 0 || o.MGFHash == o.Hash)
		m = mechanism{id: pkcs11.CKM_RSA_PKCS_OAEP, oaep: &oaepParameters{hash: names.mechanism, mgf: names.mgf}}
	default:
		supported = false
	}
	if !supported {
		return nil, problem.New(problem.NotSupported, "%s: this key cannot decrypt this way", k.session.module.name()).
			Because("The module, the token and the key do not all support %s.", m.id).
			Advise(k.session.module.list())
	}
	library := k.session.module.library
	return k.operation(s.ctx, "C_Decrypt",
		func() error { return library.decryptInit(k.session.handle, m, k.handle) },
		func() ([]byte, error) { return library.decrypt(k.session.handle, ciphertext, len(ciphertext)) })
}

// CanAgree reports whether module, token and key share CKM_ECDH1_DERIVE.
func (k *Key) CanAgree(ctx context.Context) bool {
	return k.curve() != nil && k.derive && k.has(ctx, pkcs11.CKM_ECDH1_DERIVE, pkcs11.CKF_DERIVE)
}

// curve is the curve of a key that ECDH works with, nil for other keys.
func (k *Key) curve() ecdh.Curve {
	switch key := k.public.(type) {
	case *ecdsa.PublicKey:
		if converted, err := key.ECDH(); err == nil {
			return converted.Curve()
		}
	case *ecdh.PublicKey:
		return key.Curve()
	}
	return nil
}

// ECDH is the secret that key and peer share, the x-coordinate, without a key
// derivation (CKM_ECDH1_DERIVE with CKD_NULL). The module makes a session
// object of it, which is read and destroyed.
func (k *Key) ECDH(ctx context.Context, peer *ecdh.PublicKey) ([]byte, error) {
	if !k.CanAgree(ctx) || peer.Curve() != k.curve() {
		return nil, problem.New(problem.NotSupported, "%s: this key cannot do ECDH with the peer's key", k.session.module.name()).
			Because("The module, the token and the key do not all support %s.", MechanismID(pkcs11.CKM_ECDH1_DERIVE)).
			Advise(k.session.module.list())
	}
	s := k.session
	m := mechanism{id: pkcs11.CKM_ECDH1_DERIVE, ecdh: peer.Bytes()}
	derive := func() ([]byte, error) {
		derived, err := s.module.library.deriveKey(s.handle, m, k.handle, k.secretTemplate())
		if err != nil {
			return nil, err
		}
		value, err := s.module.library.attribute(s.handle, derived, pkcs11.CKA_VALUE)
		if derr := s.module.library.destroyObject(s.handle, derived); err == nil {
			err = derr
		}
		return value, err
	}
	if k.always { // C_DeriveKey has no beginning to log in after
		value, err := call(ctx, s.module, "C_DeriveKey", derive)
		return value, s.judge(ctx, err)
	}
	return k.operation(ctx, "C_DeriveKey", func() error { return nil }, derive)
}

// secretTemplate describes the object that takes the shared secret.
func (k *Key) secretTemplate() []objectAttribute {
	length := 32
	if key, ok := k.public.(*ecdsa.PublicKey); ok {
		length = (key.Curve.Params().BitSize + 7) / 8
	}
	return []objectAttribute{
		{pkcs11.CKA_CLASS, uint(pkcs11.CKO_SECRET_KEY)},
		{pkcs11.CKA_KEY_TYPE, uint(pkcs11.CKK_GENERIC_SECRET)},
		{pkcs11.CKA_TOKEN, false},
		{pkcs11.CKA_SENSITIVE, false},
		{pkcs11.CKA_EXTRACTABLE, true},
		{pkcs11.CKA_VALUE_LEN, uint(length)},
	}
}
