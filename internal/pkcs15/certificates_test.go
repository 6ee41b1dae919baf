package pkcs15

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

const cardPIN = "246813"

// simulated is an IsoApplet in process, in a store so that its power can be cut.
type simulated struct {
	store      *cardsim.Store
	card       *cardsim.Card
	connection iso7816.Connection
	channel    *iso7816.Channel
}

// newSimulated is a card with the structure that pkcs15-init makes, as far as
// certificates need it.
func newSimulated(t *testing.T) *simulated {
	t.Helper()
	s := &simulated{store: cardsim.NewStore(t.TempDir())}
	if err := s.store.Create("desk", cardsim.Options{Applications: []string{"pkcs15"}}); err != nil {
		t.Fatal(err)
	}
	s.insert(t)
	defer s.pull(t)
	ch, err := s.Channel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, err := selectApplet(t.Context(), ch)
	if err != nil {
		t.Fatal(err)
	}
	application := []byte{0x6F, 0x15, 0x81, 0x02, 0x13, 0x88, 0x82, 0x01, 0x38, 0x83, 0x02, 0x50, 0x15, 0x86, 0x08, 0xFF, 0, 0, 0, 0, 0, 0, 0x90}
	put := func(file int, size int, content []byte) func() error {
		return func() error {
			if err := a.createFile(t.Context(), file, size, pinOnly); err != nil {
				return err
			}
			return a.update(t.Context(), 0, content)
		}
	}
	for _, step := range []func() error{
		func() error { return a.send(t.Context(), insCreateFile, 0, 0, application) },
		put(fileODF, 256, iso7816.AppendTLV(nil, dfAuthentication, pathValue(fileAODF))),
		put(fileAODF, 256, pinEntry()),
		put(fileTokenInfo, 128, unhex(t, tokenOfApplet)),
		func() error {
			return a.send(t.Context(), iso7816.InsChangeReferenceData, 1, appletPIN, []byte(cardPIN))
		},
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *simulated) insert(t *testing.T, faults ...cardsim.Fault) {
	t.Helper()
	var err error
	if s.card, err = s.store.Open("desk", faults...); err != nil {
		t.Fatal(err)
	}
}

func (s *simulated) pull(t *testing.T) {
	t.Helper()
	if err := errors.Join(s.Release(), s.card.Close()); err != nil {
		t.Error(err)
	}
}

func (s *simulated) Channel(ctx context.Context) (*iso7816.Channel, error) {
	if s.channel != nil {
		return s.channel, nil
	}
	var err error
	if s.connection, err = s.card.Connect(ctx); err != nil {
		return nil, err
	}
	s.channel = iso7816.NewChannel(s.connection, iso7816.CapabilitiesOf(iso7816.HistoricalBytes(s.connection.ATR())))
	return s.channel, nil
}

func (s *simulated) Release() error {
	if s.channel == nil {
		return nil
	}
	s.channel = nil
	if err := s.connection.Close(true); err != nil && !errors.Is(err, iso7816.ErrCardRemoved) {
		return err
	}
	return nil
}

func (s *simulated) Reader() string { return "" }

// change opens the card as a command does, and changes something.
func (s *simulated) change(ctx context.Context, work func(c *Card, p PIN, pin *secret.Bytes) error) error {
	c, err := Open(ctx, s, Tools{})
	if err != nil {
		return err
	}
	pin := secret.New([]byte(cardPIN))
	defer pin.Wipe()
	return errors.Join(work(c, c.FirstPIN(), pin), c.Close())
}

func (s *simulated) store45(ctx context.Context, der []byte) error {
	return s.change(ctx, func(c *Card, p PIN, pin *secret.Bytes) error {
		return c.StoreCertificate(ctx, NewCertificate{ID: []byte{0x45}, Label: "vpn", DER: der, PIN: p, Now: time.Now()}, pin)
	})
}

// read is the certificate with an ID as another run finds it.
func (s *simulated) read(t *testing.T, id byte) []byte {
	t.Helper()
	c, err := Open(t.Context(), s, Tools{})
	if err != nil {
		t.Fatal(err)
	}
	der, err := c.Certificate(t.Context(), []byte{id})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return der
}

// certificateOf is something that looks like a certificate of n bytes.
func certificateOf(fill byte, n int) []byte {
	return iso7816.AppendTLV(nil, tagSequence, bytes.Repeat([]byte{fill}, n))
}

func TestCertificatesOfAnApplet(t *testing.T) {
	s := newSimulated(t)
	s.insert(t)
	defer s.pull(t)
	for _, der := range [][]byte{certificateOf(1, 700), certificateOf(2, 2000), certificateOf(3, 20)} {
		if err := s.store45(t.Context(), der); err != nil || !bytes.Equal(s.read(t, 0x45), der) {
			t.Fatalf("%d bytes: %v", len(der), err)
		}
	}
	other := certificateOf(4, 900)
	err := s.change(t.Context(), func(c *Card, p PIN, pin *secret.Bytes) error {
		return c.StoreCertificate(t.Context(), NewCertificate{ID: []byte{0x46}, DER: other, Authority: true, PIN: p, Now: time.Now()}, pin)
	})
	if err != nil || !bytes.Equal(s.read(t, 0x46), other) {
		t.Fatal(err)
	}
	err = s.change(t.Context(), func(c *Card, p PIN, pin *secret.Bytes) error {
		return c.DeleteCertificate(t.Context(), []byte{0x45}, p, pin, time.Now())
	})
	if err != nil || s.read(t, 0x45) != nil || !bytes.Equal(s.read(t, 0x46), other) {
		t.Fatalf("after the removal: %v", err)
	}
	err = s.store45(t.Context(), certificateOf(5, 33000))
	if !problem.Is(err, problem.Failed) || s.read(t, 0x45) != nil || !bytes.Equal(s.read(t, 0x46), other) {
		t.Errorf("one for which there is no room: %v", err)
	}
}

// The power is cut at every write of a certificate that replaces another one: one
// of the two is there, and the same again completes it.
func TestPowerCutWhileACertificateIsReplaced(t *testing.T) {
	old, replacement := certificateOf(1, 700), certificateOf(2, 900)
	for name, cut := range map[string]func(int) cardsim.Fault{"before": cardsim.PowerLossBeforeWrite, "after": cardsim.PowerLossAfterWrite} {
		for n := 1; ; n++ {
			s := newSimulated(t)
			s.insert(t)
			if err := s.store45(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			s.pull(t)

			s.insert(t, cut(n))
			err := s.store45(t.Context(), replacement)
			s.pull(t)
			s.insert(t)
			there := s.read(t, 0x45)
			if err == nil {
				s.pull(t)
				break // all was written
			}
			if !bytes.Equal(there, old) && !bytes.Equal(there, replacement) {
				t.Errorf("cut %s write %d: %d bytes are there", name, n, len(there))
			}
			if err := s.store45(t.Context(), replacement); err != nil || !bytes.Equal(s.read(t, 0x45), replacement) {
				t.Errorf("cut %s write %d, again: %v", name, n, err)
			}
			s.pull(t)
		}
	}
}
