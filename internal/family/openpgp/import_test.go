package openpgp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// demanding is a card that imports keys on curves with their public key only,
// and completes algorithm attributes so that they say it. Points begin with
// their form, also those of Curve25519.
type demanding struct{ iso7816.Connection }

func (c demanding) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	const attributes, lc = 0xC1, 4
	switch {
	case apdu[1] == iso7816.InsPutData && apdu[3] >= attributes && apdu[3] < attributes+3:
		apdu = append(bytes.Clone(apdu), 0xFF)
		apdu[lc]++
	case apdu[1] == iso7816.InsPutDataOdd:
		_, values, _ := bytes.Cut(apdu, []byte{0x5F, 0x48})
		_, lengths, _ := bytes.Cut(apdu, []byte{0x7F, 0x48, 0x04, 0x92})
		// Private and public key lengths are of one byte for these curves.
		if len(lengths) < 3 || lengths[1] != 0x99 {
			return []byte{0x6A, 0x80}, nil
		}
		form := values[len(values)-int(lengths[2])]
		if form != 0x04 && form != 0x40 {
			return []byte{0x6A, 0x80}, nil
		}
	}
	return c.Connection.Transmit(ctx, apdu)
}

// closed is a card whose extended capabilities (4.4.3.8) do not have key import.
type closed struct{ iso7816.Connection }

func (c closed) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	answer, err := c.Connection.Transmit(ctx, apdu)
	if at := bytes.Index(answer, []byte{0xC0, 0x0A}); at >= 0 && bytes.HasPrefix(apdu, []byte{0x00, 0xCA, 0x00, 0x6E}) {
		answer[at+2] &^= 0x20
	}
	return answer, err
}

func TestImportToACardThatOnlyGenerates(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := newTable(t, "")
	d.wrap = func(conn iso7816.Connection) iso7816.Connection { return closed{conn} }
	d.open("OPENPGP.3", func(k key.Key) {
		_, err := k.Import(t.Context(), private, key.Spec{})
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.NotSupported || p.Next.Action != advice.GenerateKey {
			t.Errorf("%v, %+v", err, p)
		}
	})
}

func TestImportToACardThatWantsThePublicKey(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for ref, keys := range map[string][]crypto.PrivateKey{"OPENPGP.1": {p256, ed}, "OPENPGP.2": {x, p256}, "OPENPGP.3": {ed, p256}} {
		for _, private := range keys {
			d := newTable(t, "")
			d.wrap = func(conn iso7816.Connection) iso7816.Connection { return demanding{conn} }
			d.open(ref, func(k key.Key) {
				made, err := k.Import(t.Context(), private, key.Spec{})
				if err != nil {
					t.Errorf("%s: %T: %v", ref, private, err)
				} else if !pubkey.Same(made.Public, private.(interface{ Public() crypto.PublicKey }).Public()) {
					t.Errorf("%s: %T: another key", ref, private)
				}
			})
		}
	}
}
