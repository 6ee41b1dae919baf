package p11kit

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
)

// encryption is an operation that encrypts, which is done here.
type encryption struct {
	padding padding
	key     *rsa.PublicKey
}

// encryptInit is C_EncryptInit (section 5.8).
func (c *client) encryptInit(ctx context.Context, s *session, a arguments, _ *writer) rv {
	key, code := initialise(ctx, c, s, a, &s.encrypt, ckoPublicKey, ckaEncrypt)
	if key == nil {
		return code
	}
	padding, public, code := paddingFor(a.mechanism, key)
	if code != ckrOK {
		return code
	}
	s.encrypt = &encryption{padding, public}
	return ckrOK
}

// encrypt is C_Encrypt (section 5.8).
func (c *client) encrypt(_ context.Context, s *session, a arguments, w *writer) rv {
	op := s.encrypt
	switch {
	case op == nil:
		return ckrOperationNotInitialized
	case !roomFor(op.key.Size(), a, w):
		return ckrOK
	}
	s.encrypt = nil
	if len(a.arrays[0]) > op.padding.most(op.key.Size()) {
		return ckrDataLenRange
	}
	ciphertext, err := op.padding.seal(op.key, a.arrays[0])
	if err != nil {
		return valueOf(err)
	}
	w.array(ciphertext)
	return ckrOK
}

func (p padding) seal(key *rsa.PublicKey, message []byte) ([]byte, error) {
	if p.oaep != nil {
		return rsa.EncryptOAEPWithOptions(rand.Reader, key, message, p.oaep)
	}
	//lint:ignore SA1019 the program chose the padding
	return rsa.EncryptPKCS1v15(rand.Reader, key, message)
}
