package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRefusals(t *testing.T) {
	c := newCA(t, InitOptions{})
	logon := Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "smartcard-logon"), IsCA: true}
	logon.Names.UPNs = []string{"a@corp.example"}
	issued, _ := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=b"}), Profile: profile(t, "client")})
	meanwhile := atDesk()
	meanwhile.Confirm = func(ctx context.Context, _ desk.Question) error {
		another, err := Open(ctx, c.dir)
		check(t, err)
		_, err = another.Revoke(ctx, atDesk(), issued.Serial, "certificateHold", time.Now())
		check(t, err)
		return another.Close()
	}
	for what, test := range map[string]struct {
		do   func() error
		code problem.Code
	}{
		"an account of a CA": {func() error {
			_, err := c.Issue(t.Context(), nil, atDesk(), logon, time.Now())
			return err
		}, problem.Usage},
		"revoked meanwhile": {func() error {
			_, err := c.Revoke(t.Context(), meanwhile, issued.Serial, "superseded", time.Now())
			return err
		}, problem.Refused},
		"a directory without the one above": {func() error {
			_, err := Init(t.Context(), nil, atDesk(), filepath.Join(t.TempDir(), "a", "b"), InitOptions{Subject: "CN=c"}, time.Now())
			return err
		}, problem.Failed},
		"a key that most do not know": {func() error { return maySign(&pubkey.Other{}) }, problem.NotSupported},
		"no address": {func() error {
			return c.AnswerOCSP(t.Context(), nil, atDesk(), Responder{}, Listening{Address: "256.0.0.1:1", Now: time.Now, Ended: t.Context()})
		}, problem.Failed},
	} {
		if err := test.do(); !problem.Is(err, test.code) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A name that is no text has no line in index.txt.
func TestNamesWithoutALine(t *testing.T) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	name, err := csr.ParseName("2.5.4.45=#030206C0,CN=a")
	check(t, err)
	der, err := csr.BuildSelfSigned(t.Context(), signer, csr.Request{Subject: name}, 1, time.Now())
	check(t, err)
	if _, err := (&entry{Serial: "01", der: der}).indexed(time.Now()); !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), "no line in index.txt") {
		t.Error(err)
	}
}
