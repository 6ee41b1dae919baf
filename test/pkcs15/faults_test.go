//go:build stack

package pkcs15

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

// An applet of version 1.0 is used where OpenSC makes keys on it. OpenSC 0.23 creates a
// structure there, and then makes no keys: that is said before anything is asked for or changed.
func TestAnAppletOfALaterVersion(t *testing.T) {
	b := benchWithoutCard(t)
	b.card, b.wire = b.desk.WiredCard("later", reader, "--applications", "pkcs15", "--profile", "isoapplet-1.0")
	blank := b.desk.Read("state/cardctl/sim/later.json")
	generate := func() error {
		return b.key("PKCS15.45", func(k key.Key) error { _, err := k.Generate(t.Context(), key.Spec{}); return err })
	}
	_, err := b.init()
	if err == nil {
		if err := generate(); err != nil {
			t.Errorf("init works, and gen-key does not: %v", err)
		}
		b.usable(userPIN)
		return
	}
	var p *problem.Error
	if !problem.Is(err, problem.NotSupported) || !errors.As(err, &p) || !strings.Contains(p.Reason(), "version 1.0") ||
		!strings.Contains(p.Reason(), "Nothing on the card was changed") || !strings.Contains(p.Next.Sentence, "newer OpenSC") {
		t.Errorf("init: %v", err)
	}
	if len(b.asked) > 0 || string(b.desk.Read("state/cardctl/sim/later.json")) != string(blank) {
		t.Errorf("asked for %v, or the card was changed", b.asked)
	}

	b.opensc("pkcs15-init", "--create-pkcs15", "--label", "theirs", "--so-pin", "env:PIN", "--so-puk", "env:PUK")
	theirs := []string{"--reader", stack.ReaderName(reader), "--generate-key", "rsa:2048", "--id", "77", "--auth-id", "FF", "--pin", "env:PIN"}
	if result := b.desk.Try("pkcs15-init", theirs...); result.Exit == 0 {
		t.Errorf("pkcs15-init makes keys on this card: the refusal is out of date\n%v", result)
	}
	created := b.desk.Read("state/cardctl/sim/later.json")
	if err := generate(); !problem.Is(err, problem.NotSupported) || string(b.desk.Read("state/cardctl/sim/later.json")) != string(created) {
		t.Errorf("gen-key: %v", err)
	}
	if _, err := b.info(); err != nil {
		t.Errorf("info: %v", err)
	}
}

// authority makes certificates with as many bytes more as one likes.
func (b *bench) authority() func(ref string, more int) *x509.Certificate {
	ca := softhsm.NewCA(b.t, "Snake Oil CA")
	return func(ref string, more int) *x509.Certificate {
		b.t.Helper()
		return ca.Issue(b.t, b.public(ref), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: make([]byte, more)}}
		})
	}
}

func TestAFullCard(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{})
	issue := b.authority()
	first := issue("PKCS15.45", 2000)
	if _, err := b.importCertificate("PKCS15.45", first); err != nil {
		t.Fatal(err)
	}
	if read := stack.ParseCertificate(t, []byte(b.opensc("pkcs15-tool", "--read-certificate", "45"))); !read.Equal(first) {
		t.Error("pkcs15-tool reads another certificate")
	}
	full := func(err error) {
		t.Helper()
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.Failed || !strings.Contains(p.Reason()+p.What, "room") && !strings.Contains(p.What, "full") {
			t.Errorf("on a full card: %v", err)
		}
	}
	huge := issue("PKCS15.45", 31000)
	_, err := b.importCertificate("PKCS15.45", huge)
	full(err)
	if err := b.infoHas("PKCS15.45", first); err != nil {
		t.Error(err)
	}
	if _, err := b.importCertificate("PKCS15.45", issue("PKCS15.45", 2000)); err != nil {
		t.Errorf("where there is room: %v", err)
	}

	// Everything else that is put on the card until it has no room for more.
	for n := 0; ; n++ {
		ref := fmt.Sprintf("PKCS15.%02X", 0x50+n)
		if err = b.fill(ref, issue); err != nil {
			break
		}
		if n > 16 {
			t.Fatal("the card has no end")
		}
	}
	full(err)
	info, err := b.info()
	if err != nil || len(info.Keys) < 2 {
		t.Errorf("info on a full card: %d keys, %v", len(info.Keys), err)
	}
	if err := b.signs("45"); err != nil {
		t.Errorf("signing on a full card: %v", err)
	}
	b.mustInit()
	if err := b.generateOnce("45"); err != nil {
		t.Errorf("gen-key after init: %v", err)
	}
}

