//go:build cgo

package smoke_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/smoke"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/softhsm"
)

func TestMain(m *testing.M) { os.Exit(softhsm.Main(m)) }

// typed sends a PIN that somebody types.
func typed(value string) *pin.Policy {
	return policy(func(context.Context, secret.Request) (*secret.Bytes, error) { return secret.New([]byte(value)), nil })
}

func policy(ask secret.Asker) *pin.Policy { return pin.New(ask, pin.Allow{}) }

// counted is the card's own word for the tries of its PIN.
func counted(left int) pin.PIN {
	return pin.PIN{Role: pin.User, Holder: "OpenPGP card 000F12345678", Tries: func(context.Context, bool) (pin.Tries, error) {
		return pin.Left(left), nil
	}}
}

func options(t *testing.T, token softhsm.Token, id string) smoke.Options {
	t.Helper()
	uri, err := p11.ParseURI("pkcs11:serial=" + token.Serial + ";id=" + id)
	if err != nil {
		t.Fatal(err)
	}
	return smoke.Options{
		Module: "softhsm2", Key: uri.String(), URI: uri, Policy: typed(token.PIN), Load: desk.NewModules().Load,
		TokenPIN: func(m *p11.Module, s *p11.Session) pin.PIN { return family.TokenPIN(&desk.Desk{}, m, s) },
	}
}

// run makes the checks of one key.
func run(ctx context.Context, o smoke.Options) (smoke.Report, error) {
	reports, err := smoke.RunAll(ctx, []smoke.Options{o})
	return reports[0], err
}

