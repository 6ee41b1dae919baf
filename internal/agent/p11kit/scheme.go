package p11kit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"math/big"
	"slices"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// scheme is how a mechanism makes a signature with a key, and in which form.
type scheme struct {
	hash crypto.Hash     // of the message, done here; 0 if what is signed comes as it is
	pss  *rsa.PSSOptions // nil for PKCS #1 v1.5
	size int             // of a signature, in bytes
	half int             // of r and of s, 0 for others than ECDSA
}

// schemeOf is the scheme of a mechanism for a key (M 2.1.6, 2.1.10, 2.3.6).
func schemeOf(m mechanism, public crypto.PublicKey) (s scheme, code rv) {
	s.hash = hashOf(m.kind)
	pss := slices.Contains(signsPSS, m.kind)
	switch {
	case pss, slices.Contains(signsRSA, m.kind):
		key, is := public.(*rsa.PublicKey)
		if !is {
			return s, ckrKeyTypeInconsistent
		}
		s.size = key.Size()
		if pss {
			s.pss, code = pssOf(m, s)
		}
		return s, code
	case slices.Contains(signsEC, m.kind):
		key, is := public.(*ecdsa.PublicKey)
		if !is {
			return s, ckrKeyTypeInconsistent
		}
		s.half = (key.Params().N.BitLen() + 7) / 8
		s.size = 2 * s.half
		return s, ckrOK
	case m.kind == ckmEDDSA:
		if _, is := public.(ed25519.PublicKey); !is {
			return s, ckrKeyTypeInconsistent
		}
		if m.context {
			return s, ckrMechanismParamInvalid
		}
		s.size = ed25519.SignatureSize
		return s, ckrOK
	}
	return s, ckrMechanismInvalid
}

// pssOf are the parameters of PSS, with one hash function for all, as cards have it.
func pssOf(m mechanism, s scheme) (*rsa.PSSOptions, rv) {
	hash := hashOf(m.hash)
	if hash == 0 || maskOf(m.mgf) != hash || s.hash != 0 && s.hash != hash || m.salt == 0 || m.salt > uint64(s.size) {
		return nil, ckrMechanismParamInvalid
	}
	return &rsa.PSSOptions{Hash: hash, SaltLength: int(m.salt)}, ckrOK
}

// signed is what a key signs, and how, of what an operation had as its input.
func (s scheme) signed(data []byte, public crypto.PublicKey) (digest []byte, opts crypto.SignerOpts, code rv) {
	_, isRSA := public.(*rsa.PublicKey)
	_, isEC := public.(*ecdsa.PublicKey)
	switch {
	case s.pss != nil:
		if len(data) != s.pss.Hash.Size() {
			return nil, nil, ckrDataLenRange
		}
		return data, s.pss, ckrOK
	case s.hash != 0:
		return data, s.hash, ckrOK
	case isRSA:
		hash, digest, ok := pubkey.ParseDigestInfo(data)
		if !ok {
			return nil, nil, ckrDataInvalid
		}
		return digest, hash, ckrOK
	case isEC && len(data) == 0:
		return nil, nil, ckrDataLenRange
	case isEC:
		return data, digestOfLength(len(data)), ckrOK
	}
	return data, crypto.Hash(0), ckrOK
}

// digestOfLength is the hash function that makes digests so long, 0 for none.
func digestOfLength(n int) crypto.Hash {
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if h.Size() == n {
			return h
		}
	}
	return 0
}

// numbers are r and s of a signature (RFC 3279, 2.2.3).
type numbers struct{ R, S *big.Int }

// encode gives a signature the form of PKCS #11: r and s one after the other for ECDSA.
func (s scheme) encode(signature []byte) ([]byte, bool) {
	if s.half == 0 {
		return signature, len(signature) == s.size
	}
	var n numbers
	rest, err := asn1.Unmarshal(signature, &n)
	if err != nil || len(rest) > 0 || n.R.Sign() <= 0 || n.S.Sign() <= 0 || n.R.BitLen() > 8*s.half || n.S.BitLen() > 8*s.half {
		return nil, false
	}
	encoded := make([]byte, s.size)
	n.R.FillBytes(encoded[:s.half])
	n.S.FillBytes(encoded[s.half:])
	return encoded, true
}

// decode is the reverse of encode, for a signature of the right length.
func (s scheme) decode(signature []byte) []byte {
	if s.half == 0 {
		return signature
	}
	n := numbers{new(big.Int).SetBytes(signature[:s.half]), new(big.Int).SetBytes(signature[s.half:])}
	decoded, err := asn1.Marshal(n)
	if err != nil {
		return nil
	}
	return decoded
}
