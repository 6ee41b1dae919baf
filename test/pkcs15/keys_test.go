//go:build stack

package pkcs15

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/test/stack"
)

func (b *bench) importKey(ref string, private crypto.PrivateKey, o keygen.Options) (report keygen.Report, err error) {
	err = b.key(ref, func(k key.Key) (err error) {
		report, err = keygen.ImportOn(b.t.Context(), k, private, o)
		return err
	})
	return report, err
}

func TestImportedKeys(t *testing.T) {
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, deaf := range map[string]bool{"directly": false, "by OpenSC's tools": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.mustInit()
			b.deafen(deaf)
			t.Setenv("OPENSC_DRIVER", "isoApplet")
			for ref, private := range map[string]crypto.Signer{"PKCS15.45": own, "PKCS15.46": curve} {
				report, err := b.importKey(ref, private, keygen.Options{Spec: key.Spec{Label: "brought"}})
				if err != nil || !pubkey.Same(b.public(ref), private.Public()) {
					t.Fatalf("%s: %+v, %v", ref, report, err)
				}
			}
			b.request("PKCS15.45", "desk.csr")
			b.desk.VerifyRequest(string(b.desk.Read("desk.csr")))
			if report, err := b.importKey("PKCS15.45", own, keygen.Options{}); err != nil || !report.Unchanged {
				t.Errorf("the same key again: %+v, %v", report, err)
			}
		})
	}
}

// A card that takes no keys keeps the one that was to be replaced.
func TestReplaceOnACardThatTakesNoKeys(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := benchWithoutCard(t)
	b.card, b.wire = b.desk.WiredCard("desk", reader, "--applications", "pkcs15", "--profile", "isoapplet-no-import")
	b.mustInit()
	made := b.generate("PKCS15.45", key.Spec{Algorithm: key.P256})
	before := b.public("PKCS15.45")
	for ref, o := range map[string]keygen.Options{"PKCS15.45": {Replace: made.Fingerprint}, "PKCS15.46": {}} {
		if _, err := b.importKey(ref, private, o); !problem.Is(err, problem.NotSupported) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if !pubkey.Same(b.public("PKCS15.45"), before) {
		t.Error("the key that was to be replaced is gone")
	}
}

func TestReplaceAndDelete(t *testing.T) {
	for name, deaf := range map[string]bool{"directly": false, "by OpenSC's tools": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.mustInit()
			b.deafen(deaf)
			t.Setenv("OPENSC_DRIVER", "isoApplet")
			first := b.generate("PKCS15.45", key.Spec{Label: "vpn"})
			if _, err := b.importCertificate("PKCS15.45", b.issue("PKCS15.45")); err != nil {
				t.Fatal(err)
			}
			again := func(replace string) (report keygen.Report, err error) {
				err = b.key("PKCS15.45", func(k key.Key) (err error) {
					report, err = keygen.GenerateOn(t.Context(), k, keygen.Options{Replace: replace})
					return err
				})
				return report, err
			}
			if _, err := again(""); !problem.Is(err, problem.Refused) {
				t.Fatalf("over a key: %v", err)
			}
			second, err := again(first.Fingerprint)
			if err != nil || second.Replaced != first.Fingerprint || second.Fingerprint == first.Fingerprint || !strings.Contains(second.StaleCertificate, "Floppy Head") {
				t.Fatalf("%+v: %v", second, err)
			}
			replaced, err := b.importCertificate("PKCS15.45", b.issue("PKCS15.45"))
			if err != nil || replaced.Replaced == nil {
				t.Fatalf("%+v: %v", replaced, err)
			}
			if _, err := certstore.Delete(t.Context(), b.at(), b.access(), "PKCS15.45", certstore.RenewalOf(false, false)); err != nil {
				t.Fatal(err)
			}
			b.mustKey("PKCS15.45", func(k key.Key) error { return k.Delete(t.Context()) })
			if listing := b.opensc("pkcs15-tool", "--dump"); strings.Contains(listing, "Key") || strings.Contains(listing, "X.509") {
				t.Errorf("something is left:\n%s", listing)
			}
			if err := b.key("PKCS15.45", func(k key.Key) error { _, err := k.Public(t.Context()); return err }); !problem.Is(err, problem.NotFound) {
				t.Errorf("the public key of nothing: %v", err)
			}
		})
	}
}

// TestIssuersThatComeLater has the CA's certificate arrive after that of the key.
func TestIssuersThatComeLater(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{})
	leaf := b.issue("PKCS15.45")
	authority := stack.ParseCertificate(t, b.desk.Read("ca.pem"))
	if _, err := b.importCertificate("PKCS15.45", leaf); err != nil {
		t.Fatal(err)
	}
	report, err := b.importCertificate("PKCS15.45", leaf, authority)
	if err != nil || !report.Unchanged || !report.ChainStored {
		t.Fatalf("%+v: %v", report, err)
	}
	if listing := b.opensc("pkcs15-tool", "--list-certificates"); !strings.Contains(listing, "X.509 Certificate [Snake Oil CA]") {
		t.Errorf("pkcs15-tool does not show the CA:\n%s", listing)
	}
	report, err = b.importCertificate("PKCS15.45", leaf, authority)
	if err != nil || !report.Unchanged || report.ChainStored {
		t.Errorf("once more: %+v: %v", report, err)
	}
}

func TestChainIsStored(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{})
	leaf := b.issue("PKCS15.45")
	authority := stack.ParseCertificate(t, b.desk.Read("ca.pem"))
	report, err := b.importCertificate("PKCS15.45", leaf, authority)
	if err != nil || !report.ChainStored {
		t.Fatalf("%+v: %v", report, err)
	}
	listing := b.opensc("pkcs15-tool", "--list-certificates")
	if !strings.Contains(listing, "X.509 Certificate [Snake Oil CA]") || !strings.Contains(listing, "Authority      : yes") {
		t.Errorf("pkcs15-tool does not show the CA:\n%s", listing)
	}
	if err := b.key("PKCS15.45", func(k key.Key) error {
		der, err := k.Certificate(t.Context())
		if err != nil {
			return err
		}
		_, err = x509.ParseCertificate(der)
		return err
	}); err != nil {
		t.Error(err)
	}
}
