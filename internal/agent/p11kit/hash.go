package p11kit

import (
	"context"
	"crypto"
	_ "crypto/sha1" // hash functions of the mechanisms
	_ "crypto/sha256"
	_ "crypto/sha512"
	"hash"
)

// hashOf is the hash function of a mechanism that hashes, 0 for others.
func hashOf(kind uint64) crypto.Hash {
	switch kind {
	case ckmSHA1, ckmSHA1RSAPKCS, ckmSHA1RSAPKCSPSS, ckmECDSASHA1:
		return crypto.SHA1
	case ckmSHA256, ckmSHA256RSAPKCS, ckmSHA256RSAPKCSPSS, ckmECDSASHA256:
		return crypto.SHA256
	case ckmSHA384, ckmSHA384RSAPKCS, ckmSHA384RSAPKCSPSS, ckmECDSASHA384:
		return crypto.SHA384
	case ckmSHA512, ckmSHA512RSAPKCS, ckmSHA512RSAPKCSPSS, ckmECDSASHA512:
		return crypto.SHA512
	}
	return 0
}

// maskOf is the hash function of a mask generation function (M 2.1.8), 0 for others.
func maskOf(mgf uint64) crypto.Hash {
	switch mgf {
	case ckgMGF1SHA1:
		return crypto.SHA1
	case ckgMGF1SHA256:
		return crypto.SHA256
	case ckgMGF1SHA384:
		return crypto.SHA384
	case ckgMGF1SHA512:
		return crypto.SHA512
	}
	return 0
}

// input is the data of an operation, in one part or several. It is hashed as it comes, or
// kept if the mechanism does not hash.
type input struct {
	hash    hash.Hash
	data    []byte
	several bool // parts came: the operation ends with its function for the last part
	asked   bool // how long the result of all data is: the operation ends with the function for all
}

// newInput is input for a hash function, 0 for none.
func newInput(h crypto.Hash) input {
	if h == 0 {
		return input{}
	}
	return input{hash: h.New()}
}

// write takes data; it fails if there is too much to keep.
func (i *input) write(part []byte) rv {
	switch {
	case i.hash != nil:
		i.hash.Write(part)
	case len(i.data)+len(part) > maxBody:
		return ckrDataLenRange
	default:
		i.data = append(i.data, part...)
	}
	return ckrOK
}

// sum is the digest of all data, or all data.
func (i *input) sum() []byte {
	if i.hash != nil {
		return i.hash.Sum(nil)
	}
	return i.data
}

// digestInit is C_DigestInit (section 5.10).
func (c *client) digestInit(_ context.Context, s *session, a arguments, _ *writer) rv {
	switch m := a.mechanism; {
	case m.cancel:
		s.digesting = nil
	case s.digesting != nil:
		return ckrOperationActive
	case m.kind != ckmSHA1 && m.kind != ckmSHA256 && m.kind != ckmSHA384 && m.kind != ckmSHA512:
		return ckrMechanismInvalid
	default:
		i := newInput(hashOf(m.kind))
		s.digesting = &i
	}
	return ckrOK
}

// digest is C_Digest (section 5.10).
func (c *client) digest(_ context.Context, s *session, a arguments, w *writer) rv {
	switch {
	case s.digesting == nil:
		return ckrOperationNotInitialized
	case s.digesting.several:
		return ckrOperationActive
	}
	if s.digesting.asked = !roomFor(s.digesting.hash.Size(), a, w); s.digesting.asked {
		return ckrOK
	}
	s.digesting.write(a.arrays[0])
	return endDigest(s, w)
}

// digestUpdate is C_DigestUpdate (section 5.10).
func (c *client) digestUpdate(_ context.Context, s *session, a arguments, _ *writer) rv {
	if s.digesting == nil {
		return ckrOperationNotInitialized
	}
	s.digesting.several = true
	return s.digesting.write(a.arrays[0])
}

// digestFinal is C_DigestFinal (section 5.10).
func (c *client) digestFinal(_ context.Context, s *session, a arguments, w *writer) rv {
	switch {
	case s.digesting == nil:
		return ckrOperationNotInitialized
	case s.digesting.asked:
		s.digesting = nil
		return ckrOperationActive
	}
	if !roomFor(s.digesting.hash.Size(), a, w) {
		return ckrOK
	}
	return endDigest(s, w)
}

func endDigest(s *session, w *writer) rv {
	w.array(s.digesting.sum())
	s.digesting = nil
	return ckrOK
}
