package p11kit

import (
	"context"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// verifying is an operation that checks a signature, which is done here.
type verifying struct {
	scheme scheme
	key    *object
	input  input
}

// verifyInit is C_VerifyInit (section 5.13).
func (c *client) verifyInit(ctx context.Context, s *session, a arguments, _ *writer) rv {
	if a.mechanism.cancel {
		s.verifying = nil
		return ckrOK
	}
	if s.verifying != nil {
		return ckrOperationActive
	}
	key, code := c.keyFor(ctx, s, a.numbers[1], ckoPublicKey, ckaVerify)
	if code != ckrOK {
		return code
	}
	scheme, code := schemeOf(a.mechanism, key.public)
	if code != ckrOK {
		return code
	}
	s.verifying = &verifying{scheme, key, newInput(scheme.hash)}
	return ckrOK
}

// verify is C_Verify (section 5.13).
func (c *client) verify(_ context.Context, s *session, a arguments, _ *writer) rv {
	switch {
	case s.verifying == nil:
		return ckrOperationNotInitialized
	case s.verifying.input.several:
		return ckrOperationActive
	}
	if code := s.verifying.input.write(a.arrays[0]); code != ckrOK {
		s.verifying = nil
		return code
	}
	return endVerify(s, a.arrays[1])
}

// verifyUpdate is C_VerifyUpdate (section 5.13).
func (c *client) verifyUpdate(_ context.Context, s *session, a arguments, _ *writer) rv {
	if s.verifying == nil {
		return ckrOperationNotInitialized
	}
	s.verifying.input.several = true
	code := s.verifying.input.write(a.arrays[0])
	if code != ckrOK {
		s.verifying = nil
	}
	return code
}

// verifyFinal is C_VerifyFinal (section 5.13).
func (c *client) verifyFinal(_ context.Context, s *session, a arguments, _ *writer) rv {
	if s.verifying == nil {
		return ckrOperationNotInitialized
	}
	return endVerify(s, a.arrays[0])
}

func endVerify(s *session, signature []byte) rv {
	op := s.verifying
	s.verifying = nil
	digest, opts, code := op.scheme.signed(op.input.sum(), op.key.public)
	switch {
	case code != ckrOK:
		return code
	case len(signature) != op.scheme.size:
		return ckrSignatureLenRange
	case !pubkey.Verify(op.key.public, digest, op.scheme.decode(signature), opts):
		return ckrSignatureInvalid
	}
	return ckrOK
}
