//go:build cgo

package p11_test

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/softhsm"
)

func load(t *testing.T) *p11.Module {
	t.Helper()
	m, err := p11.NewModules().Load(t.Context(), "softhsm2", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// login logs in as the user.
func login(t *testing.T, s *p11.Session, value string) error {
	t.Helper()
	pin := secret.New([]byte(value))
	defer pin.Wipe()
	return s.LoginWith(t.Context(), p11.User, pin)
}

// unlock finds the wanted key and logs in.
func unlock(t *testing.T, m *p11.Module, w p11.Wanted, pin string) (*p11.Session, *p11.Key) {
	t.Helper()
	s, err := m.Find(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := login(t, s, pin); err != nil {
		t.Fatal(err)
	}
	key, err := s.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, key
}

func uri(t *testing.T, s string) p11.URI {
	t.Helper()
	u, err := p11.ParseURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestTokensOfSoftHSM(t *testing.T) {
	token := softhsm.New(t, "Snake Oil; 100%")
	listing, err := p11.NewModules().ListTokens(t.Context(), token.Module, true)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(listing.Tokens, func(l p11.Token) bool { return l.Label == token.Label })
	if i < 0 {
		t.Fatalf("no token %q in %+v", token.Label, listing.Tokens)
	}
	got := listing.Tokens[i]
	if got.Serial != token.Serial || got.Model != "SoftHSM v2" || got.Manufacturer != "SoftHSM project" {
		t.Errorf("got %q %q %q", got.Serial, got.Model, got.Manufacturer)
	}
	if !got.Initialized || !got.LoginRequired || got.UserPIN.String() != "ok" {
		t.Errorf("got %+v", got)
	}
	want := "pkcs11:token=Snake%20Oil%3B%20100%25;manufacturer=SoftHSM%20project;model=SoftHSM%20v2;serial=" + token.Serial
	if got.URI != want {
		t.Errorf("got %s\nwant %s", got.URI, want)
	}
	names := make(map[string]p11.Mechanism)
	for _, m := range got.Mechanisms {
		names[m.Name] = m
	}
	for _, name := range []string{"CKM_RSA_PKCS", "CKM_ECDSA", "CKM_EDDSA", "CKM_RSA_PKCS_PSS"} {
		if !slices.Contains(names[name].Operations, "sign") {
			t.Errorf("%s: %+v", name, names[name])
		}
	}
}

func TestEverySchemeOfEveryKind(t *testing.T) {
	token := softhsm.New(t, "schemes")
	tests := []struct {
		kind    string
		schemes []string
	}{
		{"rsa:2048", []string{"CKM_RSA_PKCS with SHA-256", "CKM_RSA_X_509 with SHA-256", "CKM_MD5_RSA_PKCS",
			"CKM_SHA1_RSA_PKCS", "CKM_SHA224_RSA_PKCS", "CKM_SHA256_RSA_PKCS", "CKM_SHA384_RSA_PKCS", "CKM_SHA512_RSA_PKCS",
			"CKM_RSA_PKCS_PSS with SHA-256", "CKM_SHA1_RSA_PKCS_PSS", "CKM_SHA224_RSA_PKCS_PSS", "CKM_SHA256_RSA_PKCS_PSS",
			"CKM_SHA384_RSA_PKCS_PSS", "CKM_SHA512_RSA_PKCS_PSS"}},
		{"EC:prime256v1", []string{"CKM_ECDSA with SHA-256"}},
		{"EC:secp384r1", []string{"CKM_ECDSA with SHA-384"}},
		{"EC:secp521r1", []string{"CKM_ECDSA with SHA-512"}},
		{"EC:edwards25519", []string{"CKM_EDDSA"}},
	}
	for i, test := range tests {
		token.Generate(t, test.kind, byte(i+1), test.kind)
	}
	m := load(t)
	for i, test := range tests {
		t.Run(test.kind, func(t *testing.T) {
			u := p11.URI{Path: []p11.Attribute{{Name: p11.AttrID, Value: string(rune(i + 1))}}}
			_, key := unlock(t, m, p11.Wanted{Serial: token.Serial, URI: u}, token.PIN)
			var names []string
			for _, scheme := range key.Schemes() {
				names = append(names, scheme.String())
				message := []byte("snake oil")
				signature, err := key.Sign(t.Context(), scheme, message)
				if err != nil {
					t.Errorf("%s: %v", scheme, err)
					continue
				}
				if err := scheme.Verify(key.Public(), message, signature); err != nil {
					t.Errorf("%s: %v", scheme, err)
				}
				if err := scheme.Verify(key.Public(), []byte("snake oik"), signature); err == nil {
					t.Errorf("%s: another message verifies", scheme)
				}
			}
			if !slices.Equal(names, test.schemes) {
				t.Errorf("got %q\nwant %q", names, test.schemes)
			}
		})
	}
}

func TestSignerForCryptoPackages(t *testing.T) {
	token := softhsm.New(t, "signer")
	token.Generate(t, "rsa:2048", 1, "rsa")
	token.Generate(t, "EC:prime256v1", 2, "p256")
	token.Generate(t, "EC:edwards25519", 3, "ed25519")
	m := load(t)

	t.Run("rsa", func(t *testing.T) {
		_, key := unlock(t, m, p11.Wanted{URI: uri(t, "pkcs11:token=signer;id=%01")}, token.PIN)
		public := key.Public().(*rsa.PublicKey)
		digest := sha512.Sum384([]byte("message"))
		signer := key.Signer(t.Context())
		signature, err := signer.Sign(nil, digest[:], crypto.SHA384)
		if err != nil || rsa.VerifyPKCS1v15(public, crypto.SHA384, digest[:], signature) != nil {
			t.Errorf("PKCS#1 v1.5: %v", err)
		}
		for _, salt := range []int{rsa.PSSSaltLengthEqualsHash, rsa.PSSSaltLengthAuto, 17} {
			options := &rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA384}
			signature, err := signer.Sign(nil, digest[:], options)
			if err != nil || rsa.VerifyPSS(public, crypto.SHA384, digest[:], signature, &rsa.PSSOptions{SaltLength: salt}) != nil {
				t.Errorf("PSS with salt %d: %v", salt, err)
			}
		}
		if _, err := signer.Sign(nil, digest[:31], crypto.SHA384); err == nil {
			t.Error("a short digest was signed")
		}
		// SoftHSM has OAEP with SHA-1 only.
		ciphertext, err := rsa.EncryptOAEP(crypto.SHA1.New(), rand.Reader, public, []byte("secret"), nil)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := signer.Decrypt(nil, ciphertext, &rsa.OAEPOptions{Hash: crypto.SHA1})
		if err != nil || string(plain) != "secret" {
			t.Errorf("OAEP: %q %v", plain, err)
		}
		//lint:ignore SA1019 cards know no other padding
		ciphertext, err = rsa.EncryptPKCS1v15(rand.Reader, public, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		plain, err = signer.Decrypt(nil, ciphertext, nil)
		if err != nil || string(plain) != "secret" {
			t.Errorf("PKCS#1 v1.5: %q %v", plain, err)
		}
	})
	for id, kind := range map[string]string{"%02": "ecdsa", "%03": "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			_, key := unlock(t, m, p11.Wanted{URI: uri(t, "pkcs11:token=signer;id="+id)}, token.PIN)
			der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key.Signer(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			request, err := x509.ParseCertificateRequest(der)
			if err != nil || request.CheckSignature() != nil {
				t.Errorf("%v %v", err, request.CheckSignature())
			}
		})
	}
	t.Run("ecdsa takes the left of a long digest", func(t *testing.T) {
		_, key := unlock(t, m, p11.Wanted{URI: uri(t, "pkcs11:token=signer;id=%02")}, token.PIN)
		digest := sha512.Sum512([]byte("message"))
		signature, err := key.Signer(t.Context()).Sign(nil, digest[:], crypto.SHA512)
		if err != nil || !ecdsa.VerifyASN1(key.Public().(*ecdsa.PublicKey), digest[:], signature) {
			t.Error(err)
		}
	})
	t.Run("ed25519 refuses what it is not", func(t *testing.T) {
		_, key := unlock(t, m, p11.Wanted{URI: uri(t, "pkcs11:token=signer;id=%03")}, token.PIN)
		for _, options := range []crypto.SignerOpts{crypto.SHA512, &ed25519.Options{Context: "c"}} {
			if _, err := key.Signer(t.Context()).Sign(nil, make([]byte, 64), options); !problem.Is(err, problem.NotSupported) {
				t.Errorf("%v: %v", options, err)
			}
		}
	})
}

func TestECDHOfSoftHSM(t *testing.T) {
	token := softhsm.New(t, "ecdh")
	token.Generate(t, "EC:secp384r1", 1, "p384", "--usage-derive")
	_, key := unlock(t, load(t), p11.Wanted{URI: uri(t, "pkcs11:token=ecdh;id=%01")}, token.PIN)
	public, err := key.Public().(*ecdsa.PublicKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ecdh.P384().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want, err := peer.ECDH(public)
	if err != nil {
		t.Fatal(err)
	}
	got, err := key.ECDH(t.Context(), peer.PublicKey())
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %x, want %x, %v", got, want, err)
	}
	other, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.ECDH(t.Context(), other.PublicKey()); !problem.Is(err, problem.NotSupported) {
		t.Errorf("a peer on another curve: %v", err)
	}
}

func TestKeyIsFoundByItsPublicKey(t *testing.T) {
	one, two := softhsm.New(t, "one"), softhsm.New(t, "two")
	one.Generate(t, "EC:prime256v1", 1, "same label")
	one.Generate(t, "EC:prime256v1", 2, "same label")
	two.Generate(t, "EC:prime256v1", 1, "same label")

	m := load(t)
	_, key := unlock(t, m, p11.Wanted{URI: uri(t, "pkcs11:token=two;id=%01")}, two.PIN)
	public := key.Public()

	s, again := unlock(t, m, p11.Wanted{Public: public}, two.PIN)
	if s.Token().Label != "two" || !pubkey.Same(again.Public(), public) {
		t.Errorf("found %q", s.Token().Label)
	}
	if _, err := m.Find(t.Context(), p11.Wanted{Serial: "000F12345678", Public: public}); !problem.Is(err, problem.NotFound) {
		t.Errorf("a card that is not there: %v", err)
	}
	s, err := m.Find(t.Context(), p11.Wanted{Serial: one.Serial, Public: public})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := login(t, s, one.PIN); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Key(t.Context()); !problem.Is(err, problem.NotFound) {
		t.Errorf("a key that is on another token: %v", err)
	}
	if _, err := m.Find(t.Context(), p11.Wanted{URI: uri(t, "pkcs11:token=one;object=same%20label")}); !problem.Is(err, problem.NotFound) {
		t.Errorf("a label that two keys have: %v", err)
	}
}

func TestCertificateIsFoundByItsPublicKey(t *testing.T) {
	token, ca := softhsm.New(t, "certificates"), softhsm.NewCA(t, "Snake Oil CA")
	token.Generate(t, "EC:prime256v1", 1, "key")
	m := load(t)
	s, key := unlock(t, m, p11.Wanted{URI: uri(t, "pkcs11:token=certificates;id=%01")}, token.PIN)
	_ = s.Close()

	own := ca.Issue(t, key.Public(), nil)
	token.WriteCertificate(t, own.Raw, 1, "own")
	token.WriteCertificate(t, ca.Certificate.Raw, 1, "foreign, with the same ID")

	s, err := m.Find(t.Context(), p11.Wanted{Public: key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found := s.Found().Certificates
	if len(found) != 1 || !found[0].Equal(certs.One(t, own)) {
		t.Errorf("found %d certificates", len(found))
	}
}

func TestWrongPINIsNotTriedTwice(t *testing.T) {
	token := softhsm.New(t, "pins")
	token.Generate(t, "EC:prime256v1", 1, "key")
	s, err := load(t).Find(t.Context(), p11.Wanted{URI: uri(t, "pkcs11:token=pins;id=%01")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = login(t, s, "wrong-pin")
	if !problem.Is(err, problem.PINIncorrect) || p11.CodeOf(err).Name() != "CKR_PIN_INCORRECT" {
		t.Errorf("got %v", err)
	}
	if err := login(t, s, token.PIN); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("another PIN was sent after a wrong one: %v", err)
	}
}

func TestModulesSideBySide(t *testing.T) {
	first := load(t)
	kit, err := p11.NewModules().Load(t.Context(), "p11-kit-trust", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kit.Tokens(t.Context(), false); err != nil {
		t.Error(err)
	}
	again, err := p11.NewModules().Load(t.Context(), first.Path(), "")
	if err != nil {
		t.Fatalf("initialised twice: %v", err)
	}
	for _, m := range []*p11.Module{kit, again} {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := first.Tokens(t.Context(), false); err != nil {
		t.Errorf("finalised by one who had not initialised it: %v", err)
	}
}

// Several cards are worked on at once, with one module in the process.
func TestTwoTokensAtOnce(t *testing.T) {
	modules := p11.NewModules()
	var all sync.WaitGroup
	var tokens []softhsm.Token
	for _, label := range []string{"left", "right"} {
		token := softhsm.New(t, label)
		token.Generate(t, "EC:prime256v1", 1, "key")
		tokens = append(tokens, token)
	}
	for _, token := range tokens {
		all.Go(func() {
			for range 3 {
				if err := signWith(t.Context(), modules, token); err != nil {
					t.Errorf("%s: %v", token.Label, err)
				}
			}
		})
	}
	all.Wait()
}

// signWith signs with the key of a token, from loading the module to closing it.
func signWith(ctx context.Context, modules *p11.Modules, token softhsm.Token) (err error) {
	m, err := modules.Load(ctx, "softhsm2", "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	s, err := m.Open(ctx, p11.URI{Path: []p11.Attribute{{Name: p11.AttrToken, Value: token.Label}, {Name: p11.AttrID, Value: "\x01"}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.LoginWith(ctx, p11.User, secret.New([]byte(token.PIN))); err != nil {
		return err
	}
	contents, err := s.Contents(ctx)
	if err != nil {
		return err
	}
	key, err := s.KeyOf(ctx, contents.Keys[0])
	if err != nil {
		return err
	}
	for range 10 {
		message := []byte("snake oil for " + token.Label)
		signature, err := key.Sign(ctx, key.Schemes()[0], message)
		if err != nil {
			return err
		}
		if err := key.Schemes()[0].Verify(key.Public(), message, signature); err != nil {
			return err
		}
	}
	return nil
}

func TestCanceledBeforeLoading(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p11.NewModules().Load(ctx, "softhsm2", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
