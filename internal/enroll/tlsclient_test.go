package enroll

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/issuers"
)

// whoami tells the client what it came with.
func whoami(w http.ResponseWriter, r *http.Request) {
	for _, c := range r.TLS.PeerCertificates {
		_, _ = fmt.Fprintf(w, "%s/", c.Subject.CommonName)
	}
	_, _ = fmt.Fprint(w, tls.VersionName(r.TLS.Version))
}

// as has a message sent with the key of a card.
func (d *simulated) as(ref string, r *remote, known *certs.Authority) (answer reply, err error) {
	d.t.Helper()
	d.with(ref, func(ctx context.Context, here family.At, k key.Key) error {
		certificate, e := k.Certificate(ctx)
		check(d.t, e)
		auth := Auth{Card: &onCard{Key: k, here: here, o: &Options{Now: time.Now()}}, Certificate: certificate}
		if err = r.authenticate(ctx, auth, certs.All(d.t, known.Certificate)); err != nil {
			return nil
		}
		defer r.close()
		answer, err = r.do(ctx, message{method: http.MethodGet, path: "/"})
		return nil
	})
	return answer, err
}

// TestTheCardIsTheTLSClient has keys of every kind authenticate to servers of each version.
func TestTheCardIsTheTLSClient(t *testing.T) {
	root := certs.NewAuthority(t, "root")
	sub := root.Below(t, "sub")
	clients := x509.NewCertPool()
	clients.AddCert(root.Certificate)
	identity := root.Server(t, x509.Certificate{})
	for _, test := range []struct{ profile, ref, algorithm, old, current string }{
		{"", "OPENPGP.3", "p256", "me/sub/TLS 1.2", "me/sub/TLS 1.3"},
		{"", "OPENPGP.3", "p384", "me/sub/TLS 1.2", "me/sub/TLS 1.3"},
		{"", "OPENPGP.3", "rsa2048", "me/sub/TLS 1.2", "7"},
		{"", "OPENPGP.3", "ed25519", "me/sub/TLS 1.2", "me/sub/TLS 1.3"},
		{"piv-yubikey-5.7", "PIV.9A", "p256", "me/sub/TLS 1.2", "me/sub/TLS 1.3"},
		{"piv-yubikey-5.7", "PIV.9C", "p384", "me/sub/TLS 1.2", "me/sub/TLS 1.3"},
		{"piv-yubikey-5.7", "PIV.9A", "rsa2048", "me/sub/TLS 1.2", "me/sub/TLS 1.3"},
	} {
		t.Run(test.ref+" "+test.algorithm, func(t *testing.T) {
			d := newCard(t, test.profile, test.ref, test.algorithm)
			d.certify(test.ref, sub, x509.Certificate{Subject: pkix.Name{CommonName: "me"}})
			for version, want := range map[uint16]string{tls.VersionTLS12: test.old, tls.VersionTLS13: test.current} {
				at := issuers.Listen(t, identity, &tls.Config{
					MinVersion: version, MaxVersion: version, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
				}, http.HandlerFunc(whoami))
				r, err := newRemote(at, root.Roots(t))
				check(t, err)
				answer, err := d.as(test.ref, r, sub)
				got := string(answer.body)
				if problem.Is(err, problem.NotSupported) {
					got = "7"
				}
				if got != want {
					t.Errorf("%s: %q, %v", tls.VersionName(version), got, err)
				}
			}
		})
	}
}

// TestAKeyThatCannotBeTheTLSClient is refused before anything is sent.
func TestAKeyThatCannotBeTheTLSClient(t *testing.T) {
	root := certs.NewAuthority(t, "root")
	var seen atomic.Int32
	at := issuers.Listen(t, root.Server(t, x509.Certificate{}), &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { seen.Add(1); return nil, nil },
	}, http.HandlerFunc(whoami))
	d := newCard(t, "", "OPENPGP.2", "x25519")
	leaf := root.Server(t, x509.Certificate{}).Certificate[0]
	d.with("OPENPGP.2", func(ctx context.Context, here family.At, k key.Key) error {
		r, err := newRemote(at, root.Roots(t))
		check(t, err)
		err = r.authenticate(ctx, Auth{Card: &onCard{Key: k, here: here}, Certificate: leaf}, nil)
		if !problem.Is(err, problem.NotSupported) {
			t.Errorf("%v", err)
		}
		return nil
	})
	if seen.Load() != 0 {
		t.Error("something was sent")
	}
}