// public asks the module for the public key.
func public(t *testing.T, o smoke.Options) any {
	t.Helper()
	m, err := p11.NewModules().Load(t.Context(), o.Module, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	s, err := m.Find(t.Context(), p11.Wanted{URI: o.URI})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	return s.Found().Public
}

// lines are the checks as the tests compare them: name and result.
func lines(r smoke.Report) []string {
	var l []string
	for _, c := range r.Checks {
		l = append(l, c.Name+": "+string(c.Result))
	}
	return l
}

func detail(r smoke.Report, name string) string {
	for _, c := range r.Checks {
		if c.Name == name {
			return c.Detail
		}
	}
	return ""
}

var preamble = []string{"module: pass", "token: pass", "certificate: pass", "login: pass", "key: pass"}

func TestEveryKindOfKey(t *testing.T) {
	token, ca := softhsm.New(t, "kinds"), softhsm.NewCA(t, "Snake Oil CA")
	tests := []struct {
		kind   string
		more   []string
		checks []string
	}{
		{"EC:prime256v1", nil, []string{"sign CKM_ECDSA: pass", "changed message: pass", "derive CKM_ECDH1_DERIVE: pass", "tls1.2: pass", "tls1.3: pass"}},
		{"EC:secp384r1", nil,
			[]string{"sign CKM_ECDSA: pass", "changed message: pass", "derive CKM_ECDH1_DERIVE: pass", "tls1.2: pass", "tls1.3: pass"}},
		{"EC:edwards25519", nil, []string{"sign CKM_EDDSA: pass", "changed message: pass",
			"tls1.2 as openssl and nss: fail", "tls1.2: pass", "tls1.3 as openssl and nss: fail", "tls1.3: pass"}},
		{"rsa:2048", nil, []string{
			"sign CKM_RSA_PKCS: pass", "sign CKM_RSA_X_509: pass", "sign CKM_MD5_RSA_PKCS: skip",
			"sign CKM_SHA1_RSA_PKCS: pass", "sign CKM_SHA224_RSA_PKCS: pass", "sign CKM_SHA256_RSA_PKCS: pass",
			"sign CKM_SHA384_RSA_PKCS: pass", "sign CKM_SHA512_RSA_PKCS: pass", "sign CKM_RSA_PKCS_PSS: pass",
			"sign CKM_SHA1_RSA_PKCS_PSS: pass", "sign CKM_SHA224_RSA_PKCS_PSS: pass", "sign CKM_SHA256_RSA_PKCS_PSS: pass",
			"sign CKM_SHA384_RSA_PKCS_PSS: pass", "sign CKM_SHA512_RSA_PKCS_PSS: pass", "changed message: pass",
			"decrypt CKM_RSA_PKCS: pass", "decrypt CKM_RSA_PKCS_OAEP: pass", "tls1.2: pass", "tls1.3: pass"}},
		// As most cards do it: the padding of PKCS#1 v1.5 and nothing else.
		{"rsa:2048", []string{"--allowed-mechanisms", "RSA-PKCS"},
			[]string{"sign CKM_RSA_PKCS: pass", "changed message: pass", "decrypt CKM_RSA_PKCS: pass",
				"tls1.2 as openssl: fail", "tls1.2: pass", "tls1.3: fail"}},
		// OpenSSL's engine and Go pad themselves, the others do not.
		{"rsa:2048", []string{"--allowed-mechanisms", "RSA-PKCS,RSA-X-509"},
			[]string{"sign CKM_RSA_PKCS: pass", "sign CKM_RSA_X_509: pass", "changed message: pass", "decrypt CKM_RSA_PKCS: pass",
				"tls1.2 as openssl and go: pass", "tls1.2 as gnutls and nss: pass", "tls1.3: pass", "tls1.3 as gnutls and nss: fail"}},
		{"rsa:2048", []string{"--allowed-mechanisms", "SHA256-RSA-PKCS"},
			[]string{"sign CKM_SHA256_RSA_PKCS: pass", "changed message: pass",
				"tls1.2 as openssl: fail", "tls1.2 as gnutls and nss: fail", "tls1.2: pass", "tls1.3: fail"}},
	}
	for i, test := range tests {
		t.Run(strings.Join(append([]string{test.kind}, test.more...), " "), func(t *testing.T) {
			id := byte(i + 1)
			token.Generate(t, test.kind, id, "key", test.more...)
			o := options(t, token, fmt.Sprintf("%%%02X", id))
			o.TLS = true
			o.Public = public(t, o)
			o.Certificate = certs.One(t, ca.Issue(t, o.Public, nil))
			token.WriteCertificate(t, o.Certificate.Raw, id, "certificate")

			var progress []smoke.Check
			o.Progress = func(c smoke.Check) { progress = append(progress, c) }
			report, err := run(t.Context(), o)
			fails := slices.ContainsFunc(test.checks, func(c string) bool { return strings.HasSuffix(c, ": fail") })
			if report.Passed == fails || problem.Is(err, problem.NotSupported) != fails {
				t.Errorf("passed %v, %v\n%+v", report.Passed, err, report.Checks)
			}
			if want := slices.Concat(preamble, test.checks); !slices.Equal(lines(report), want) {
				t.Errorf("got  %q\nwant %q", lines(report), want)
			}
			if !slices.Equal(progress, report.Checks) {
				t.Error("progress tells something else than the report")
			}
			if reason := detail(report, "tls1.3"); slices.Contains(test.checks, "tls1.3: fail") &&
				(!strings.Contains(reason, "RSA-PSS") || !strings.Contains(reason, "p256") || !strings.Contains(reason, "limit the program or the server to TLS 1.2")) {
				t.Errorf("no way out in %q", reason)
			}
		})
	}
}

func TestDecryptionKeyProvesItselfWithoutASignature(t *testing.T) {
	token := softhsm.New(t, "decryption")
	token.Generate(t, "rsa:2048", 1, "rsa", "--allowed-mechanisms", "RSA-PKCS-OAEP")
	token.Generate(t, "EC:prime256v1", 2, "p256", "--allowed-mechanisms", "ECDH1-DERIVE")
	for id, want := range map[string][]string{
		"%01": {"sign: skip", "decrypt CKM_RSA_PKCS_OAEP: pass", "tls1.2: skip", "tls1.3: skip"},
		"%02": {"sign: skip", "derive CKM_ECDH1_DERIVE: pass", "tls1.2: skip", "tls1.3: skip"},
	} {
		o := options(t, token, id)
		o.TLS = true
		report, err := run(t.Context(), o)
		if !problem.Is(err, problem.NotFound) || report.Passed {
			t.Errorf("%s: without a certificate for TLS passed %v, %v", id, report.Passed, err)
		}
		if got := lines(report)[5:]; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
}

// What a broken card or a mixed-up certificate looks like.
func TestFailures(t *testing.T) {
	token, ca := softhsm.New(t, "failures"), softhsm.NewCA(t, "Snake Oil CA")
	token.Generate(t, "EC:prime256v1", 1, "key")
	token.Generate(t, "EC:prime256v1", 2, "other")
	token.Generate(t, "EC:prime256v1", 3, "without certificate")
	good, other := options(t, token, "%01"), options(t, token, "%02")
	good.Public, other.Public = public(t, good), public(t, other)
	certificate := ca.Issue(t, good.Public, nil)
	token.WriteCertificate(t, certificate.Raw, 1, "certificate")
	expired := ca.Issue(t, other.Public, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	token.WriteCertificate(t, expired.Raw, 2, "expired")

	token.Generate(t, "EC:prime256v1", 4, "server")
	server := options(t, token, "%04")
	server.Public = public(t, server)
	token.WriteCertificate(t, ca.Issue(t, server.Public, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}).Raw, 4, "server")
	token.Generate(t, "EC:prime256v1", 7, "encipherment")
	encipherment := options(t, token, "%07")
	encipherment.Public = public(t, encipherment)
	token.WriteCertificate(t, ca.Issue(t, encipherment.Public, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }).Raw, 7, "encipherment")
	token.Generate(t, "EC:prime256v1", 5, "lost its public key")
	token.Tool(t, "--delete-object", "--type", "pubkey", "--id", "05")
	token.WritePublic(t, good.Public, 5, "of another key")
	token.Generate(t, "rsa:2048", 6, "of no use", "--allowed-mechanisms", "MD5-RSA-PKCS")

	tests := []struct {
		name   string
		change func(*smoke.Options)
		code   problem.Code
		fails  string
	}{
		{"wrong PIN", func(o *smoke.Options) { o.Policy = typed("000000") }, problem.PINIncorrect, "login"},
		{"no module", func(o *smoke.Options) { o.Module = "/nowhere/module.so" }, problem.NotFound, "module"},
		{"no such card", func(o *smoke.Options) { o.Holder.Serial = "000F12345678" }, problem.NotFound, "token"},
		{"a card in another reader", func(o *smoke.Options) { o.Reader = blankSlot(t) }, problem.NotFound, "token"},
		{"a card with one try", func(o *smoke.Options) { o.PIN = counted(1) }, problem.PINBlocked, "login"},
		{"a blocked card", func(o *smoke.Options) { o.PIN = counted(0) }, problem.PINBlocked, "login"},
		{"the card's certificate is not the module's", func(o *smoke.Options) {
			o.Certificate = certs.One(t, ca.Issue(t, good.Public, nil))
		}, problem.Mismatch, "certificate"},
		{"the module shows no certificate", func(o *smoke.Options) {
			o.URI.Path[1].Value, o.Public = "\x03", nil
			o.Public = public(t, *o)
			o.Certificate = certs.One(t, ca.Issue(t, o.Public, nil))
		}, problem.NotFound, "certificate"},
		{"the certificate is for another key", func(o *smoke.Options) {
			o.Certificate = certs.One(t, expired)
		}, problem.Mismatch, "certificate"},
		{"expired", func(o *smoke.Options) { *o = other; o.TLS = true }, problem.Mismatch, "certificate"},
		{"not valid yet", func(o *smoke.Options) { o.Now = func() time.Time { return time.Now().Add(-48 * time.Hour) } }, problem.Mismatch, "certificate"},
		{"not for signatures", func(o *smoke.Options) { *o = encipherment; o.TLS = true }, problem.Mismatch, "tls1.2"},
		{"not for clients", func(o *smoke.Options) { *o = server; o.TLS = true }, problem.Mismatch, "tls1.2"},
		{"another key under its ID", func(o *smoke.Options) { o.URI.Path[1].Value, o.Public = "\x05", nil }, problem.Mismatch, "sign CKM_ECDSA"},
		{"a key that proves nothing", func(o *smoke.Options) { o.URI.Path[1].Value, o.Public = "\x06", nil }, problem.NotSupported, ""},
		{"not HOST:PORT", func(o *smoke.Options) { o.TLSConnect = "localhost" }, problem.Usage, ""},
		{"nobody there", func(o *smoke.Options) { o.TLSConnect = "127.0.0.1:1" }, problem.Failed, "tls-connect"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := good
			o.URI.Path = slices.Clone(good.URI.Path)
			test.change(&o)
			report, err := run(t.Context(), o)
			if !problem.Is(err, test.code) || report.Passed {
				t.Errorf("passed %v, %v", report.Passed, err)
			}
			failed := ""
			for _, c := range report.Checks {
				if c.Result == smoke.Fail {
					failed = c.Name
					break
				}
			}
			if failed != test.fails {
				t.Errorf("%q failed, want %q:\n%+v", failed, test.fails, report.Checks)
			}
			if err != nil && strings.Contains(fmt.Sprintf("%+v %v", report, err), token.PIN) {
				t.Error("the PIN is in the report")
			}
		})
	}
}

