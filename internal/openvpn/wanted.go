package openvpn

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// wanted is the key that OpenVPN is to use, with the certificate and on the token that the
// module shows.
type wanted struct {
	*lend.Key
	certificate *cert.Certificate
	token       p11.Token
	pin         pin.PIN
	// named says that a configuration names the certificate.
	named bool
	// given is the PIN, where the token accepted it before; nil where the policy sends it.
	given *secret.Bytes
}

// send gives the PIN to OpenVPN.
func (w *wanted) send(ctx context.Context, use func(context.Context, *secret.Bytes) error) error {
	if w.given != nil {
		return use(ctx, w.given)
	}
	return w.Policy.Send(ctx, w.pin, use)
}

// look finds the key behind the module, and leaves the module before OpenVPN loads it.
func (s *setting) look(ctx context.Context, k *lend.Key) (*wanted, error) {
	w := &wanted{Key: k, certificate: k.Certificate}
	err := k.AskedOnce(ctx, "OpenVPN")
	switch {
	case err != nil:
		return nil, err
	case k.Certificate != nil && !pubkey.Same(k.Certificate.PublicKey, k.Public):
		return nil, problem.New(problem.Mismatch, "the certificate of %s on the card is not for this key", k.Ref).
			Because("It has another public key.").Advise(advice.Do(advice.ShowCard))
	}
	err = k.Through(ctx, func(m *p11.Module, found *p11.Session) error {
		w.token = found.Token()
		if err := w.find(found.Found().Certificates, m.Path()); err != nil {
			return err
		}
		if err := s.compare(ctx, w, m); err != nil {
			return err
		}
		return s.usable(ctx, w, found)
	})
	if err == nil {
		w.pin, err = k.PIN(ctx)
	}
	return w, err
}

// compare refuses a configuration that names another certificate.
func (s *setting) compare(ctx context.Context, w *wanted, m *p11.Module) error {
	if s.config.id == "" {
		return nil
	}
	known, err := w.KnownAs(ctx, m, w.certificate.PublicKey)
	w.named = true
	return errors.Join(err, s.config.names(known, w.Ref))
}

// find notes the certificate as the module shows it: the card's own.
func (w *wanted) find(shown []*cert.Certificate, module string) error {
	switch {
	case len(shown) == 0:
		missing := problem.New(problem.NotFound, "%s does not show the certificate of %s", module, w.Ref).
			Because("OpenVPN finds keys by their certificates.").
			Advise(advice.Do(advice.ImportCertificate, advice.Set(advice.Key, w.Ref)).On("FILE"))
		if instead := w.Holder.ShownInstead; w.certificate != nil && instead != "" {
			return missing.Because("Some versions of OpenSC show only that of %s.", instead).Advise(advice.Repeat(advice.Set(advice.Key, instead)))
		}
		return missing
	case w.certificate == nil:
		w.certificate = shown[0]
	case !slices.ContainsFunc(shown, w.certificate.Equal):
		return problem.New(problem.Mismatch, "%s does not show the certificate of %s that is on the card", module, w.Ref).
			Because("A module may keep a copy of an old certificate.").Advise(advice.Do(advice.Diagnose))
	}
	return nil
}

// usable refuses a key with which OpenSSL, as it is set up, makes no handshake.
func (s *setting) usable(ctx context.Context, w *wanted, found *p11.Session) error {
	other := advice.Do(advice.GenerateKey, advice.Fill(advice.Key), advice.Set(advice.Algorithm, string(key.P256)))
	if _, edwards := w.certificate.PublicKey.(ed25519.PublicKey); edwards {
		return problem.New(problem.NotSupported, "OpenVPN does not use the Ed25519 key %s", w.Ref).
			Because("OpenSSL uses no Ed25519 key from a PKCS#11 module. Use a p256 key.").Advise(other)
	}
	if s.options.AllowTLS12 || !pubkey.IsRSA(w.certificate.PublicKey) {
		return nil
	}
	pads, err := found.PadsPSS(ctx)
	if err != nil || pads {
		return err
	}
	return onlyTLS12(w.Ref)
}

func onlyTLS12(ref string) error {
	return problem.New(problem.NotSupported, "OpenVPN does not use the RSA key %s as OpenSSL is set up", ref).
		Because("It needs RSA-PSS signatures, and this module and card do not make them. A p256 key works, or TLS 1.2 without them.").
		Advise(advice.Repeat(advice.Switch(advice.AllowTLS12)))
}

// isFor reports whether an entry is the certificate of this very key, on this token.
func (w *wanted) isFor(e entry) bool {
	return w.certificate.Equal(&cert.Certificate{Raw: e.der}) && strings.HasPrefix(e.id, w.token.SerializedID(nil))
}
