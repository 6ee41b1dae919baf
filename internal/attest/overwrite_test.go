package attest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/attest"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// The statement of a card is read and checked, and what it was written over is there
// afterwards: by the admin PIN on the card, else in a file, after a question.
func TestWhatAStatementIsWrittenOver(t *testing.T) {
	for _, profile := range []string{"openpgp-yubikey-5", "openpgp-yubikey-5.7"} {
		t.Run(profile, func(t *testing.T) {
			s := newShelf(t, profile)
			certificate := s.certify()
			r, err := s.attest(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !r.Trusted || r.Serial != "000612345678" || r.Origin != "generated" || r.TouchPolicy != "off" || !r.KeyCompared || len(r.Fingerprint) != 40 {
				t.Errorf("%+v", r)
			}
			if r.Certificate == nil || *r.Certificate != (attest.Place{Stored: "previous", Previous: "CN=me"}) {
				t.Errorf("%+v", r.Certificate)
			}
			if !bytes.Equal(s.stored(), certificate) || len(s.files()) != 0 || len(s.asked) != 0 {
				t.Errorf("%d bytes are stored, %v, %q", len(s.stored()), s.files(), s.asked)
			}

			delete(s.pins, secret.AdminPIN)
			if r, err = s.attest(t.Context()); err != nil || r.Certificate.Stored != "statement" || r.Certificate.Previous != "CN=me" {
				t.Fatalf("%+v, %v", r.Certificate, err)
			}
			if len(s.asked) != 1 || !strings.Contains(s.asked[0], "Overwrite the certificate of OPENPGP.3") || !strings.Contains(s.asked[0], r.Certificate.Kept) {
				t.Errorf("%q", s.asked)
			}
			if files := s.files(); len(files) != 1 || !bytes.Equal(files[r.Certificate.Kept], certificate) {
				t.Errorf("%q, %v", r.Certificate.Kept, files)
			}
			// Another statement is written over this one, which nobody misses.
			first := *r.Certificate
			if r, err = s.attest(t.Context()); err != nil || *r.Certificate != first || len(s.asked) != 1 {
				t.Errorf("%+v, %v, %q", r.Certificate, err, s.asked)
			}
			// The admin PIN brings the certificate back from its file.
			s.pins[secret.AdminPIN] = adminPIN
			r, err = s.attest(t.Context())
			if err != nil || *r.Certificate != (attest.Place{Stored: "previous", Previous: "CN=me"}) || !bytes.Equal(s.stored(), certificate) || len(s.files()) != 0 {
				t.Errorf("%+v, %v", r.Certificate, err)
			}
		})
	}
}

// What is stored and is not a certificate is put back as it was, or kept.
func TestWhatIsNotACertificate(t *testing.T) {
	junk := bytes.Repeat([]byte{0xA5}, 2048)
	s := newShelf(t, "openpgp-yubikey-5.7")
	s.generate()
	s.withKey(func(ctx context.Context, k key.Key) error { return k.PutCertificate(ctx, junk, nil) })
	r, err := s.attest(t.Context())
	if err != nil || *r.Certificate != (attest.Place{Stored: "previous", Previous: "unreadable (2048 bytes)"}) || !bytes.Equal(s.stored(), junk) || len(s.files()) != 0 {
		t.Errorf("%+v, %v", r.Certificate, err)
	}
	delete(s.pins, secret.AdminPIN)
	r, err = s.attest(t.Context())
	if err != nil || r.Certificate.Stored != "statement" || !bytes.Equal(s.files()[r.Certificate.Kept], junk) || len(s.asked) != 1 || !strings.Contains(s.asked[0], "unreadable (2048 bytes)") {
		t.Errorf("%+v, %v, %q", r.Certificate, err, s.asked)
	}
}

// What cardctl cannot import again, it does not advise to import.
func TestAnUntrueStatementOverWhatIsNotACertificate(t *testing.T) {
	s := newShelf(t, "openpgp-yubikey-5.7")
	s.generate()
	s.withKey(func(ctx context.Context, k key.Key) error { return k.PutCertificate(ctx, []byte("junk"), nil) })
	delete(s.pins, secret.AdminPIN)
	other := newShelf(t, "openpgp-yubikey-5.7")
	_, err := attest.Attest(t.Context(), s.desk(), s.access(), place, attest.Options{CA: other.ca(), Now: time.Now()})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Mismatch {
		t.Fatal(err)
	}
	for name, content := range s.files() {
		if string(content) != "junk" || !strings.HasPrefix(p.Next.Sentence, "Keep "+name+":") {
			t.Errorf("%q in %s, %+v", content, name, p.Next)
		}
	}
	if len(s.files()) != 1 {
		t.Errorf("%d files", len(s.files()))
	}
}

// A touch that the attestation key needs is told; without it, nothing is lost.
func TestTouchForAStatement(t *testing.T) {
	for _, pressed := range []bool{true, false} {
		profile := "openpgp-yubikey-5.7"
		if !pressed {
			profile += "+button-not-pressed"
		}
		s := newShelf(t, profile)
		certificate := s.certify()
		connection, err := s.card.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, apdu := range []string{"\x00\xA4\x04\x00\x06\xD2\x76\x00\x01\x24\x01", "\x00\x20\x00\x83\x0812345678", "\x00\xDA\x00\xD9\x02\x01\x20"} {
			if answer, err := connection.Transmit(t.Context(), []byte(apdu)); err != nil || !bytes.HasSuffix(answer, []byte{0x90, 0x00}) {
				t.Fatalf("%X: %X, %v", apdu, answer, err)
			}
		}
		if err := connection.Close(true); err != nil {
			t.Fatal(err)
		}
		_, err = s.attest(t.Context())
		if (err == nil) != pressed || !slices.Contains(s.told, "touch the card to allow the statement") {
			t.Errorf("%s: %v, %q", profile, err, s.told)
		}
		if !bytes.Equal(s.stored(), certificate) || len(s.files()) != 0 {
			t.Errorf("%s: %v", profile, s.files())
		}
	}
}

// A file of another key, or with something else, is no certificate to put back.
func TestFilesOfOthers(t *testing.T) {
	s := newShelf(t, "openpgp-yubikey-5.7")
	s.generate()
	delete(s.pins, secret.AdminPIN)
	if _, err := s.attest(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := newShelf(t, "openpgp-yubikey-5.7")
	for name, content := range map[string][]byte{"000612345678-3-00.der": other.certify(), "000612345678-3-01.der": []byte("x"), "000612345678-2-02.der": s.forKey()} {
		name = filepath.Join(s.state, "certificates", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s.pins[secret.AdminPIN] = adminPIN
	if r, err := s.attest(t.Context()); err != nil || *r.Certificate != (attest.Place{Stored: "statement"}) || len(s.files()) != 3 {
		t.Errorf("%+v, %v, %v", r.Certificate, err, s.files())
	}
}

// The number of commands that a statement takes which is written over a certificate.
func TestRoundsOverACertificate(t *testing.T) {
	for profile, most := range map[string][2]int{"openpgp-yubikey-5.7": {13, 10}, "openpgp-yubikey-5.7+short-apdus": {20, 15}} {
		s := newShelf(t, profile)
		s.certify()
		for i, n := range most {
			if _, err := s.attest(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := len(s.sent); got > n {
				t.Errorf("%s: %d commands, %d are enough", profile, got, n)
			}
			if i == 0 {
				delete(s.pins, secret.AdminPIN)
			}
		}
	}
}

// A place without a certificate has none again by the admin PIN, and else the statement.
func TestNoCertificateBefore(t *testing.T) {
	s := newShelf(t, "openpgp-yubikey-5.7")
	s.generate()
	r, err := s.attest(t.Context())
	if err != nil || *r.Certificate != (attest.Place{Stored: "none"}) || s.stored() != nil {
		t.Errorf("%+v, %v", r.Certificate, err)
	}
	delete(s.pins, secret.AdminPIN)
	r, err = s.attest(t.Context())
	if err != nil || *r.Certificate != (attest.Place{Stored: "statement"}) || s.stored() == nil || len(s.asked) != 0 {
		t.Errorf("%+v, %v, %q", r.Certificate, err, s.asked)
	}
}

// Nothing is written before everything that can be refused was.
func TestNothingIsOverwritten(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*shelf)
		code    problem.Code
	}{
		"not confirmed": {func(s *shelf) {
			delete(s.pins, secret.AdminPIN)
			s.refuse = true
		}, problem.Refused},
		"a wrong user PIN":  {func(s *shelf) { s.pins[secret.PIN] = "999999" }, problem.PINIncorrect},
		"a wrong admin PIN": {func(s *shelf) { s.pins[secret.AdminPIN] = "99999999" }, problem.PINIncorrect},
		"no user PIN":       {func(s *shelf) { delete(s.pins, secret.PIN) }, problem.Usage},
		"no place for the file": {func(s *shelf) {
			s.state = filepath.Join(s.state, "file")
			if err := os.WriteFile(s.state, nil, 0o600); err != nil {
				s.t.Fatal(err)
			}
		}, problem.Failed},
		"another file in the place": {func(s *shelf) {
			delete(s.pins, secret.AdminPIN)
			_, err := s.attest(s.t.Context())
			if err != nil {
				s.t.Fatal(err)
			}
			for name, content := range s.files() {
				s.withKey(func(ctx context.Context, k key.Key) error {
					s.pins[secret.AdminPIN] = adminPIN
					return k.PutCertificate(ctx, content, nil)
				})
				if err := os.WriteFile(name, content[1:], 0o600); err != nil {
					s.t.Fatal(err)
				}
			}
		}, problem.Failed},
		"another certificate meanwhile": {func(s *shelf) {
			s.typed = true
			once := false
			s.waiting = func() {
				if once {
					return
				}
				once = true
				s.typed = false
				s.withKey(func(ctx context.Context, k key.Key) error { return k.PutCertificate(ctx, []byte("another"), nil) })
				s.typed = true
			}
		}, problem.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, "openpgp-yubikey-5.7")
			certificate := s.certify()
			test.prepare(s)
			if _, err := s.attest(t.Context()); !problem.Is(err, test.code) {
				t.Errorf("%v", err)
			}
			if slices.Contains(s.used(), attestINS) {
				t.Error("the card made a statement")
			}
			s.pins[secret.PIN], s.pins[secret.AdminPIN], s.typed = userPIN, adminPIN, false
			if now := s.stored(); !bytes.Equal(now, certificate) && string(now) != "another" {
				t.Errorf("%d bytes are stored", len(now))
			}
		})
	}
}

// Cards and keys of which there is no statement.
func TestNoStatementOfThisKey(t *testing.T) {
	for name, test := range map[string]struct {
		profile string
		prepare func(*shelf)
		code    problem.Code
	}{
		"an empty slot":           {"openpgp-yubikey-5.7", func(*shelf) {}, problem.NotFound},
		"another maker's card":    {"", (*shelf).generate, problem.NotSupported},
		"a YubiKey 4":             {"openpgp-yubikey-4", (*shelf).generateRSA, problem.NotSupported},
		"a key that was imported": {"openpgp-yubikey-5.7", (*shelf).imported, problem.NotSupported},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, test.profile)
			test.prepare(s)
			_, err := s.attest(t.Context())
			if !problem.Is(err, test.code) {
				t.Errorf("%v", err)
			}
			if slices.Contains(s.used(), attestINS) || slices.Contains(s.used(), iso7816.InsVerify) {
				t.Errorf("the card was sent %X", s.used())
			}
		})
	}
}
