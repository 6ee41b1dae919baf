package p11kit

import (
	"context"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// verifyInit is C_VerifyInit (section 5.13). Signatures are checked here, and not by the key.
func (c *client) verifyInit(ctx context.Context, s *session, a arguments, _ *writer) rv {
	key, code := initialise(ctx, c, s, a, &s.verifying, ckoPublicKey, ckaVerify)
	if key == nil {
		return code
	}
	scheme, code := schemeOf(a.mechanism, key.public)
	if code != ckrOK {
		return code
	}
	s.verifying = &operation{scheme, key, newInput(scheme.hash)}
	return ckrOK
}

// verify is C_Verify (section 5.13).
func (c *client) verify(_ context.Context, s *session, a arguments, _ *writer) rv {
	if code := s.verifying.whole(); code != ckrOK {
		return code
	}
	if code := write(&s.verifying, a.arrays[0]); code != ckrOK {
		return code
	}
	return endVerify(s, a.arrays[1])
}

// verifyUpdate is C_VerifyUpdate (section 5.13).
func (c *client) verifyUpdate(_ context.Context, s *session, a arguments, _ *writer) rv {
	return update(&s.verifying, a.arrays[0])
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
