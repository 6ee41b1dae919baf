//go:build stack

package enrolment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardctl/cardctl/test/stack"
)

// provisioner is who answers for certificates of step-ca, as its configuration has it.
type provisioner map[string]any

// stepCA starts step-ca with these provisioners and a root of the desk's authority, and
// returns its port.
func stepCA(t *testing.T, d *stack.Desk, provisioners ...provisioner) string {
	t.Helper()
	d.Authority()
	d.Run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "intermediate.key", "-out", "intermediate.csr",
		"-subj", "/CN=Snake Oil Intermediate CA", "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
	port := stack.FreePort(t)
	configuration, err := json.Marshal(map[string]any{
		"root": d.Path("ca.pem"), "crt": d.Authority().Sign(d.Path("intermediate.csr")), "key": d.Path("intermediate.key"),
		"address": "localhost:" + port, "dnsNames": []string{"localhost"},
		"logger":    map[string]string{"format": "text"},
		"db":        map[string]string{"type": "bbolt", "dataSource": d.Path("step-ca.db")},
		"authority": map[string]any{"provisioners": provisioners},
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, d, port, "step-ca", d.Write("step-ca.json", string(configuration), 0o600))
	return port
}

// The provisioner joe@example.com is one of step-ca's own tests: the tools of step-ca
// encrypted its key.
const (
	joe         = "joe@example.com"
	joePassword = "password"
	joeKey      = "eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJjdHkiOiJqd2sranNvbiIsImVuYyI6IkEyNTZHQ00iLCJwMmMiOjEwMDAwMCwicDJzIjoiSVQ3MVNUMTNNMTd1S3Y4VHRDczYyUSJ9.TXShNLPcITS0bFvQeMjjCDhQLICQs1ShECkgUkUsAm9ZWpSq6Yu03w.SWxtxscivS3L5Yo5.O-XY9YKK8wEJgVs7X1-FxiM_6w4s7iJQNXRD2JrZRsXtDqUz7diPfXuBOFPUFsNzykvob1qCsU4B23Ek2nbaS2HqPrIOGbOvOsR8Pt6kNoraH1QDp3Hyzkv0S-VGM0MCGYDDmmH33PZmsdS36Aw8v9xBnDHlwlMg4NjTskxpqggfQl01433B0lCJqJdrmeBeGL1ZCKixvc-wAQxU8GH5iiD925ViLY7RlVo-tmIBXpxRgheLgKiuMxmgPvf15qCdgU5TRqeuJbYJLzvPpoai0W4WHjpM1zLjjmp5OYRFW4m4ZRZf5g1Cm4lstFPUlTn85fkMZFdBh4_bFbjAv7k.epXp8DZKHj_dxP9EohwDIg"
)

func jwk() provisioner {
	return provisioner{"type": "JWK", "name": joe, "encryptedKey": joeKey, "key": map[string]string{
		"use": "sig", "kty": "EC", "kid": "2wSN_CmexXWig_DnpVZsYFdMH1Stc86BIBzN0rt5ipE", "crv": "P-256", "alg": "ES256",
		"x": "QqYaIULUQqP0EOmogorCcQIxEtI7-zCRcUVFxyNwq4Q", "y": "YeIMipM7uMHjlxpFIUbfCBC1xEXczXNYRzJCMyrGcH0",
	}}
}

// fingerprint is the SHA-256 of the certificate in a file.
func fingerprint(t *testing.T, d *stack.Desk, file string) string {
	t.Helper()
	sum := sha256.Sum256(stack.ParseCertificate(t, d.Read(file)).Raw)
	return hex.EncodeToString(sum[:])
}

// joeAddress is the address of step-ca, which the root identifies.
func joeAddress(t *testing.T, d *stack.Desk, port string) string {
	t.Helper()
	return "step+https://joe%40example.com@localhost:" + port + "?fingerprint=" + fingerprint(t, d, "ca.pem")
}

const mail = "floppy@example.com"

func TestStepCAPassword(t *testing.T) {
	for _, algorithm := range []string{"p256", "p384", "rsa2048", "ed25519"} {
		t.Run(algorithm, func(t *testing.T) {
			d := stack.NewDesk(t)
			port := stepCA(t, d, jwk())
			pivCard(t, d, "PIV.9A", algorithm)
			d.Setenv("CARDCTL_ISSUER_SECRET", joePassword)
			d.Run("cardctl", "enroll", "--key", "PIV.9A", "--subject", "CN="+mail, "--email", mail, "--uri", "https://example.com/floppy",
				"--issuer", joeAddress(t, d, port))
			first := stored(t, d, "PIV.9A")
			if first.Subject.String() != "CN="+mail || !slices.Equal(first.EmailAddresses, []string{mail}) || first.URIs[0].Path != "/floppy" {
				t.Errorf("the certificate is for %v, %v, %v", first.Subject, first.EmailAddresses, first.URIs)
			}
			d.Run("cardctl", "renew", "--key", "PIV.9A")
			if again := stored(t, d, "PIV.9A"); again.SerialNumber.Cmp(first.SerialNumber) == 0 || again.Subject.String() != first.Subject.String() {
				t.Errorf("renewed to %v of %v", again.SerialNumber, again.Subject)
			}
		})
	}
}

// An OpenPGP card makes no signatures with RSASSA-PSS: its RSA key renews over TLS 1.2.
func TestStepCAOpenPGP(t *testing.T) {
	for _, algorithm := range []string{"p256", "rsa2048"} {
		t.Run(algorithm, func(t *testing.T) {
			d := stack.NewDesk(t)
			port := stepCA(t, d, jwk())
			d.Run("cardctl", "sim", "create", "card")
			d.Setenv("CARDCTL_READER", "sim:card")
			d.Setenv("CARDCTL_PIN", stack.UserPIN)
			d.Setenv("CARDCTL_ADMIN_PIN", stack.AdminPIN)
			d.Setenv("CARDCTL_ISSUER_SECRET", joePassword)
			d.Run("cardctl", "init", "--yes")
			d.Run("cardctl", "gen-key", "--key", "OPENPGP.3", "--algorithm", algorithm)
			d.Run("cardctl", "enroll", "--key", "OPENPGP.3", "--subject", "CN="+mail, "--email", mail, "--issuer", joeAddress(t, d, port))
			first := stored(t, d, "OPENPGP.3")
			d.Run("cardctl", "renew", "--key", "OPENPGP.3")
			if again := stored(t, d, "OPENPGP.3"); again.SerialNumber.Cmp(first.SerialNumber) == 0 {
				t.Error("it was not renewed")
			}
		})
	}
}

// A card with a certificate of the desk's authority gets one of step-ca.
func TestStepCACertificate(t *testing.T) {
	d := stack.NewDesk(t)
	d.Authority()
	port := stepCA(t, d, provisioner{"type": "X5C", "name": "cards", "roots": d.Read("ca.pem")})
	pivCard(t, d, "PIV.9A", "p256")
	enroll := []string{"enroll", "--key", "PIV.9A", "--subject", "CN=" + mail, "--email", mail, "--issuer-ca", d.Path("ca.pem"),
		"--issuer", "step+https://cards@localhost:" + port, "--yes"}
	fails(t, d, "not-found", []string{"no certificate that could authenticate"}, enroll...)

	request := d.Run("cardctl", "gen-csr", "--key", "PIV.9A", "--subject", "CN=before", "--key-usage", "digitalSignature", "--ext-key-usage", "clientAuth")
	d.Run("cardctl", "import-cert", "--key", "PIV.9A", d.Authority().Sign(d.Write("before.csr", request, 0o600)))
	d.Run("cardctl", enroll...)
	if c := stored(t, d, "PIV.9A"); c.Subject.String() != "CN="+mail || c.Issuer.CommonName != "Snake Oil Intermediate CA" {
		t.Errorf("the certificate is for %v, of %v", c.Subject, c.Issuer)
	}

	// An officer with a certificate of step-ca answers for another card.
	d.Run("cardctl", "sim", "create", "new", "--profile", "piv-yubikey-5")
	d.Run("cardctl", "gen-key", "--key", "PIV.9C", "--algorithm", "p384", "--reader", "sim:new")
	d.Setenv("CARDCTL_ISSUER_PIN", pivPIN)
	d.Run("cardctl", "enroll", "--key", "PIV.9C", "--reader", "sim:new", "--subject", "CN=new", "--dns", "new.example.com", "--issuer-ca", d.Path("ca.pem"),
		"--issuer", "step+https://cards@localhost:"+port, "--issuer-key", "PIV.9A", "--issuer-reader", "sim:card")
	if c := stored(t, d, "PIV.9C", "--reader", "sim:new"); c.Subject.String() != "CN=new" {
		t.Errorf("the certificate is for %v", c.Subject)
	}
}

func TestStepCAToken(t *testing.T) {
	d := stack.NewDesk(t)
	port := stepCA(t, d, jwk())
	pivCard(t, d, "PIV.9A", "p256")
	issuer := "step+https://localhost:" + port + "?fingerprint=" + fingerprint(t, d, "ca.pem")
	enroll := []string{"enroll", "--key", "PIV.9A", "--subject", "CN=" + mail, "--email", mail, "--yes", "--issuer", issuer}

	d.Setenv("CARDCTL_ISSUER_SECRET", token(t, port, "another@example.com"))
	fails(t, d, "mismatch", []string{"for other names", "another@example.com"}, enroll...)
	d.Setenv("CARDCTL_ISSUER_SECRET", token(t, port, mail))
	d.Run("cardctl", enroll...)
	fails(t, d, "failed", []string{"did not issue a certificate"}, enroll...) // the token is used up
}

// token is a one-time token of the provisioner joe, for a name.
func token(t *testing.T, port, name string) string {
	t.Helper()
	return tokenOf(t, joe, port, name)
}

// tokenOf is that of a provisioner with the key of joe.
func tokenOf(t *testing.T, provisioner, port, name string) string {
	t.Helper()
	encrypted, err := jose.ParseEncryptedCompact(joeKey, []jose.KeyAlgorithm{jose.PBES2_HS256_A128KW}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		t.Fatal(err)
	}
	text, err := encrypted.Decrypt([]byte(joePassword))
	if err != nil {
		t.Fatal(err)
	}
	var key jose.JSONWebKey
	if err := json.Unmarshal(text, &key); err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{
		"aud": "https://localhost:" + port + "/1.0/sign", "iss": provisioner, "sub": name, "sans": []string{name}, "jti": "once",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestStepCARefuses(t *testing.T) {
	d := stack.NewDesk(t)
	port := stepCA(t, d, jwk())
	pivCard(t, d, "PIV.9A", "p256")
	d.Setenv("CARDCTL_ISSUER_SECRET", joePassword)
	enroll := []string{"enroll", "--key", "PIV.9A", "--subject", "CN=" + mail, "--issuer"}
	address := joeAddress(t, d, port)

	fails(t, d, "usage", []string{"alternative names"}, append(enroll, address)...)
	enroll = append([]string{"enroll", "--email", mail}, enroll[1:]...)
	fails(t, d, "mismatch", []string{"not trusted", "fingerprint"}, append(enroll, strings.Split(address, "?")[0]+"?fingerprint="+strings.Repeat("0", 64))...)
	fails(t, d, "mismatch", []string{"not trusted"}, append(enroll, "step+https://joe%40example.com@localhost:"+port)...)
	fails(t, d, "not-found", []string{"no such provisioner", joe}, append(enroll, strings.Replace(address, "joe", "jim", 1))...)
	fails(t, d, "failed", []string{"did not issue"}, append(enroll, address, "--days", "3000")...)
	d.Setenv("CARDCTL_ISSUER_SECRET", "12345678")
	fails(t, d, "failed", []string{"the password does not open"}, append(enroll, address)...)
	if certificate := d.Try("cardctl", "export-cert", "--key", "PIV.9A"); certificate.Exit == 0 {
		t.Errorf("%v", certificate)
	}
}
