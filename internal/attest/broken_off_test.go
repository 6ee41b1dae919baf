package attest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// broken is a statement that was broken off, and what has to be so afterwards.
func (s *shelf) broken(certificate []byte, err error) (wrong []string) {
	now, files := s.stored(), s.files()
	kept := ""
	for name, content := range files {
		kept = name
		if !bytes.Equal(content, certificate) {
			wrong = append(wrong, "the file has another content")
		}
	}
	there := bytes.Equal(now, certificate)
	switch {
	case len(files) > 1:
		wrong = append(wrong, fmt.Sprintf("%d files", len(files)))
	case !there && kept == "":
		return append(wrong, "the certificate is lost")
	case err == nil && (!there || kept != ""):
		wrong = append(wrong, "no error, and the certificate is not put back")
	case err == nil:
		return wrong
	}
	said := err.Error()
	for claim, so := range map[string]bool{
		"as before": there, "Nothing on the card was changed": there, "The card has CN=YubiKey OPGP Attestation AUT as": !there,
		"is kept in " + kept: kept != "",
	} {
		if strings.Contains(said, claim) && !so {
			wrong = append(wrong, fmt.Sprintf("%q is not so", claim))
		}
	}
	if kept == "" {
		return wrong
	}
	var p *problem.Error
	if !strings.Contains(said, kept) {
		wrong = append(wrong, "the file is not named")
	}
	if errors.As(err, &p) && (p.Next.Action != advice.ImportCertificate || p.Next.Object != kept) {
		wrong = append(wrong, fmt.Sprintf("the advice is %+v", p.Next))
	}
	return append(wrong, s.bringBack(certificate, kept)...)
}

// bringBack imports the file, as the error advises.
func (s *shelf) bringBack(certificate []byte, kept string) (wrong []string) {
	content, err := os.ReadFile(kept)
	if err != nil {
		return []string{err.Error()}
	}
	list, err := certstore.Parse(s.t.Context(), content, nil)
	if err == nil {
		_, err = certstore.Import(s.t.Context(), s.desk(), s.access(), place, list, certstore.Options{Now: time.Now()})
	}
	if err != nil {
		return []string{"importing the file: " + err.Error()}
	}
	if !bytes.Equal(s.stored(), certificate) {
		return []string{"the file does not bring the certificate back"}
	}
	return nil
}

// interruptedAt is a context that ends before the n-th command.
func (s *shelf) interruptedAt(n int) context.Context {
	ctx, stop := context.WithCancel(s.t.Context())
	s.before = func(sent int) {
		if sent == n {
			stop()
		}
	}
	return ctx
}

// breakage is a way to break a statement off.
type breakage struct {
	t        *testing.T
	putsBack bool // the admin PIN is given
	first    int  // the APDU that is the first one of the statement
	points   int
	held     int
}

// card has a key with a certificate, which it returns.
func (b *breakage) card(faults ...cardsim.Fault) (*shelf, []byte) {
	s := newShelf(b.t, "openpgp-yubikey-5.7", faults...)
	certificate := s.certify()
	if !b.putsBack {
		delete(s.pins, secret.AdminPIN)
	}
	return s, certificate
}

// point has a statement made that is broken off.
func (b *breakage) point(ctx context.Context, at string, s *shelf, certificate []byte) {
	b.t.Helper()
	b.points++
	_, err := s.attest(ctx)
	s.before = nil
	s.pins[secret.AdminPIN] = adminPIN
	if err == nil && !b.putsBack {
		b.held++ // it was confirmed that the certificate goes
		return
	}
	wrong := s.broken(certificate, err)
	for _, w := range wrong {
		b.t.Errorf("%s: %s: %v", at, w, err)
	}
	if len(wrong) == 0 {
		b.held++
	}
}

// breakOff breaks a statement off at each of its commands: the certificate is on the card,
// or in a file that the error names and that brings it back.
func breakOff(t *testing.T, what string, at func(b *breakage, n int, command string)) {
	for name, putsBack := range map[string]bool{"attest": true, "attest, not put back": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &breakage{t: t, putsBack: putsBack}
			s, _ := b.card()
			b.first = s.card.Traffic().APDUs + 1
			if _, err := s.attest(t.Context()); err != nil {
				t.Fatal(err)
			}
			for n := range s.sent {
				at(b, n, fmt.Sprintf("command %d of %d, %s", n+1, len(s.sent), what))
			}
			stack.Held(t, what, "OpenPGP of a YubiKey", name, "in-process", b.points, b.held)
		})
	}
}

func TestPulledAtAStatement(t *testing.T) {
	breakOff(t, "pulled out", func(b *breakage, n int, command string) {
		for _, pull := range []cardsim.Fault{cardsim.RemoveBefore(b.first + n), cardsim.RemoveAfter(b.first + n)} {
			s, certificate := b.card(pull)
			b.point(b.t.Context(), command, s, certificate)
		}
	})
}

func TestLiedToAtAStatement(t *testing.T) {
	breakOff(t, "lied to", func(b *breakage, n int, command string) {
		for _, status := range cardsim.Lies() {
			for _, done := range []bool{true, false} {
				if status>>8 == 0x61 && !done {
					continue // 61xx is a normal end
				}
				s, certificate := b.card(cardsim.Lie(b.first+n, status, done))
				b.point(b.t.Context(), fmt.Sprintf("%s: %04X, carried out: %v", command, uint16(status), done), s, certificate)
			}
		}
	})
}

// By the admin PIN, the certificate is on the card after an interruption.
func TestInterruptedAtAStatement(t *testing.T) {
	breakOff(t, "interrupted", func(b *breakage, n int, command string) {
		s, certificate := b.card()
		b.point(s.interruptedAt(n+1), command, s, certificate)
		s, certificate = b.card()
		if _, err := s.attest(s.interruptedAt(n + 1)); b.putsBack && !bytes.Equal(s.stored(), certificate) {
			b.t.Errorf("%s: %v, and the certificate is not on the card", command, err)
		}
	})
}
