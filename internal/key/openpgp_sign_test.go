package key

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// picky is a card that does not sign what takes does not like.
type picky struct {
	iso7816.Transmitter
	takes   func(length int) bool
	refusal iso7816.Status
}

func (c picky) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if apdu[1] == iso7816.InsInternalAuthenticate {
		length := int(apdu[4])
		if length == 0 { // extended
			length = int(apdu[5])<<8 | int(apdu[6])
		}
		if !c.takes(length) {
			return []byte{byte(c.refusal >> 8), byte(c.refusal)}, nil
		}
	}
	return c.Transmitter.Transmit(ctx, apdu)
}

// signerOn makes a key on a simulated card behind the picky one.
func signerOn(t *testing.T, card picky, algorithm Algorithm) crypto.Signer {
	t.Helper()
	d := newDesk(t, "")
	conn, err := d.card.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(true) })
	card.Transmitter = conn
	ref, err := ParseReference("OPENPGP.3")
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(t.Context(), iso7816.NewChannel(card, iso7816.Capabilities{}), ref, d.access())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Generate(t.Context(), Spec{Algorithm: algorithm}); err != nil {
		t.Fatal(err)
	}
	signer, err := k.Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestECDSAOnACardThatTakesDigestsOfOneLength(t *testing.T) {
	for algorithm, length := range map[Algorithm]int{P256: 32, P384: 48, P521: 64} {
		t.Run(string(algorithm), func(t *testing.T) {
			card := picky{takes: func(n int) bool { return n == length }, refusal: iso7816.StatusConditionsNotSatisfied}
			signer := signerOn(t, card, algorithm)
			for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
				h := hash.New()
				h.Write([]byte("the quick brown fox"))
				digest := h.Sum(nil)
				signature, err := signer.Sign(rand.Reader, digest, hash)
				if err != nil {
					t.Errorf("%s: %v", hash, err)
				} else if !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest, signature) {
					t.Errorf("%s: the signature %X does not verify", hash, signature)
				}
			}
		})
	}
}

func TestEd25519OnACardThatTakesShortMessages(t *testing.T) {
	for _, refusal := range []iso7816.Status{iso7816.StatusNoSpace, iso7816.StatusWrongData} {
		card := picky{takes: func(n int) bool { return n <= 1024 }, refusal: refusal}
		signer := signerOn(t, card, Ed25519)
		if _, err := signer.Sign(rand.Reader, make([]byte, 1024), crypto.Hash(0)); err != nil {
			t.Errorf("%s: 1024 bytes: %v", refusal, err)
		}
		if _, err := signer.Sign(rand.Reader, make([]byte, 1025), crypto.Hash(0)); !problem.Is(err, problem.NotSupported) {
			t.Errorf("%s: 1025 bytes: %v", refusal, err)
		}
	}
}
