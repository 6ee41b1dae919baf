package p11kit

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"

	"github.com/cardctl/cardctl/internal/agent"
)

// ability is what a token does with a mechanism: CK_MECHANISM_INFO.
type ability struct {
	kind     uint64
	smallest uint64 // key, in bits; 0 for a mechanism without keys
	largest  uint64
	flags    uint64
}

// Mechanisms by what a key does.
var (
	signsRSA = []uint64{ckmRSAPKCS, ckmSHA1RSAPKCS, ckmSHA256RSAPKCS, ckmSHA384RSAPKCS, ckmSHA512RSAPKCS}
	signsPSS = []uint64{ckmRSAPKCSPSS, ckmSHA1RSAPKCSPSS, ckmSHA256RSAPKCSPSS, ckmSHA384RSAPKCSPSS, ckmSHA512RSAPKCSPSS}
	signsEC  = []uint64{ckmECDSA, ckmECDSASHA1, ckmECDSASHA256, ckmECDSASHA384, ckmECDSASHA512}
	digests  = []uint64{ckmSHA1, ckmSHA256, ckmSHA384, ckmSHA512}
)

// abilities are those of a token's keys, and digests, which are calculated here.
func abilities(keys []agent.KeyAbout) []ability {
	var list []ability
	for _, key := range keys {
		switch public := key.Public.(type) {
		case *rsa.PublicKey:
			bits := uint64(public.N.BitLen())
			if key.Signs {
				list = merge(list, signsRSA, bits, ckfHW|ckfSign|ckfVerify)
			}
			if key.Signs && key.PSS {
				list = merge(list, signsPSS, bits, ckfHW|ckfSign|ckfVerify)
			}
			if key.Decrypts {
				list = merge(list, []uint64{ckmRSAPKCS, ckmRSAPKCSOAEP}, bits, ckfHW|ckfDecrypt|ckfEncrypt)
			}
		case *ecdsa.PublicKey:
			bits := uint64(public.Params().BitSize)
			if key.Signs {
				list = merge(list, signsEC, bits, ckfHW|ckfSign|ckfVerify|ckfECAllKinds)
			}
			if key.Derives {
				list = merge(list, []uint64{ckmECDH1Derive}, bits, ckfHW|ckfDerive|ckfECAllKinds)
			}
		case ed25519.PublicKey:
			if key.Signs {
				list = merge(list, []uint64{ckmEDDSA}, 255, ckfHW|ckfSign|ckfVerify|ckfECNamed)
			}
		case *ecdh.PublicKey:
			if key.Derives {
				list = merge(list, []uint64{ckmECDH1Derive}, bitsOf(public.Curve()), ckfHW|ckfDerive|ckfECNamed)
			}
		}
	}
	return merge(list, digests, 0, ckfDigest)
}

// merge adds what one more key does.
func merge(list []ability, kinds []uint64, bits, flags uint64) []ability {
next:
	for _, kind := range kinds {
		for i := range list {
			if a := &list[i]; a.kind == kind {
				a.smallest, a.largest, a.flags = min(a.smallest, bits), max(a.largest, bits), a.flags|flags
				continue next
			}
		}
		list = append(list, ability{kind, bits, bits, flags})
	}
	return list
}

func bitsOf(curve ecdh.Curve) uint64 {
	switch curve {
	case ecdh.P256():
		return 256
	case ecdh.P384():
		return 384
	case ecdh.P521():
		return 521
	}
	return 255
}

// abilities are those of the token in a slot.
func (c *client) abilities(ctx context.Context, id uint64) ([]ability, rv) {
	s, code := c.cards.occupied(ctx, id)
	if code != ckrOK {
		return nil, code
	}
	objects, err := s.objects.read(ctx, s.token, c.cards.options.NeedsLogin)
	if err != nil {
		return nil, valueOf(err)
	}
	var keys []agent.KeyAbout
	for _, o := range objects {
		if o.key != nil {
			keys = append(keys, o.key.About())
		}
	}
	return abilities(keys), ckrOK
}

// getMechanismList is C_GetMechanismList (section 5.5).
func (c *client) getMechanismList(ctx context.Context, a arguments, w *writer) rv {
	list, code := c.abilities(ctx, a.numbers[0])
	if code != ckrOK {
		return code
	}
	var kinds []uint64
	for _, ability := range list {
		kinds = append(kinds, ability.kind)
	}
	w.ulongs(kinds, a.room)
	return ckrOK
}

// getMechanismInfo is C_GetMechanismInfo (section 5.5).
func (c *client) getMechanismInfo(ctx context.Context, a arguments, w *writer) rv {
	list, code := c.abilities(ctx, a.numbers[0])
	if code != ckrOK {
		return code
	}
	for _, ability := range list {
		if ability.kind == a.numbers[1] {
			w.ulong(ability.smallest)
			w.ulong(ability.largest)
			w.ulong(ability.flags)
			return ckrOK
		}
	}
	return ckrMechanismInvalid
}
