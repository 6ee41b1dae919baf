package p11kit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
)

// padding is that of RSA ciphertexts (M 2.1.6, 2.1.8): nil is PKCS #1 v1.5.
type padding struct{ oaep *rsa.OAEPOptions }

// paddingOf is the padding of a mechanism.
func paddingOf(m mechanism) (padding, rv) {
	switch m.kind {
	case ckmRSAPKCS:
		return padding{}, ckrOK
	case ckmRSAPKCSOAEP:
		hash, mask := hashOf(m.hash), maskOf(m.mgf)
		if hash == 0 || mask == 0 || m.source != ckzDataSpecified && len(m.label) > 0 {
			return padding{}, ckrMechanismParamInvalid
		}
		return padding{&rsa.OAEPOptions{Hash: hash, MGFHash: mask, Label: bytes.Clone(m.label)}}, ckrOK
	}
	return padding{}, ckrMechanismInvalid
}

// paddingFor is the padding of a mechanism for a key, which has to be an RSA key.
func paddingFor(m mechanism, key *object) (padding, *rsa.PublicKey, rv) {
	public, is := key.public.(*rsa.PublicKey)
	if !is {
		return padding{}, nil, ckrKeyTypeInconsistent
	}
	p, code := paddingOf(m)
	return p, public, code
}

// most is the length of the longest message, less than 0 if the modulus is too short.
func (p padding) most(modulus int) int {
	if p.oaep != nil {
		return modulus - 2*p.oaep.Hash.Size() - 2
	}
	return modulus - 11
}

// decryption is an operation that decrypts.
type decryption struct {
	padding padding
	key     *object
	modulus int // length in bytes
	input   input
	// of and plaintext are what the key decrypted for a client that had no room for it.
	of, plaintext []byte
}

// decryptInit is C_DecryptInit (section 5.9).
func (c *client) decryptInit(ctx context.Context, s *session, a arguments, _ *writer) rv {
	key, code := initialise(ctx, c, s, a, &s.decrypt, ckoPrivateKey, ckaDecrypt)
	if key == nil {
		return code
	}
	padding, public, code := paddingFor(a.mechanism, key)
	if code != ckrOK {
		return code
	}
	if padding.most(public.Size()) < 0 {
		return ckrMechanismParamInvalid
	}
	s.decrypt = &decryption{padding: padding, key: key, modulus: public.Size()}
	return ckrOK
}

// decrypt is C_Decrypt (section 5.9).
func (c *client) decrypt(ctx context.Context, s *session, a arguments, w *writer) rv {
	switch {
	case s.decrypt == nil:
		return ckrOperationNotInitialized
	case s.decrypt.input.several:
		return ckrOperationActive
	}
	return c.endDecrypt(ctx, s, a.arrays[0], a, w)
}

// decryptUpdate is C_DecryptUpdate (section 5.9). Nothing can be decrypted before all is there.
func (c *client) decryptUpdate(_ context.Context, s *session, a arguments, w *writer) rv {
	if s.decrypt == nil {
		return ckrOperationNotInitialized
	}
	s.decrypt.input.several = true
	if code := s.decrypt.input.write(a.arrays[0]); code != ckrOK {
		s.decrypt = nil
		return code
	}
	w.array(nil)
	return ckrOK
}

// decryptFinal is C_DecryptFinal (section 5.9).
func (c *client) decryptFinal(ctx context.Context, s *session, a arguments, w *writer) rv {
	if s.decrypt == nil {
		return ckrOperationNotInitialized
	}
	return c.endDecrypt(ctx, s, s.decrypt.input.sum(), a, w)
}

// endDecrypt has the key decrypt, and ends the operation unless the client has to come again
// with more room. A client that has no room at all asks for the length, of which it gets the
// largest that can be, and the key is not used.
func (c *client) endDecrypt(ctx context.Context, s *session, ciphertext []byte, a arguments, w *writer) rv {
	op := s.decrypt
	if a.room == 0 && op.plaintext == nil {
		w.length(op.padding.most(op.modulus))
		return ckrOK
	}
	s.decrypt = nil
	if len(ciphertext) != op.modulus {
		return ckrEncryptedDataLenRange
	}
	if op.plaintext == nil || !bytes.Equal(op.of, ciphertext) {
		var opts crypto.DecrypterOpts
		if op.padding.oaep != nil {
			opts = op.padding.oaep
		}
		plaintext, err := op.key.key.Decrypt(ctx, c.by, ciphertext, opts)
		if err != nil {
			return valueOf(err)
		}
		op.of, op.plaintext = bytes.Clone(ciphertext), plaintext
	}
	if !w.fitting(op.plaintext, a.room) {
		s.decrypt = op
	}
	return ckrOK
}
