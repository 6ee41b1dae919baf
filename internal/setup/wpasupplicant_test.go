package setup

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
)

// TestNamesForWPASupplicant can neither end their line nor begin a comment.
func TestNamesForWPASupplicant(t *testing.T) {
	for name, want := range map[string]string{
		"office":               `"office"`,
		"with blanks, #1":      `"with blanks, #1"`,
		`a "quoted" one`:       "61202271756f74656422206f6e65",
		"Öl":                   "c3966c",
		"a\n}\nnetwork={":      "610a7d0a6e6574776f726b3d7b",
		`back\slash`:           "6261636b5c736c617368",
		"":                     "",
		"user@example.com":     `"user@example.com"`,
		"pkcs11:id=%03;a=b%20": `"pkcs11:id=%03;a=b%20"`,
	} {
		if got := wpaString(name); got != want {
			t.Errorf("%q: %s, not %s", name, got, want)
		}
	}
}

// otherName is an OtherName with a string.
func otherName(t *testing.T, oid asn1.ObjectIdentifier, text string) cert.GeneralName {
	t.Helper()
	kind, err := asn1.Marshal(oid)
	check(t, err)
	value, err := asn1.MarshalWithParams(text, "utf8")
	check(t, err)
	value, err = asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: value})
	check(t, err)
	return cert.GeneralName{Kind: cert.OtherName, Value: append(kind, value...)}
}

// TestIdentities are those that servers look for, in their order.
func TestIdentities(t *testing.T) {
	upn := otherName(t, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, "floppy@CORP")
	other := otherName(t, asn1.ObjectIdentifier{1, 2, 3}, "nonsense")
	mail := cert.GeneralName{Kind: cert.EmailName, Value: []byte("floppy@example.com")}
	common := cert.Name{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "Floppy Head", IsText: true}}}
	for _, c := range []struct {
		subject cert.Name
		names   []cert.GeneralName
		want    string
	}{
		{common, []cert.GeneralName{mail, other, upn}, "floppy@CORP"},
		{common, []cert.GeneralName{other, mail}, "floppy@example.com"},
		{common, []cert.GeneralName{other}, "Floppy Head"},
	} {
		got, err := identityOf(&cert.Certificate{Subject: c.subject, Extended: cert.Extended{AltNames: c.names}}, "OPENPGP.3")
		if got != c.want || err != nil {
			t.Errorf("%q, %v, not %q", got, err, c.want)
		}
	}
	_, err := identityOf(&cert.Certificate{}, "OPENPGP.3")
	refused(t, err, problem.NotSupported, advice.Do(advice.CreateRequest))
}

// networkJob is a job for a key that logs in to networks.
func networkJob(t *testing.T) *job {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	j := asRoot(withKey(t, key.Public(), &cert.Certificate{}, nil))
	j.target, j.System = wpaSupplicant(), true
	j.CA = []*cert.Certificate{{Raw: []byte("CA")}}
	j.key.EachUse = func(context.Context) (bool, error) { return false, nil }
	j.key.module = "/usr/lib/locale" // a file that there is
	if _, err := os.Stat(j.key.module); err != nil {
		j.key.module = "/usr/lib"
	}
	return j
}

