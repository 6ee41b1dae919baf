package certstore

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// files writes the fixtures where OpenSSL finds them: leaf.pem, leaf.key,
// chain.pem (leaf, issuer, root).
func files(t *testing.T) (dir string) {
	t.Helper()
	p := fixtures()
	dir = t.TempDir()
	private, err := x509.MarshalPKCS8PrivateKey(p.signer)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"leaf.pem":    EncodePEM(p.leaf.Raw),
		"leaf.key":    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"chain.pem":   slices.Concat(EncodePEM(p.leaf.Raw), EncodePEM(p.issuer.Raw), EncodePEM(p.root.Raw)),
		"issuers.pem": slices.Concat(EncodePEM(p.issuer.Raw), EncodePEM(p.root.Raw)),
		"message":     []byte("hello"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

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

func TestParseWhatOpenSSLWrites(t *testing.T) {
	dir := files(t)
	p := fixtures()
	all := []string{"leaf", "issuer", "root"}
	p12 := func(password string, options ...string) []byte {
		args := append([]string{"pkcs12", "-export", "-in", "leaf.pem", "-inkey", "leaf.key", "-certfile", "issuers.pem", "-passout", "pass:" + password}, options...)
		return openssl(t, dir, args...)
	}
	for _, test := range []struct {
		name string
		data []byte
		ask  secret.Asker
		want []string
	}{
		{"PEM", EncodePEM(p.leaf.Raw), nobody, []string{"leaf"}},
		{"PEM with text around", slices.Concat([]byte("\xEF\xBB\xBF"), openssl(t, dir, "x509", "-in", "leaf.pem", "-text"), []byte("\r\nbye")), nobody, []string{"leaf"}},
		{"PEM with lines of Windows", bytes.ReplaceAll(EncodePEM(p.leaf.Raw), []byte("\n"), []byte("\r\n")), nobody, []string{"leaf"}},
		{"several in PEM", openssl(t, dir, "storeutl", "-certs", "-text", "chain.pem"), nobody, all},
		{"a key beside it", slices.Concat(mustRead(t, dir, "leaf.key"), mustRead(t, dir, "leaf.pem")), nobody, []string{"leaf"}},
		{"DER", openssl(t, dir, "x509", "-in", "leaf.pem", "-outform", "DER"), nobody, []string{"leaf"}},
		{"several in DER", slices.Concat(p.leaf.Raw, p.issuer.Raw), nobody, []string{"leaf", "issuer"}},
		{"PKCS#7 in PEM", openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "chain.pem"), nobody, all},
		{"PKCS#7 in DER", openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "chain.pem", "-outform", "DER"), nobody, all},
		{"PKCS#7 in BER", openssl(t, dir, "cms", "-sign", "-stream", "-nodetach", "-in", "message", "-signer", "leaf.pem", "-inkey", "leaf.key", "-certfile", "issuers.pem", "-outform", "DER"), nobody, nil},
		{"PKCS#12", p12("Ümlaut 1"), typed("Ümlaut 1"), all},
		{"PKCS#12 with the empty password", p12(""), nobody, all},
		{"PKCS#12 as it was", p12("secret", "-legacy"), typed("secret"), all},
		{"PKCS#12, another MAC", p12("secret", "-macalg", "sha384"), typed("secret"), all},
		{"PKCS#12 without a MAC", p12("secret", "-nomac"), typed("secret"), all},
		{"PKCS#12, certificates alone", openssl(t, dir, "pkcs12", "-export", "-nokeys", "-in", "chain.pem", "-passout", "pass:secret"), typed("secret"), all},
		{"PKCS#12 with the certificates open", p12("secret", "-certpbe", "NONE"), typed("secret"), all},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse(t.Context(), test.data, test.ask)
			if err != nil {
				t.Fatal(err)
			}
			if test.want == nil { // in any order
				leaf, issuers, err := Pick(got, p.signer.Public())
				if err != nil || len(issuers) != 2 || !bytes.Equal(leaf.Raw, p.leaf.Raw) {
					t.Errorf("%v, %v", subjects(got), err)
				}
				return
			}
			if !slices.Equal(subjects(got), test.want) {
				t.Errorf("%v, want %v", subjects(got), test.want)
			}
		})
	}
}

