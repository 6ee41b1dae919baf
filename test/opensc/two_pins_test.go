package opensc_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/opensc"
)

const secondPIN = "555555"

// secretsOfTwo are the environment in which twoPINs runs.
var secretsOfTwo = []string{"PIN=246813", "SECOND=" + secondPIN, "PUK=12345678", "SO_PIN=87654321"}

// twoPINs make a MyEID card on which key 46 has PIN 02.
var twoPINs = [][]string{
	{"--create-pkcs15", "--store-pin", "--auth-id", "01", "--label", "desk", "--pin", "env:PIN", "--puk", "env:PUK", "--so-pin", "env:SO_PIN", "--so-puk", "env:PUK"},
	{"--store-pin", "--auth-id", "02", "--label", "two", "--pin", "env:SECOND", "--puk", "env:PUK", "--so-pin", "env:SO_PIN"},
	{"--generate-key", "ec:prime256v1", "--id", "46", "--auth-id", "02", "--key-usage", "sign", "--label", "Key 46", "--pin", "env:SECOND"},
	{"--finalize", "--so-pin", "env:SO_PIN"},
}

func withTwoPINs(t *testing.T) *opensc.Desk {
	t.Helper()
	desk := opensc.NewDesk(keep(t, "myeid", "").Card)
	for _, args := range twoPINs {
		if err := desk.Run(t.Context(), secretsOfTwo, "pkcs15-init", args...); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	return desk
}

// tries are those of both user PINs.
func tries(ctx context.Context, t *testing.T, c *pkcs15.Card) (left []int) {
	t.Helper()
	d, err := c.PINs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range d.PINs {
		if p.SO {
			continue
		}
		n, err := c.Tries(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, n)
	}
	return left
}

// TestTwoUserPINs: each key has its own, and a wrong one costs a try of that PIN.
func TestTwoUserPINs(t *testing.T) {
	desk := withTwoPINs(t)
	c, err := desk.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, second := secret.New([]byte("246813")), secret.New([]byte(secondPIN))
	p, err := c.PINFor(t.Context(), []byte{0x46}, false)
	if err != nil || p.ID != "02" || p.Role() != "user-02" || p.TriesLeft != 3 {
		t.Fatalf("%+v, %v", p, err)
	}
	k, err := c.Key(t.Context(), []byte{0x46})
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	if _, err = c.Sign(t.Context(), k, p, first, digest[:], crypto.SHA256); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("with the other PIN: %v", err)
	}
	if left := tries(t.Context(), t, c); !slices.Equal(left, []int{3, 2}) {
		t.Errorf("tries left: %d", left)
	}
	if _, err = c.Sign(t.Context(), k, p, second, digest[:], crypto.SHA256); err != nil {
		t.Errorf("with its PIN: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	// OpenSC would send the second PIN as the first one.
	n := pkcs15.NewKey{ID: []byte{0x47}, Algorithm: "p256", Usage: []string{"sign"}, PIN: p}
	for name, err := range map[string]error{
		"gen-key":    c.GenerateKey(t.Context(), n, second),
		"import-key": c.StoreKey(t.Context(), n, broughtEC(), second),
		"delete-key": c.DeleteObjects(t.Context(), pkcs15.KindKey, []byte{0x46}, p, second),
	} {
		if !problem.Is(err, problem.NotSupported) || pkcs15.Unsettled(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := tries(t.Context(), t, c); !slices.Equal(left, []int{3, 3}) {
		t.Errorf("tries left: %d", left)
	}
	if d, err := c.Directory(t.Context()); err != nil || len(d.Keys) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	writer, err := c.PINFor(t.Context(), []byte{0x46}, true)
	if err != nil || writer.ID != "01" {
		t.Fatalf("%+v, %v", writer, err)
	}
	der := append([]byte{0x30, 0x82, 0x01, 0x00}, make([]byte, 256)...)
	if err := c.StoreCertificate(t.Context(), pkcs15.NewCertificate{ID: []byte{0x46}, DER: der, PIN: writer}, first); err != nil {
		t.Errorf("a certificate: %v", err)
	}
}
