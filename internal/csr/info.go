package csr

import (
	"bytes"
	"context"
	"crypto"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// maxChallenge is pkcs-9-ub-challengePassword of RFC 2985, 5.4.1, in characters.
const maxChallenge = 255

func oidChallengePassword() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}
}

// AskChallenge returns the challenge password of a request, nil if no source of it is
// named. One that is too long is a problem.Usage. The caller wipes it.
func AskChallenge(ctx context.Context, ask secret.Asker) (*secret.Bytes, error) {
	return AskChallengeAs(ctx, ask, secret.Request{Name: secret.ChallengePassword, Label: "challenge password", Optional: true})
}

// AskChallengeAs is AskChallenge for a secret with another name.
func AskChallengeAs(ctx context.Context, ask secret.Asker, q secret.Request) (*secret.Bytes, error) {
	password, err := ask(ctx, q)
	if err != nil {
		return nil, err
	}
	if length := password.Characters(); length > maxChallenge {
		password.Wipe()
		return nil, problem.New(problem.Usage, "the challenge password is too long").
			Because("It can have at most %d characters (RFC 2985, 5.4.1), and this one has %d.", maxChallenge, length).
			Advise(advice.Repeat(advice.Ask(q.Name)))
	}
	return password, nil
}

// info is the CertificationRequestInfo (RFC 2986, 4.1), which crypto/x509 cannot encode
// with a challenge password.
func (r Request) info(subject []byte, public crypto.PublicKey) ([]byte, error) {
	key, err := pubkey.Marshal(public)
	if err != nil {
		return nil, err
	}
	attributes, err := r.attributes()
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0) // version
		b.AddBytes(subject)
		b.AddBytes(key)
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddBytes(slices.Concat(attributes...))
		})
	})
	return b.Bytes()
}

// attributes are those of the request, in the order that DER has for a SET OF (X.690, 11.6).
func (r Request) attributes() ([][]byte, error) {
	var list [][]byte
	if len(r.Extensions) > 0 {
		extensions, err := asn1.Marshal(r.Extensions)
		if err != nil {
			return nil, err
		}
		list = append(list, single(oidExtensionRequest(), func(b *cryptobyte.Builder) { b.AddBytes(extensions) }))
	}
	if r.Challenge != nil {
		list = append(list, single(oidChallengePassword(), func(b *cryptobyte.Builder) {
			b.AddASN1(challengeTag(r.Challenge.Reveal()), func(b *cryptobyte.Builder) { b.AddBytes(r.Challenge.Reveal()) })
		}))
	}
	slices.SortFunc(list, bytes.Compare)
	return list, nil
}

// challengeTag is PrintableString whenever possible, as RFC 2985, 5.4.1, has it, and
// otherwise UTF8String.
func challengeTag(password []byte) cbasn1.Tag {
	if bytes.ContainsFunc(password, func(c rune) bool { return !isPrintable(c) }) {
		return cbasn1.UTF8String
	}
	return cbasn1.PrintableString
}

// single is an Attribute with one value. Its OID is a known one, so it cannot fail.
func single(oid asn1.ObjectIdentifier, value cryptobyte.BuilderContinuation) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(cbasn1.SET, value)
	})
	return b.BytesOrPanic()
}
