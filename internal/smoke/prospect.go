package smoke

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/tlskey"
)

// prospect is a key of which is asked what libraries do with it.
type prospect struct {
	key *p11.Key
	// refused are the digests that the key does not sign.
	refused map[crypto.Hash]bool
}

// Ability is what a library does with a key in each version of TLS: nothing for a
// handshake, or the reason why there is none.
type Ability struct{ TLS12, TLS13 string }

// Able is what a library does with the key of a token, as it is set up. It asks the token
// without a login. WholeDigests says that the key signs no digest shorter than its curve.
func Able(ctx context.Context, s *p11.Session, public crypto.PublicKey, wholeDigests bool, library Library) (Ability, error) {
	key, err := s.Prospect(ctx, public)
	if err != nil {
		return Ability{}, err
	}
	p := prospect{key, map[crypto.Hash]bool{}}
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		p.refused[hash] = wholeDigests && shorter(hash, public)
	}
	return Ability{TLS12: p.chooses(ctx, library, tls.VersionTLS12).reason, TLS13: p.chooses(ctx, library, tls.VersionTLS13).reason}, nil
}

// chooses is what a library does where the server has the defaults of OpenSSL, and
// accepts every signature, in the order of tlskey.Schemes.
func (p prospect) chooses(ctx context.Context, library Library, version uint16) choice {
	const none = "this module, card and key make no signature that it asks for"
	c, does, schemes := choice{by: []Library{library}}, habitsOf[library], tlskey.Schemes(version, p.key.Public())
	able := p.possible(ctx, library, schemes)
	switch p.key.Public().(type) {
	case *rsa.PublicKey:
		pss := p.key.ListsPSS() || does.pads && len(p.possible(ctx, library, tlskey.RSAPSS())) > 0
		switch {
		case version == tls.VersionTLS13 && !pss:
			c.reason = "it needs RSA-PSS signatures, and this module, card and key do not make them"
			if len(able) > 0 {
				c.reason = "it needs RSA-PSS signatures, and the module makes them only without CKM_RSA_PKCS_PSS"
			}
			return c
		case !pss && !does.asks:
			c.reason = "RSA-PSS is chosen where the server accepts it, and this module, card and key do not make it"
			return c
		case !pss:
			able = p.possible(ctx, library, tlskey.RSAPKCS1())
		}
	case *ecdsa.PublicKey:
		if !does.told && len(schemes) > 0 && len(p.possible(ctx, library, schemes[:1])) == 0 && len(able) > 0 {
			c.reason = schemes[0].Opts.HashFunc().String() + " is chosen where the server accepts it, and this module, card and key do not sign that with a longer curve"
			return c
		}
	case ed25519.PublicKey:
		if !does.edwards {
			c.reason = "no Ed25519 key is used from a PKCS#11 module"
			return c
		}
	}
	if len(able) == 0 {
		c.reason = none
		return c
	}
	c.scheme = able[0]
	return c
}

// possible are those of some schemes that module, token and key can really make, in
// the way in which a library asks for them.
func (p prospect) possible(ctx context.Context, library Library, schemes []tlskey.Scheme) []tls.SignatureScheme {
	supports := p.key.SupportsDigest
	if habitsOf[library].told {
		supports = p.key.Supports
	}
	var ids []tls.SignatureScheme
	for _, s := range schemes {
		if supports(ctx, s.Opts) && !p.refused[s.Opts.HashFunc()] {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
