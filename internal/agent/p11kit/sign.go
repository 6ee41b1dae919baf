package p11kit

import "context"

// signInit is C_SignInit (section 5.11).
func (c *client) signInit(ctx context.Context, s *session, a arguments, _ *writer) rv {
	key, code := initialise(ctx, c, s, a, &s.signing, ckoPrivateKey, ckaSign)
	if key == nil {
		return code
	}
	scheme, code := schemeOf(a.mechanism, key.public)
	switch {
	case code != ckrOK:
		return code
	case scheme.pss != nil && !key.key.About().PSS:
		return ckrMechanismInvalid
	}
	s.signing = &operation{scheme, key, newInput(scheme.hash)}
	return ckrOK
}

// sign is C_Sign (section 5.11).
func (c *client) sign(ctx context.Context, s *session, a arguments, w *writer) rv {
	if code := s.signing.whole(); code != ckrOK {
		return code
	}
	if s.signing.input.asked = !roomFor(s.signing.scheme.size, a, w); s.signing.input.asked {
		return ckrOK
	}
	if code := write(&s.signing, a.arrays[0]); code != ckrOK {
		return code
	}
	return c.endSign(ctx, s, w)
}

// signUpdate is C_SignUpdate (section 5.11).
func (c *client) signUpdate(_ context.Context, s *session, a arguments, _ *writer) rv {
	return update(&s.signing, a.arrays[0])
}

// signFinal is C_SignFinal (section 5.11).
func (c *client) signFinal(ctx context.Context, s *session, a arguments, w *writer) rv {
	switch {
	case s.signing == nil:
		return ckrOperationNotInitialized
	case s.signing.input.asked:
		s.signing = nil
		return ckrOperationActive
	case !roomFor(s.signing.scheme.size, a, w):
		return ckrOK
	}
	return c.endSign(ctx, s, w)
}

// roomFor reports whether the client has room for so many bytes; else it gets to know how
// many, and the operation goes on (section 5.2).
func roomFor(size int, a arguments, w *writer) bool {
	if uint64(size) > uint64(a.room) {
		w.length(size)
		return false
	}
	return true
}

// endSign has the key sign. The operation is over, whatever comes of it.
func (c *client) endSign(ctx context.Context, s *session, w *writer) rv {
	op := s.signing
	s.signing = nil
	digest, opts, code := op.scheme.signed(op.input.sum(), op.key.public)
	if code != ckrOK {
		return code
	}
	signature, err := op.key.key.Sign(ctx, c.by, digest, opts)
	if err != nil {
		return valueOf(err)
	}
	encoded, ok := op.scheme.encode(signature)
	if !ok {
		return ckrDeviceError
	}
	w.array(encoded)
	return ckrOK
}
