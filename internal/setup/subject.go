package setup

import (
	"context"
	"crypto"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// subject is the key that a program is to use, as the module shows it.
type subject struct {
	*lend.Key
	module      string // the file
	token       p11.Token
	known       p11.KnownAs
	public      crypto.PublicKey
	certificate *cert.Certificate // nil for none
}

// seen looks at the key through the module.
func seen(ctx context.Context, k *lend.Key) (*subject, error) {
	on := &subject{Key: k, public: k.Public, certificate: k.Certificate}
	err := k.Through(ctx, func(m *p11.Module, s *p11.Session) error {
		on.module, on.token = m.Path(), s.Token()
		if shown := s.Found().Certificates; len(shown) > 0 && on.certificate == nil {
			on.certificate = shown[0]
		}
		if on.public == nil && on.certificate != nil {
			on.public = on.certificate.PublicKey
		}
		if on.public == nil {
			on.public = s.Found().Public
		}
		if on.public == nil {
			return problem.New(problem.NotSupported, "the module does not show the public key of %s", k.Ref).
				Because("Neither a public key nor a certificate of it is visible without the PIN.").
				Advise(importCertificate(k.Ref))
		}
		return on.name(ctx, m)
	})
	return on, throughGnuPG(k.Module, err)
}

// throughGnuPG is a failure of a module, with a way out if it works through GnuPG.
func throughGnuPG(module string, err error) error {
	if !p11.HoldsCard(module) || !problem.Is(err, problem.Failed) {
		return err
	}
	return problem.New(problem.Failed, "%s", err).
		Because("Scute works through scdaemon, which may not find the card after another program used it.").
		Advise(advice.Run("gpgconf", "--kill", "gpg-agent"))
}

// name finds out what programs call the key.
func (on *subject) name(ctx context.Context, m *p11.Module) (err error) {
	if on.known, err = on.KnownAs(ctx, m, on.public); err != nil {
		return err
	}
	if on.known.URI == "" {
		return problem.New(problem.NotSupported, "programs cannot name %s", on.Ref).
			Because("%s", on.known.Unnamed)
	}
	return nil
}