func mustRead(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseNamesWhatIsNoCertificate(t *testing.T) {
	dir := files(t)
	p := fixtures()
	for _, test := range []struct {
		name  string
		data  []byte
		ask   secret.Asker
		code  problem.Code
		words []string
	}{
		{"nothing", nil, nobody, problem.Mismatch, []string{"the file is empty"}},
		{"white space", []byte(" \n\n"), nobody, problem.Mismatch, []string{"the file is empty"}},
		{"ten megabytes", make([]byte, 10<<20), nobody, problem.Mismatch, []string{"too large", "1048576 bytes"}},
		{"text", []byte("hello"), nobody, problem.Mismatch, []string{"text that is not PEM"}},
		{"a program", []byte("\x7FELF\xFF\xFE"), nobody, problem.Mismatch, []string{"data of an unknown kind"}},
		{"a private key", mustRead(t, dir, "leaf.key"), nobody, problem.Mismatch, []string{"The file holds a private key, but"}},
		{"a private key in DER", openssl(t, dir, "pkey", "-in", "leaf.key", "-outform", "DER"), nobody, problem.Mismatch, []string{"a private key"}},
		{"an encrypted key in DER", openssl(t, dir, "pkcs8", "-topk8", "-in", "leaf.key", "-passout", "pass:x", "-outform", "DER"), nobody, problem.Mismatch, []string{"a private key"}},
		{"a public key", openssl(t, dir, "pkey", "-in", "leaf.key", "-pubout"), nobody, problem.Mismatch, []string{"a public key"}},
		{"a public key in DER", openssl(t, dir, "pkey", "-in", "leaf.key", "-pubout", "-outform", "DER"), nobody, problem.Mismatch, []string{"a public key"}},
		{"a request", openssl(t, dir, "req", "-new", "-key", "leaf.key", "-subj", "/CN=x"), nobody, problem.Mismatch, []string{"a certificate request", "The CA issues"}},
		{"a request in DER", openssl(t, dir, "req", "-new", "-key", "leaf.key", "-subj", "/CN=x", "-outform", "DER"), nobody, problem.Mismatch, []string{"a certificate request"}},
		{"a trusted certificate", openssl(t, dir, "x509", "-in", "leaf.pem", "-trustout", "-addtrust", "clientAuth"), nobody, problem.Mismatch, []string{"TRUSTED CERTIFICATE", "openssl x509"}},
		{"parameters", openssl(t, dir, "ecparam", "-name", "prime256v1"), nobody, problem.Mismatch, []string{`"EC PARAMETERS"`}},
		{"PEM that is cut off", EncodePEM(p.leaf.Raw)[:300], nobody, problem.Mismatch, []string{"damaged or incomplete", "0 of its 1 blocks"}},
		{"PEM with one damaged block", slices.Concat(EncodePEM(p.leaf.Raw), []byte("-----BEGIN CERTIFICATE-----\n§\n-----END CERTIFICATE-----\n")), nobody, problem.Mismatch, []string{"1 of its 2 blocks"}},
		{"PEM with rubbish in it", EncodePEM([]byte("rubbish")), nobody, problem.Mismatch, []string{"text that is not PEM"}},
		{"PEM with half a certificate in it", EncodePEM(p.leaf.Raw[:200]), nobody, problem.Mismatch, []string{"PEM block 1 is damaged"}},
		{"PEM with a request under the wrong label", EncodePEM(pemBytes(t, openssl(t, dir, "req", "-new", "-key", "leaf.key", "-subj", "/CN=x"))), nobody, problem.Mismatch, []string{"a certificate request"}},
		{"PKCS#7 without certificates", openssl(t, dir, "cms", "-sign", "-nocerts", "-nodetach", "-in", "message", "-signer", "leaf.pem", "-inkey", "leaf.key", "-outform", "DER"), nobody, problem.Mismatch, []string{"contains no certificate"}},
		{"PKCS#7 of another kind", openssl(t, dir, "cms", "-data_create", "-in", "message", "-outform", "DER"), nobody, problem.Mismatch, []string{"PKCS#7"}},
		{"PKCS#12, nobody to ask", pkcs12Of(t, dir), nobody, problem.Usage, []string{"the password is missing"}},
		{"PKCS#12, the wrong password", pkcs12Of(t, dir), typed("guess"), problem.Mismatch, []string{"does not open", "not a card PIN"}},
		{"PKCS#12, another cipher", pkcs12Of(t, dir, "-keypbe", "CAMELLIA-256-CBC"), typed("secret"), problem.NotSupported, []string{"openssl pkcs12"}},
		{"PKCS#12, a key alone", openssl(t, dir, "pkcs12", "-export", "-nocerts", "-inkey", "leaf.key", "-passout", "pass:secret"), typed("secret"), problem.Mismatch, []string{"a PKCS#12 file without certificates"}},
		{"BER without an end", append([]byte{0x30, 0x80}, pkcs12Of(t, dir)[4:]...), nobody, problem.Mismatch, []string{"incomplete"}},
		{"a Java keystore", []byte("\xFE\xED\xFE\xED\x00\x00\x00\x02"), nobody, problem.Mismatch, []string{"a Java keystore (JKS)", "keytool -importkeystore -srckeystore FILE -srcstoretype JKS"}},
		{"a key of PuTTY", []byte("PuTTY-User-Key-File-3: ssh-ed25519\n"), nobody, problem.Mismatch, []string{"a key of PuTTY"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse(t.Context(), test.data, test.ask)
			wantProblem(t, err, test.code, test.words...)
			if strings.Contains(err.Error(), "guess") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

func pemBytes(t *testing.T, data []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("not PEM: %s", data)
	}
	return block.Bytes
}

// pkcs12Of has the password "secret".
func pkcs12Of(t *testing.T, dir string, options ...string) []byte {
	t.Helper()
	args := append([]string{"pkcs12", "-export", "-in", "leaf.pem", "-inkey", "leaf.key", "-passout", "pass:secret"}, options...)
	return openssl(t, dir, args...)
}

func TestParseOfDERCutOffAnywhere(t *testing.T) {
	dir := files(t)
	for name, whole := range map[string][]byte{
		"certificate": fixtures().leaf.Raw,
		"PKCS#7":      openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "leaf.pem", "-outform", "DER"),
		"PKCS#12":     pkcs12Of(t, dir),
	} {
		for n := range whole {
			if _, err := Parse(t.Context(), whole[:n], nobody); !problem.Is(err, problem.Mismatch) {
				t.Fatalf("%s, %d of %d bytes: %v", name, n, len(whole), err)
			}
		}
	}
}

// A file can ask for two thousand million rounds of hashing.
func TestParseRefusesEndlessWork(t *testing.T) {
	data := bytes.Clone(pkcs12Of(t, files(t)))
	// The iterations of the MAC stand at the end, 2048 in two bytes; the
	// structures around take the four bytes more that are needed.
	i := bytes.LastIndex(data, []byte{0x02, 0x02, 0x08, 0x00})
	if i < 0 || i+4 != len(data) {
		t.Fatal("the iterations are not where they were")
	}
	data = append(data[:i], 0x02, 0x04, 0x7F, 0xFF, 0xFF, 0xFF)
	addLength(t, data, 2, 2)
	mac := bytes.LastIndex(data, []byte{0x30, 0x31, 0x30, 0x0D, 0x06, 0x09}) // DigestInfo of SHA-256
	if mac < 2 {
		t.Fatal("the MAC is not where it was")
	}
	data[mac-1] += 2
	if _, err := Parse(t.Context(), data, nobody); !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), "too much work") {
		t.Errorf("error %v", err)
	}
}

// As many rounds as are accepted can be interrupted.
func TestParseCanBeInterrupted(t *testing.T) {
	data := pkcs12Of(t, files(t), "-iter", "2000000")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Parse(ctx, data, nobody); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// addLength adds n to the length field of two bytes at data[at].
func addLength(t *testing.T, data []byte, at, n int) {
	t.Helper()
	if data[at-1] != 0x82 {
		t.Fatalf("%X is not a length of two bytes", data[at-1])
	}
	length := int(data[at])<<8 | int(data[at+1]) + n
	data[at], data[at+1] = byte(length>>8), byte(length)
}

func FuzzParse(f *testing.F) {
	p := fixtures()
	f.Add(EncodePEM(p.leaf.Raw))
	f.Add(p.leaf.Raw)
	f.Add(slices.Concat(p.leaf.Raw, p.issuer.Raw))
	message, err := pkcs7.DegenerateCertificate(p.leaf.Raw)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: message}))
	f.Add([]byte("\x30\x80\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x02\xA0\x80\x30\x80\x02\x01\x01\x31\x00\x00\x00\x00\x00\x00\x00"))
	for _, encoder := range []*pkcs12.Encoder{pkcs12.Passwordless, pkcs12.Modern.WithIterations(1), pkcs12.LegacyRC2.WithIterations(1)} {
		file, err := encoder.Encode(p.signer, p.leaf, nil, "")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		list, err := Parse(ctx, data, typed("secret"))
		if err == nil && len(list) == 0 {
			t.Fatal("no certificate and no error")
		}
		var p *problem.Error
		if err != nil && !errors.As(err, &p) {
			t.Fatalf("%T: %v", err, err)
		}
		Describe(data, nil)
		_, _, _ = Pick(list, fixtures().signer.Public())
	})
}
