package keygen

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// openssl runs the program in a directory and returns what it prints.
func openssl(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// opensslKey makes a key in dir/key.pem and returns its SubjectPublicKeyInfo.
func opensslKey(t *testing.T, dir string, args ...string) (spki []byte) {
	t.Helper()
	openssl(t, dir, append([]string{"genpkey", "-out", "key.pem"}, args...)...)
	return openssl(t, dir, "pkey", "-in", "key.pem", "-pubout", "-outform", "DER")
}

func publicDER(t *testing.T, private crypto.PrivateKey) []byte {
	t.Helper()
	public, err := publicOf(private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestParseKeysOfEveryKind(t *testing.T) {
	for algorithm, args := range map[key.Algorithm][]string{
		key.RSA2048: {"-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"},
		key.P256:    {"-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"},
		key.P384:    {"-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"},
		key.P521:    {"-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"},
		key.Ed25519: {"-algorithm", "ed25519"},
		key.X25519:  {"-algorithm", "x25519"},
	} {
		t.Run(string(algorithm), func(t *testing.T) {
			dir := t.TempDir()
			want := opensslKey(t, dir, args...)
			forms := map[string][]byte{
				"PKCS#8":                read(t, dir, "key.pem"),
				"PKCS#8 in DER":         openssl(t, dir, "pkey", "-in", "key.pem", "-outform", "DER"),
				"encrypted PKCS#8":      openssl(t, dir, "pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:secret"),
				"encrypted, in DER":     openssl(t, dir, "pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:secret", "-outform", "DER"),
				"encrypted by scrypt":   openssl(t, dir, "pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:secret", "-scrypt"),
				"encrypted as PKCS#12":  openssl(t, dir, "pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:secret", "-v1", "PBE-SHA1-3DES"),
				"in PKCS#12, alone":     openssl(t, dir, "pkcs12", "-export", "-nocerts", "-inkey", "key.pem", "-passout", "pass:secret"),
				"in PKCS#12, no MAC":    openssl(t, dir, "pkcs12", "-export", "-nocerts", "-inkey", "key.pem", "-passout", "pass:secret", "-nomac"),
				"indented":              bytes.ReplaceAll(read(t, dir, "key.pem"), []byte("\n"), []byte("\n    ")),
				"in one line":           bytes.ReplaceAll(read(t, dir, "key.pem"), []byte("\n"), []byte(" ")),
				"line ends written out": bytes.ReplaceAll(read(t, dir, "key.pem"), []byte("\n"), []byte(`\n`)),
				"with text in front":    openssl(t, dir, "pkey", "-in", "key.pem", "-text"),
				"with lines of Windows": bytes.ReplaceAll(read(t, dir, "key.pem"), []byte("\n"), []byte("\r\n")),
			}
			if algorithm != key.Ed25519 && algorithm != key.X25519 {
				forms["traditional"] = openssl(t, dir, "pkey", "-in", "key.pem", "-traditional")
				forms["traditional in DER"] = openssl(t, dir, "pkey", "-in", "key.pem", "-traditional", "-outform", "DER")
				forms["traditional, AES, in one line"] = bytes.ReplaceAll(openssl(t, dir, "pkey", "-in", "key.pem", "-traditional", "-aes128", "-passout", "pass:secret"), []byte("\n"), []byte(" "))
				forms["traditional, AES"] = openssl(t, dir, "pkey", "-in", "key.pem", "-traditional", "-aes128", "-passout", "pass:secret")
				forms["traditional, 3DES"] = openssl(t, dir, "pkey", "-in", "key.pem", "-traditional", "-des3", "-passout", "pass:secret")
			}
			for form, data := range forms {
				private, certificates, err := ParsePrivateKey(t.Context(), data, "", typed("secret"))
				if err != nil || len(certificates) != 0 || !bytes.Equal(publicDER(t, private), want) {
					t.Errorf("%s: %T, %v", form, private, err)
				}
			}
		})
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestParseKeysWithParameters: a curve that is given by its parameters is the one that
// they are those of.
func TestParseKeysWithParameters(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"prime256v1", "secp384r1", "secp521r1"} {
		sec1 := openssl(t, dir, "ecparam", "-name", name, "-param_enc", "explicit", "-genkey", "-noout")
		if err := os.WriteFile(filepath.Join(dir, "explicit.pem"), sec1, 0o600); err != nil {
			t.Fatal(err)
		}
		want, err := pubkey.Parse(openssl(t, dir, "ec", "-in", "explicit.pem", "-pubout", "-outform", "DER", "-param_enc", "named_curve"))
		if err != nil {
			t.Fatal(err)
		}
		pkcs8 := openssl(t, dir, "pkcs8", "-topk8", "-nocrypt", "-in", "explicit.pem")
		for form, file := range map[string][]byte{"SEC1": sec1, "PKCS#8": pkcs8} {
			private, _, err := ParsePrivateKey(t.Context(), file, "", nobody)
			if err != nil {
				t.Errorf("%s, %s: %v", name, form, err)
			} else if !pubkey.Same(private.(crypto.Signer).Public(), want) {
				t.Errorf("%s, %s: another key", name, form)
			}
		}
	}
}

func TestParseEveryEncryptionOfPKCS8(t *testing.T) {
	dir := t.TempDir()
	want := opensslKey(t, dir, "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	for _, options := range [][]string{
		{"-v2", "aes-128-cbc"}, {"-v2", "aes-192-cbc"}, {"-v2", "aes-256-cbc"}, {"-v2", "des3"},
		{"-v2prf", "hmacWithSHA1"}, {"-v2prf", "hmacWithSHA224"}, {"-v2prf", "hmacWithSHA256"}, {"-v2prf", "hmacWithSHA384"}, {"-v2prf", "hmacWithSHA512"},
		{"-iter", "1"}, {"-scrypt", "-scrypt_N", "1024", "-scrypt_r", "8", "-scrypt_p", "16"},
	} {
		data := openssl(t, dir, append([]string{"pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:sécret"}, options...)...)
		private, _, err := ParsePrivateKey(t.Context(), data, "", typed("sécret"))
		if err != nil || !bytes.Equal(publicDER(t, private), want) {
			t.Errorf("%v: %v", options, err)
		}
		_, _, err = ParsePrivateKey(t.Context(), data, "", typed("guess"))
		wantProblem(t, err, problem.Mismatch, "does not open")
	}
}

func TestParsePKCS12(t *testing.T) {
	for algorithm, args := range map[string][]string{
		"p256":    {"-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"},
		"ed25519": {"-algorithm", "ed25519"},
	} {
		dir := t.TempDir()
		want := opensslKey(t, dir, args...)
		openssl(t, dir, "req", "-x509", "-key", "key.pem", "-subj", "/CN=Floppy Head", "-out", "cert.pem")
		export := func(options ...string) []byte {
			return openssl(t, dir, append([]string{"pkcs12", "-export", "-inkey", "key.pem", "-in", "cert.pem"}, options...)...)
		}
		for name, file := range map[string]struct {
			data []byte
			ask  secret.Asker
		}{
			"of today":                {export("-passout", "pass:secret"), typed("secret")},
			"as it was":               {export("-passout", "pass:secret", "-legacy"), typed("secret")},
			"with the empty password": {export("-passout", "pass:"), nobody},
		} {
			private, certificates, err := ParsePrivateKey(t.Context(), file.data, "", file.ask)
			if err != nil || !bytes.Equal(publicDER(t, private), want) || len(certificates) != 1 || certificates[0].Subject.CommonName() != "Floppy Head" {
				t.Errorf("%s, %s: %v", algorithm, name, err)
			}
		}
	}
}

func TestParseKeyAndCertificateInOneFile(t *testing.T) {
	dir := t.TempDir()
	opensslKey(t, dir, "-algorithm", "ed25519")
	certificate := openssl(t, dir, "req", "-x509", "-key", "key.pem", "-subj", "/CN=Floppy Head")
	_, certificates, err := ParsePrivateKey(t.Context(), slices.Concat(certificate, read(t, dir, "key.pem")), "", nobody)
	if err != nil || len(certificates) != 1 {
		t.Errorf("%d certificates, %v", len(certificates), err)
	}
	parameters := openssl(t, dir, "ecparam", "-name", "prime256v1", "-genkey")
	if _, _, err := ParsePrivateKey(t.Context(), parameters, "", nobody); err != nil {
		t.Errorf("with EC PARAMETERS: %v", err)
	}
}

func TestParseNamesWhatIsNoKey(t *testing.T) {
	dir := t.TempDir()
	opensslKey(t, dir, "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	whole := read(t, dir, "key.pem")
	pkcs8 := func(options ...string) []byte {
		return openssl(t, dir, append([]string{"pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:secret"}, options...)...)
	}
	generated := func(args ...string) []byte { return openssl(t, dir, append([]string{"genpkey"}, args...)...) }
	certificate := openssl(t, dir, "req", "-x509", "-key", "key.pem", "-subj", "/CN=x", "-out", "/dev/stdout")
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	p12 := openssl(t, dir, "pkcs12", "-export", "-inkey", "key.pem", "-in", "cert.pem", "-passout", "pass:secret")
	for _, test := range []struct {
		name  string
		data  []byte
		ask   secret.Asker
		code  problem.Code
		words []string
	}{
		{"nothing", nil, nobody, problem.Mismatch, []string{"empty"}},
		{"ten megabytes", make([]byte, 10<<20), nobody, problem.Mismatch, []string{"too large", "1048576 bytes"}},
		{"text", []byte("hello"), nobody, problem.Mismatch, []string{"text that is not PEM"}},
		{"a certificate", certificate, nobody, problem.Mismatch, []string{"a certificate without its private key"}},
		{"a certificate in DER", pemBytes(t, certificate), nobody, problem.Mismatch, []string{"a certificate without its private key"}},
		{"a public key", openssl(t, dir, "pkey", "-in", "key.pem", "-pubout"), nobody, problem.Mismatch, []string{`"PUBLIC KEY"`}},
		{"a public key in DER", openssl(t, dir, "pkey", "-in", "key.pem", "-pubout", "-outform", "DER"), nobody, problem.Mismatch, []string{"a public key"}},
		{"a request in DER", openssl(t, dir, "req", "-new", "-key", "key.pem", "-subj", "/CN=x", "-outform", "DER"), nobody, problem.Mismatch, []string{"a certificate request"}},
		{"two keys", slices.Concat(whole, whole), nobody, problem.Mismatch, []string{"2 private keys"}},
		{"half a key", whole[:len(whole)/2], nobody, problem.Mismatch, []string{"damaged or incomplete"}},
		{"half a key in PEM", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pemBytes(t, whole)[:60]}), nobody, problem.Mismatch, []string{"damaged or incomplete"}},
		{"OpenSSH's form", []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"), nobody, problem.Mismatch, []string{"OpenSSH", "damaged"}},
		{"DSA", []byte("-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n"), nobody, problem.NotSupported, []string{"DSA PRIVATE KEY"}},
		{"Ed448", generated("-algorithm", "ed448"), nobody, problem.NotSupported, []string{"1.3.101.113"}},
		{"an RSA-PSS key", generated("-algorithm", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:1024"), nobody, problem.NotSupported, []string{"RSASSA-PSS", "1.2.840.113549.1.1.10"}},
		{"secp256k1", generated("-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"), nobody, problem.NotSupported, []string{"1.3.132.0.10"}},
		{"P-224", generated("-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"), nobody, problem.NotSupported, []string{"p256, p384"}},
		{"RSA of 1024 bits", generated("-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024"), nobody, problem.NotSupported, []string{"rsa1024", "rsa2048"}},
		{"encrypted, nobody to ask", pkcs8(), nobody, problem.Usage, []string{"the password is missing"}},
		{"encrypted, the wrong password", pkcs8(), typed("guess"), problem.Mismatch, []string{"does not open", "not a card PIN"}},
		{"encrypted, no password", pkcs8(), typed(""), problem.Mismatch, []string{"does not open"}},
		{"traditional, the wrong password", openssl(t, dir, "pkey", "-in", "key.pem", "-traditional", "-aes128", "-passout", "pass:secret"), typed("guess"), problem.Mismatch, []string{"does not open"}},
		{"encrypted with too much work", pkcs8("-iter", "2000001"), typed("secret"), problem.NotSupported, []string{"too much work", "2000000 iterations are the most", "openssl pkcs8"}},
		{"a Java keystore", []byte("\xFE\xED\xFE\xED\x00\x00\x00\x02"), nobody, problem.Mismatch, []string{"a Java keystore (JKS)", "keytool"}},
		{"a brainpool key", openssl(t, dir, "ecparam", "-name", "brainpoolP256r1", "-genkey", "-noout"), nobody, problem.NotSupported, []string{"brainpoolP256r1"}},
		{"encrypted with another cipher", pkcs8("-v2", "camellia-128-cbc"), typed("secret"), problem.NotSupported, []string{"openssl pkcs8"}},
		{"scrypt with too much work", scryptParameters(t, pkcs8("-scrypt")), typed("secret"), problem.NotSupported, []string{"scrypt are out of bounds"}},
		{"PKCS#12, the wrong password", p12, typed("guess"), problem.Mismatch, []string{"does not open"}},
		{"PKCS#12, nobody to ask", p12, nobody, problem.Usage, []string{"the password is missing"}},
		{"BER without an end", append([]byte{0x30, 0x80}, p12[4:]...), nobody, problem.Mismatch, []string{"the file is incomplete"}},
		{"half a key in DER", pemBytes(t, whole)[:60], nobody, problem.Mismatch, []string{"the file is incomplete", "60 bytes"}},
		{"PKCS#7 in DER", openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "cert.pem", "-outform", "DER"), nobody, problem.Mismatch, []string{"a PKCS#7 message"}},
		{"a key with data behind its version", []byte("\x30\x06\x02\x01\x00\x0C\x01x"), nobody, problem.Mismatch, []string{"damaged or incomplete"}},
		{"a structure of nobody", []byte("\x30\x03\x0C\x01x"), nobody, problem.Mismatch, []string{"data of an unknown kind"}},
		{"an unknown curve by its parameters", openssl(t, dir, "ecparam", "-name", "brainpoolP256r1", "-param_enc", "explicit", "-genkey", "-noout"), nobody, problem.NotSupported, []string{"a curve without a name"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := ParsePrivateKey(t.Context(), test.data, "", test.ask)
			wantProblem(t, err, test.code, test.words...)
			if strings.Contains(err.Error(), "guess") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

// scryptParameters makes r and p of an encrypted key 127 each.
func scryptParameters(t *testing.T, data []byte) []byte {
	t.Helper()
	der := pemBytes(t, data)
	parameters := []byte{0x02, 0x02, 0x40, 0x00, 0x02, 0x01, 0x08, 0x02, 0x01, 0x01}
	at := bytes.Index(der, parameters)
	if at < 0 {
		t.Fatal("the parameters are not N=16384, r=8, p=1")
	}
	der[at+6], der[at+9] = 127, 127
	return der
}

func pemBytes(t *testing.T, data []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("not PEM: %s", data)
	}
	return block.Bytes
}

// A key whose point is not its own must not come to a card.
func TestParseChecksTheKey(t *testing.T) {
	dir := t.TempDir()
	opensslKey(t, dir, "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024")
	der := openssl(t, dir, "pkey", "-in", "key.pem", "-traditional", "-outform", "DER")
	der[len(der)-1] ^= 1 // the coefficient
	private, _, err := ParsePrivateKey(t.Context(), der, "", nobody)
	wantProblem(t, err, problem.Mismatch, "damaged")
	if private != nil {
		t.Errorf("%T", private)
	}
}

func TestThePasswordIsWiped(t *testing.T) {
	dir := t.TempDir()
	opensslKey(t, dir, "-algorithm", "ed25519")
	openssl(t, dir, "req", "-x509", "-key", "key.pem", "-subj", "/CN=x", "-out", "cert.pem")
	for name, data := range map[string][]byte{
		"PKCS#8":  openssl(t, dir, "pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:secret"),
		"PKCS#12": openssl(t, dir, "pkcs12", "-export", "-inkey", "key.pem", "-in", "cert.pem", "-passout", "pass:secret"),
	} {
		for _, password := range []string{"secret", "guess"} {
			buffer := []byte(password)
			_, _, _ = ParsePrivateKey(t.Context(), data, "", func(context.Context, secret.Request) (*secret.Bytes, error) {
				return secret.New(buffer), nil
			})
			if !bytes.Equal(buffer, make([]byte, len(buffer))) {
				t.Errorf("%s: %q is left", name, buffer)
			}
		}
	}
}

// TestKeysOfTooMuchWork: a number that nobody could check in time is refused at once, in
// whatever it is packed; the longest that RSA keys have is not.
func TestKeysOfTooMuchWork(t *testing.T) {
	pkcs1 := func(bits uint) []byte {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		n.Add(n, big.NewInt(12345))
		der, err := asn1.Marshal(struct {
			Version                   int
			N, E, D, P, Q, DP, DQ, QI *big.Int
		}{0, n, big.NewInt(3), n, big.NewInt(3), big.NewInt(5), big.NewInt(1), big.NewInt(1), big.NewInt(2)})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	pkcs8 := func(key []byte) []byte {
		der, err := asn1.Marshal(oneAsymmetricKey{0, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue}, key})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	const million = 1_000_000
	ssh := append([]byte("openssh-key-v1\x00\x00\x00\x00\x04none\x00\x00\x00\x04none\x00\x00\x00\x00"), make([]byte, million)...)
	for name, test := range map[string]struct {
		file []byte
		code problem.Code
	}{
		"PKCS#1":        {pkcs1(million), problem.NotSupported},
		"PKCS#8":        {pkcs8(pkcs1(million)), problem.NotSupported},
		"one bit more":  {pkcs1(8*maxInteger + 9), problem.NotSupported},
		"OpenSSH":       {pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: ssh[:million/2]}), problem.NotSupported},
		"PKCS#1, known": {pkcs1(8 * maxInteger), problem.Mismatch}, // its parts do not fit each other
	} {
		start := time.Now()
		_, _, err := ParsePrivateKey(t.Context(), test.file, "", nobody)
		if !problem.Is(err, test.code) {
			t.Errorf("%s: %v", name, err)
		}
		const most = 2 * time.Second
		if took := time.Since(start); took > most {
			t.Errorf("%s: it took %s", name, took)
		}
	}
}

func FuzzParsePrivateKey(f *testing.F) {
	k := keys().old
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		f.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate, err := x509.CreateCertificate(nil, template, template, k.Public(), k)
	if err != nil {
		f.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		f.Fatal(err)
	}
	for _, encoder := range []*pkcs12.Encoder{pkcs12.Passwordless, pkcs12.Modern.WithIterations(1)} {
		file, err := encoder.Encode(k, parsed, nil, "")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Add(pkcs8)
	f.Add(sec1)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1, Headers: map[string]string{"DEK-Info": "AES-128-CBC,00112233445566778899AABBCCDDEEFF"}}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		private, _, err := ParsePrivateKey(ctx, data, "", typed("secret"))
		var p *problem.Error
		switch {
		case err == nil && private == nil:
			t.Fatal("no key and no error")
		case err != nil && !errors.As(err, &p) && ctx.Err() == nil:
			t.Fatalf("%T: %v", err, err)
		}
	})
}