// silent is a signer that makes no signature.
type silent struct{ crypto.Signer }

func (silent) Makes(crypto.SignerOpts) error { return problem.New(problem.NotSupported, "none") }

// TestASignerWithoutSignaturesOfTLS is told from one whose card cannot be asked.
func TestASignerWithoutSignaturesOfTLS(t *testing.T) {
	signer := certs.NewAuthority(t, "root").Key
	if _, highest, err := tlsSchemes(signer); err != nil || highest != tls.VersionTLS13 {
		t.Errorf("%x, %v", highest, err)
	}
	if _, _, err := tlsSchemes(silent{signer}); !problem.Is(err, problem.NotSupported) {
		t.Errorf("%v", err)
	}
}

// TestTheCardIsPulledOutInTheHandshake ends as any other command then does, and nothing is
// taken for an answer.
func TestTheCardIsPulledOutInTheHandshake(t *testing.T) {
	root := certs.NewAuthority(t, "root")
	at := issuers.Listen(t, root.Server(t, x509.Certificate{}), &tls.Config{ClientAuth: tls.RequestClientCert}, http.HandlerFunc(whoami))
	for code, fault := range map[problem.Code]error{problem.CardRemoved: iso7816.ErrCardRemoved, problem.CardBusy: iso7816.ErrCardReset} {
		d := newCard(t, "", "OPENPGP.3", "p256")
		d.certify("OPENPGP.3", root, x509.Certificate{Subject: pkix.Name{CommonName: "me"}})
		const internalAuthenticate = 0x88
		d.before = func(cmd iso7816.Command) error {
			if cmd.INS == internalAuthenticate {
				return fault
			}
			return nil
		}
		r, err := newRemote(at, root.Roots(t))
		check(t, err)
		if answer, err := d.as("OPENPGP.3", r, root); !problem.Is(err, code) || len(answer.body) > 0 {
			t.Errorf("%q, %v", answer.body, err)
		}
	}
}

// TestAServerThatRefusesTheCertificate is told from one that cannot be reached.
func TestAServerThatRefusesTheCertificate(t *testing.T) {
	root, other := certs.NewAuthority(t, "root"), certs.NewAuthority(t, "other")
	clients := x509.NewCertPool()
	clients.AddCert(other.Certificate)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		at := issuers.Listen(t, root.Server(t, x509.Certificate{}), &tls.Config{
			MaxVersion: version, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
		}, http.HandlerFunc(whoami))
		d := newCard(t, "", "OPENPGP.3", "p256")
		d.certify("OPENPGP.3", root, x509.Certificate{Subject: pkix.Name{CommonName: "me"}})
		r, err := newRemote(at, root.Roots(t))
		check(t, err)
		_, err = d.as("OPENPGP.3", r, root)
		if !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "the certificate on the card") {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// TestTheCardSignsOnlyWhileSomebodyWaits has a handshake go on after the message was given
// up: the card does not sign for it.
func TestTheCardSignsOnlyWhileSomebodyWaits(t *testing.T) {
	root := certs.NewAuthority(t, "root")
	d := newCard(t, "", "OPENPGP.3", "p256")
	d.certify("OPENPGP.3", root, x509.Certificate{Subject: pkix.Name{CommonName: "me"}})
	d.with("OPENPGP.3", func(ctx context.Context, here family.At, k key.Key) error {
		certificate, err := k.Certificate(ctx)
		check(t, err)
		r, err := newRemote(url.URL{Scheme: "https", Host: "127.0.0.1:1"}, root.Roots(t))
		check(t, err)
		check(t, r.authenticate(ctx, Auth{Card: &onCard{Key: k, here: here}, Certificate: certificate}, nil))
		if _, err := r.do(ctx, message{method: http.MethodGet}); !problem.Is(err, problem.Failed) {
			t.Errorf("%v", err)
		}
		before := d.count
		if _, err := r.identity.Sign(nil, make([]byte, sha256.Size), crypto.SHA256); err == nil || d.count != before {
			t.Errorf("%v, %d commands", err, d.count-before)
		}
		return nil
	})
}