// fill puts a key and a long certificate on the card.
func (b *bench) fill(ref string, issue func(string, int) *x509.Certificate) error {
	b.t.Helper()
	if err := b.generateOnce(strings.TrimPrefix(ref, "PKCS15.")); err != nil {
		return err
	}
	_, err := b.importCertificate(ref, issue(ref, 3000))
	return err
}

// A key whose public half is not on the card is somebody's, unless it is known
// that its making was interrupted.
func TestAKeyWithoutItsPublicHalf(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{Label: "vpn"})
	b.opensc("pkcs15-init", "--delete-objects", "pubkey", "--id", "45", "--auth-id", "FF", "--pin", "env:PIN")
	replaceable := func(work func(replace string) error) {
		t.Helper()
		info, err := b.info()
		if err != nil || len(info.Keys) != 1 || info.Keys[0].Fingerprint == "" {
			t.Fatalf("%+v: %v", info, err)
		}
		var p *problem.Error
		if err := work(""); !errors.As(err, &p) || p.Code != problem.Refused || !slices.Equal(p.Unless, []advice.Value{advice.Set(advice.Replace, info.Keys[0].Fingerprint)}) {
			t.Errorf("over a key: %v", err)
		}
		if err := work(info.Keys[0].Fingerprint); err != nil {
			t.Errorf("in the place of a key that is named: %v", err)
		}
		if err := b.signs("45"); err != nil {
			t.Error(err)
		}
	}
	replaceable(func(replace string) error {
		return b.attemptKey("45", func(ctx context.Context, k key.Key) error {
			_, err := keygen.GenerateOn(ctx, k, keygen.Options{Replace: replace})
			return err
		})
	})
	b.opensc("pkcs15-init", "--delete-objects", "pubkey", "--id", "45", "--auth-id", "FF", "--pin", "env:PIN")
	replaceable(func(replace string) error {
		return b.attemptKey("45", func(ctx context.Context, k key.Key) error {
			_, err := keygen.ImportOn(ctx, k, broughtKey(), keygen.Options{Replace: replace})
			return err
		})
	})
}

// A card whose memory fails while a certificate is replaced keeps the old one.
func TestACertificateThatIsNotTaken(t *testing.T) {
	b := benchWithoutCard(t)
	c := b.newPulledCard("pkcs15")
	leave := c.insert()
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{})
	first, second := b.issue("PKCS15.45"), b.issue("PKCS15.45")
	if _, err := b.importCertificate("PKCS15.45", first); err != nil {
		t.Fatal(err)
	}
	leave()
	start := c.state()
	c.inProcess = true
	for name, fault := range map[string]cardsim.Fault{
		"no room for the file":     cardsim.Refuse(0xE0, 1, iso7816.StatusNoSpace),
		"writing the file":         cardsim.Refuse(0xD6, 2, iso7816.StatusMemoryFailure),
		"writing the directory":    cardsim.Refuse(0xD6, 4, iso7816.StatusMemoryFailure),
		"the PIN is not good here": cardsim.Refuse(0xE0, 1, iso7816.StatusSecurityNotSatisfied),
	} {
		t.Run(name, func(t *testing.T) {
			c.restore(start)
			leave := c.insert(fault)
			defer leave()
			_, err := b.importCertificate("PKCS15.45", second)
			var p *problem.Error
			if !errors.As(err, &p) || !strings.Contains(p.Reason(), "still on the card, unchanged") {
				t.Errorf("%v", err)
			}
			if err := b.infoHas("PKCS15.45", first); err != nil {
				t.Error(err)
			}
			if err := b.certificateOnce("45", second); err != nil {
				t.Error(err)
			}
		})
	}
}
