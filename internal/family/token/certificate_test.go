//go:build cgo

package token_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/test/softhsm"
)

// The certificate of a key that was replaced stays, and stands in nobody's way.
func TestCertificateOfAReplacedKey(t *testing.T) {
	for _, attributes := range []string{";object=vpn", ";id=%45"} {
		t.Run(attributes, func(t *testing.T) {
			d, ca := newTokenDesk(t, "stale"), softhsm.NewCA(t, "Snake Oil CA")
			k := d.open(t, attributes)
			first, err := k.Generate(t.Context(), key.Spec{Algorithm: key.P256})
			if err != nil {
				t.Fatal(err)
			}
			old := ca.Issue(t, first.Public, nil)
			if err := k.PutCertificate(t.Context(), old.Raw, [][]byte{ca.Certificate.Raw}); err != nil {
				t.Fatal(err)
			}
			k = d.open(t, attributes)
			if _, err := k.Occupant(t.Context()); err != nil {
				t.Fatal(err)
			}
			second, err := k.Generate(t.Context(), key.Spec{Algorithm: key.P256})
			if err != nil {
				t.Fatal(err)
			}
			signs(t, d.open(t, attributes))
			if der, err := d.open(t, attributes).Certificate(t.Context()); err != nil || !bytes.Equal(der, old.Raw) {
				t.Errorf("the certificate that is left: %x, %v", der, err)
			}
			own := ca.Issue(t, second.Public, nil)
			if err := d.open(t, attributes).PutCertificate(t.Context(), own.Raw, nil); err != nil {
				t.Fatal(err)
			}
			if shown := d.Tool(t, "--list-objects", "--type", "cert"); strings.Count(shown, "Certificate Object") != 2 {
				t.Errorf("not the new certificate and its issuer alone:\n%s", shown)
			}
			// The issuer's can be named too.
			if err := d.open(t, ";object=Snake%20Oil%20CA").DeleteCertificate(t.Context()); err != nil {
				t.Error(err)
			}
			if shown := d.Tool(t, "--list-objects", "--type", "cert"); strings.Count(shown, "Certificate Object") != 1 {
				t.Errorf("not the new certificate alone:\n%s", shown)
			}
		})
	}
}

func TestCertificatesOnToken(t *testing.T) {
	d := newTokenDesk(t, "certificates")
	made, err := d.open(t, ";object=vpn").Generate(t.Context(), key.Spec{Algorithm: key.P256})
	if err != nil {
		t.Fatal(err)
	}
	ca := softhsm.NewCA(t, "Snake Oil CA")
	first, second := ca.Issue(t, made.Public, nil), ca.Issue(t, made.Public, nil)

	k := d.open(t, ";object=vpn")
	if der, err := k.Certificate(t.Context()); der != nil || err != nil {
		t.Errorf("before: %x, %v", der, err)
	}
	for _, leaf := range []*x509.Certificate{first, second} {
		if err := k.PutCertificate(t.Context(), leaf.Raw, [][]byte{ca.Certificate.Raw}); err != nil {
			t.Fatal(err)
		}
		if der, err := k.ReadBackCertificate(t.Context()); err != nil || !bytes.Equal(der, leaf.Raw) {
			t.Errorf("read back: %x, %v", der, err)
		}
		if der, err := d.open(t, ";object=vpn").Certificate(t.Context()); err != nil || !bytes.Equal(der, leaf.Raw) {
			t.Errorf("read again: %x, %v", der, err)
		}
	}
	shown := d.Tool(t, "--list-objects", "--type", "cert")
	if strings.Count(shown, "Certificate Object") != 2 || !strings.Contains(shown, fmt.Sprintf("%x", p11.KeyID(made.Public))) {
		t.Errorf("not the leaf and its issuer:\n%s", shown)
	}
	pem := command(t, "p11tool", "--provider", d.Module, "--list-all-certs", "pkcs11:token=certificates")
	if !strings.Contains(pem, "object=vpn") {
		t.Errorf("p11tool does not show it:\n%s", pem)
	}
	if err := k.DeleteCertificate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if der, err := k.ReadBackCertificate(t.Context()); der != nil || err != nil {
		t.Errorf("after: %x, %v", der, err)
	}
	if shown := d.Tool(t, "--list-objects", "--type", "cert"); strings.Count(shown, "Certificate Object") != 1 {
		t.Errorf("not the issuer alone:\n%s", shown)
	}
}

func TestForeignCertificateWithTheID(t *testing.T) {
	d, ca := newTokenDesk(t, "foreign"), softhsm.NewCA(t, "Snake Oil CA")
	d.Generate(t, "EC:prime256v1", 0x45, "vpn")
	d.WriteCertificate(t, ca.Certificate.Raw, 0x45, "foreign")
	k := d.open(t, ";id=%45")
	if der, err := k.Certificate(t.Context()); err != nil || !bytes.Equal(der, ca.Certificate.Raw) {
		t.Errorf("what other programs take for the key's: %x, %v", der, err)
	}
	public, err := k.Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own := ca.Issue(t, public, nil)
	d.WriteCertificate(t, own.Raw, 0x46, "own")
	shelved, err := d.open(t, ";object=vpn").(key.Shelf).Shelved(t.Context())
	if err != nil || len(shelved) != 2 || !bytes.Equal(shelved[0].DER, own.Raw) || !strings.Contains(shelved[0].Astray, "46") || shelved[1].Astray != "" {
		t.Errorf("its own, with another ID: %+v, %v", shelved, err)
	}
	if _, err := d.open(t, ";id=%46").Generate(t.Context(), key.Spec{Algorithm: key.P256}); err == nil {
		t.Error("a new key was given the ID of a certificate")
	}
}