// TestNetworksRefuse is what wpa_supplicant cannot do, or must not.
func TestNetworksRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*job)
		code   problem.Code
		next   advice.Advice
	}{
		"no CA":                   {func(j *job) { j.CA = nil }, problem.Usage, advice.Repeat()},
		"a name that is too long": {func(j *job) { j.URLs = []string{"office", strings.Repeat("x", 33)} }, problem.Usage, advice.Repeat()},
		"an empty name":           {func(j *job) { j.URLs = []string{""} }, problem.Usage, advice.Repeat()},
		"no certificate":          {func(j *job) { j.key.certificate = nil }, problem.NotFound, advice.Do(advice.ImportCertificate)},
		"a PIN for each use":      {func(j *job) { j.key.EachUse = func(context.Context) (bool, error) { return true, nil } }, problem.NotSupported, advice.Repeat()},
		"a module elsewhere":      {func(j *job) { j.key.module = t.TempDir() }, problem.NotSupported, advice.Repeat()},
	} {
		t.Run(name, func(t *testing.T) {
			j := networkJob(t)
			c.change(j)
			_, err := newWPA(t.Context(), j)
			refused(t, err, c.code, c.next)
		})
	}
	if err := networkJob(t).forNetworks(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNetworks are what is written for wired and wireless ones, without a PIN.
func TestNetworks(t *testing.T) {
	j := networkJob(t)
	w := &wpaConfiguration{
		module: "/usr/lib/module.so", engine: "/usr/lib/pkcs11.so", key: "pkcs11:id=%03;type=private", certificate: "pkcs11:id=%03",
		identity: "Floppy Head", authorities: j.Root + "/etc/wpa_supplicant/cardctl-ca.pem",
	}
	p := j.planWPA(w)
	const wired = `# Written by cardctl setup wpa-supplicant.
pkcs11_engine_path=/usr/lib/pkcs11.so
pkcs11_module_path=/usr/lib/module.so
ctrl_interface=DIR=/run/wpa_supplicant GROUP=netdev
network={
	key_mgmt=IEEE8021X
	eapol_flags=0
	eap=TLS
	identity="Floppy Head"
	ca_cert="ROOT/etc/wpa_supplicant/cardctl-ca.pem"
	client_cert="pkcs11:id=%03"
	private_key="pkcs11:id=%03;type=private"
}
`
	if len(p.entries) != 2 || p.entries[0].text() != strings.ReplaceAll(wired, "ROOT", j.Root) || p.entries[0].(*file).Mode != 0o600 {
		t.Errorf("%+v", p.entries[0])
	}
	if link := "wpa_supplicant-wired-INTERFACE.conf"; !strings.HasSuffix(p.next[0], link) || !strings.HasSuffix(p.undone[0], link) {
		t.Errorf("%q, %q", p.next, p.undone)
	}
	w.ssids, w.lower = []string{"office", `a "b"`}, true
	p = j.planWPA(w)
	if len(p.entries) != 4 || p.entries[3].place() != filepath.Join(j.Root, "etc/systemd/system/wpa_supplicant@.service.d/cardctl.conf") {
		t.Errorf("%+v", p.entries)
	}
	text := p.entries[0].text()
	for _, part := range []string{"\tssid=\"office\"\n", "\tssid=6120226222\n", "\tphase1=\"tls_disable_tlsv1_3=1\"\n}\n", "\tkey_mgmt=WPA-EAP WPA-EAP-SHA256\n"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
	if tried := w.text([]byte("426719")); !strings.Contains(tried, "\tpin=\"426719\"\n") || strings.Contains(tried, "ctrl_interface") {
		t.Error(tried)
	}
}

// TestNetworksAreCheckedWithAProgram that may be missing.
func TestNetworksAreCheckedWithAProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := checkWPA(t.Context(), networkJob(t))
	refused(t, err, problem.NotFound, advice.Run("apt", "install", "eapoltest"))
}

// TestWhyWPASupplicantFails tells the first failure, and never the PIN.
func TestWhyWPASupplicantFails(t *testing.T) {
	const output = `pin - hexdump_ascii(len=6):
     34 32 36 37 31 39                                 426719
ENGINE: Failed to load 426719
SSL: SSL_connect:error in error
OpenSSL: openssl_handshake - SSL_connect error:43000070:PKCS#11 module::Mechanism invalid
OpenSSL: pending error: error:0A080006:SSL routines::EVP lib
FAILURE
`
	if why := whyNotWPA([]byte(output), []byte("426719")); why != "openssl_handshake - SSL_connect error:43000070:PKCS#11 module::Mechanism invalid" {
		t.Errorf("%q", why)
	}
	if why := whyNotWPA([]byte("EAPOL test timed out\nFAILURE\n"), []byte("426719")); why != "" {
		t.Errorf("%q", why)
	}
}