// blankSlot is what the module calls the slot that has no token yet.
func blankSlot(t *testing.T) string {
	t.Helper()
	m, err := p11.NewModules().Load(t.Context(), "softhsm2", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	blank, err := m.FindToken(t.Context(), p11.URI{})
	if err != nil {
		t.Fatal(err)
	}
	return blank.SlotDescription
}

// A key is not advised instead of itself.
func TestTheModuleShowsNoCertificate(t *testing.T) {
	token, ca := softhsm.New(t, "hidden"), softhsm.NewCA(t, "Snake Oil CA")
	token.Generate(t, "EC:prime256v1", 3, "without certificate")
	o := options(t, token, "%03")
	o.Public = public(t, o)
	o.Certificate = certs.One(t, ca.Issue(t, o.Public, nil))
	for other, advised := range map[string]bool{"OPENPGP.3": true, "": false} {
		o.Holder.ShownInstead = other
		_, err := run(t.Context(), o)
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.NotFound || reflect.DeepEqual(p.Next, advice.Repeat(advice.Set(advice.Key, "OPENPGP.3"))) != advised {
			t.Errorf("%q: %v", other, err)
		}
	}
}

func TestInterrupted(t *testing.T) {
	token := softhsm.New(t, "interrupted")
	token.Generate(t, "EC:prime256v1", 1, "key")
	ctx, cancel := context.WithCancel(t.Context())
	o := options(t, token, "%01")
	o.Policy = policy(func(context.Context, secret.Request) (*secret.Bytes, error) {
		cancel()
		return secret.New([]byte(token.PIN)), nil
	})
	report, err := run(ctx, o)
	if err == nil || report.Passed || ctx.Err() == nil {
		t.Errorf("passed %v, %v", report.Passed, err)
	}
	if last := report.Checks[len(report.Checks)-1]; last.Name != "login" || last.Result != smoke.Fail {
		t.Errorf("went on after the interruption: %+v", report.Checks)
	}
}
