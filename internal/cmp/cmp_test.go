package cmp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/secret"
)

// of reads an answer of openssl cmp 3.0.
func of(t testing.TB, name string) (*Message, []byte) {
	t.Helper()
	der, err := os.ReadFile(filepath.Join("testdata", "openssl", name+".der"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return m, der
}

func shared(text string) *secret.Bytes { return secret.New([]byte(text)) }

// TestAnswersOfOpenSSL reads what OpenSSL answers, and verifies it.
func TestAnswersOfOpenSSL(t *testing.T) {
	for name, kind := range map[string]Kind{"waiting": CP, "cp": CP, "pkiconf": PKIConf, "error": Error} {
		m, _ := of(t, name)
		if m.Kind != kind || m.Version != 2 || m.Signed() || len(m.TransactionID) != NonceLength || len(m.RecipNonce) != NonceLength || string(m.KeyID) != "ref1" {
			t.Errorf("%s: %+v", name, m)
		}
		if err := m.VerifySecret(shared("12341234")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := m.VerifySecret(shared("12341235")); !errors.Is(err, ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, _ := of(t, "waiting")
	if r, err := m.Response(); err != nil || r.Status.Code != Waiting || r.Certificate != nil {
		t.Errorf("%+v, %v", r, err)
	}
	m, _ = of(t, "cp")
	if r, err := m.Response(); err != nil || r.Status.Code != Accepted || r.Certificate.Subject.String() != "CN=me" {
		t.Errorf("%+v, %v", r, err)
	}
	m, _ = of(t, "error")
	if s, err := m.Problem(); err != nil || s.Code != Rejection || !slices.Equal(s.Failures, []string{"badRequest"}) || len(s.Said) != 3 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestSignedAnswerOfOpenSSL verifies one that the RA signed, with each certificate.
func TestSignedAnswerOfOpenSSL(t *testing.T) {
	m, _ := of(t, "kup")
	r, err := m.Response()
	if err != nil || m.Kind != KUP || !m.ImplicitConfirm || len(m.Extra) != 2 {
		t.Fatalf("%+v, %v", m, err)
	}
	for _, c := range append(m.Extra, r.Certificate) {
		if err := m.VerifySignature(c); (err == nil) != (c.Subject.String() == "CN=RA") {
			t.Errorf("%s: %v", c.Subject, err)
		}
	}
	if err := m.VerifySecret(shared("12341234")); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// TestEveryByteIsProtected changes each byte of header and body.
func TestEveryByteIsProtected(t *testing.T) {
	for _, name := range []string{"cp", "kup"} {
		whole, der := of(t, name)
		start := bytes.Index(der, whole.part[4:8])
		for at := start; at < start+len(whole.part)-4; at++ {
			changed := bytes.Clone(der)
			changed[at] ^= 1
			m, err := Parse(changed)
			if err != nil {
				continue
			}
			if m.VerifySecret(shared("12341234")) == nil {
				t.Errorf("%s: byte %d", name, at)
			}
			for _, c := range whole.Extra {
				if m.VerifySignature(c) == nil {
					t.Errorf("%s: byte %d", name, at)
				}
			}
		}
	}
}

// message is one that we protect, and read again.
func message(t testing.TB, body Body, p Protection) (*Message, []byte) {
	t.Helper()
	der, err := Request{
		Time: time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC), TransactionID: []byte("transaction"), SenderNonce: []byte("nonce"), Body: body,
	}.Encode(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return m, der
}

func TestBodies(t *testing.T) {
	p, err := WithSecret("desk 1", shared("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := message(t, NewPoll(-1), p)
	if m.Kind != PollReq || string(m.KeyID) != "desk 1" || m.Sender.String() != "CN=desk 1" || m.VerifySecret(shared("sesame")) != nil {
		t.Errorf("%+v", m)
	}
	p, _ = WithSecret("", shared("sesame"))
	for digest, version := range map[crypto.Hash]int{crypto.SHA256: Version2, crypto.SHA384: Version2, 0: Version3} {
		body, err := NewConfirmation(Confirmation{ID: 0, Certificate: []byte("x"), Digest: digest, Refused: digest == 0})
		if err != nil {
			t.Fatal(err)
		}
		m, _ := message(t, body, p)
		if m.Version != version || len(m.Sender) > 0 || m.KeyID != nil {
			t.Errorf("%+v", m)
		}
		sum := sha512.Sum512([]byte("x"))
		if digest == 0 && !bytes.Contains(m.content.Raw, sum[:]) {
			t.Error("not the digest of Ed25519")
		}
	}
}

// TestSignatureThatFails passes on the error of a card.
func TestSignatureThatFails(t *testing.T) {
	gone := errors.New("gone")
	fails := func(context.Context, []byte) ([]byte, error) { return nil, gone }
	if _, err := (Request{Body: NewPoll(0)}).Encode(t.Context(), Protection{Algorithm: emptyName, Protect: fails}); !errors.Is(err, gone) {
		t.Error(err)
	}
	public, _, _ := ed25519.GenerateKey(rand.Reader)
	info, _ := asn1.Marshal([]any{[]byte(public)})
	if _, err := NewUpdate(t.Context(), Update{Subject: emptyName, PublicKey: info, Issuer: emptyName, Serial: big.NewInt(1), Sign: fails}); !errors.Is(err, gone) {
		t.Error(err)
	}
	if _, err := NewUpdate(t.Context(), Update{PublicKey: []byte("?"), Sign: fails}); err == nil || errors.Is(err, gone) {
		t.Error(err)
	}
}

// TestPolls reads when to ask again.
func TestPolls(t *testing.T) {
	type poll struct {
		ID, After int
	}
	p, _ := WithSecret("", shared("sesame"))
	for _, test := range []struct {
		poll  poll
		after time.Duration
		fails bool
	}{
		{poll{-1, 90}, 90 * time.Second, false}, {poll{0, 1<<31 - 1}, maxWait, false}, {poll{0, -1}, 0, true}, {poll{-2, 1}, 0, true}, {poll{1 << 40, 1}, 0, true},
	} {
		content, err := asn1.Marshal([]poll{test.poll})
		if err != nil {
			t.Fatal(err)
		}
		m, _ := message(t, Body{Kind: PollRep, Version: 2, content: content}, p)
		id, after, err := m.Poll()
		if (err != nil) != test.fails || err == nil && (id != test.poll.ID || after != test.after) {
			t.Errorf("%v: %d, %s, %v", test.poll, id, after, err)
		}
	}
}

// FuzzParse reads whatever comes, and believes none of it.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"waiting", "cp", "pkiconf", "kup", "error"} {
		_, der := of(f, name)
		f.Add(der)
	}
	p, _ := WithSecret("desk", shared("sesame"))
	_, der := message(f, NewPoll(7), p)
	f.Add(der)
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 1000))
	f.Add([]byte{0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF})
	signer, err := os.ReadFile(filepath.Join("testdata", "openssl", "kup.der"))
	if err != nil {
		f.Fatal(err)
	}
	kup, err := Parse(signer)
	if err != nil {
		f.Fatal(err)
	}
	canary := shared("not the secret of any of them")
	f.Fuzz(func(t *testing.T, der []byte) {
		m, err := Parse(der)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			return
		}
		if m.VerifySecret(canary) == nil {
			t.Error("a secret that it cannot know")
		}
		for _, c := range kup.Extra {
			if m.VerifySignature(c) == nil && !bytes.Equal(m.part, kup.part) {
				t.Error("a signature that nobody made")
			}
		}
		readAll(m)
	})
}

func readAll(m *Message) []*cert.Certificate {
	r, _ := m.Response()
	_, _, _ = m.Poll()
	s, _ := m.Problem()
	_ = s.String()
	return r.CAs
}
