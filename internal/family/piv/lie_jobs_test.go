package piv

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/secret"
)

// job is one workflow, as far as it is this family's.
type job struct {
	profile string // empty for a YubiKey 5.7
	// prepare brings a card from the factory to where it is needed.
	prepare func(*table)
	// pins are the secrets that are given beside those of the factory.
	pins map[secret.Name]string
	run  func(*table) error
	// done is what is wrong with a card on which it ended without an error.
	done func(d *table, before, now view) string
	// nextPIN and nextPUK are those afterwards, if they are not the factory's.
	nextPIN, nextPUK string
	// replaces says that keys may be lost; erases that everything may.
	replaces, erases bool
	// writes are the objects that may be another afterwards.
	writes []string
}

// Objects, as the state of a simulated card has them.
const (
	objectCHUID, objectCCC, objectHistory  = "5FC102", "5FC107", "5FC10C"
	objectPrinted, objectAdministration    = "5FC109", "5FFF00"
	certificate9A, certificate9C, retired1 = "5FC105", "5FC10A", "5FC10D"
)

func withKey(slots ...app.Slot) func(*table) {
	return func(d *table) {
		for _, slot := range slots {
			d.generated(slot, key.P256)
		}
	}
}

// withCertificate is withKey, and a certificate for each.
func withCertificate(slots ...app.Slot) func(*table) {
	return func(d *table) {
		for _, slot := range slots {
			d.certify(slot, d.generated(slot, key.P256))
		}
	}
}

func fine(*table, view, view) string { return "" }

// erasedTo wants no key and no certificate but those of attestation, and what was given.
func erasedTo(pins map[secret.Name]string) func(*table, view, view) string {
	return func(_ *table, _, now view) string {
		for slot := range now.Keys {
			if slot != "F9" {
				return "there is a key in " + slot
			}
		}
		if now.Objects[certificate9A] != nil || now.Objects[objectCHUID] == nil || now.Objects[objectCCC] == nil {
			return fmt.Sprintf("objects are wrong: %X", now.Objects)
		}
		if want := pins[secret.ManagementKey]; want != "" && want != strings.ToUpper(hex.EncodeToString(now.Management.Key)) {
			return fmt.Sprintf("the management key is %X", now.Management.Key)
		}
		return ""
	}
}

// another wants a new key in a slot.
func another(slot string) func(*table, view, view) string {
	return func(_ *table, before, now view) string {
		if now.Keys[slot].PKCS8 == nil || bytes.Equal(now.Keys[slot].PKCS8, before.Keys[slot].PKCS8) {
			return "there is no new key in " + slot
		}
		return ""
	}
}

func generating(slot app.Slot) func(*table) error {
	return func(d *table) error {
		return d.on(func(ctx context.Context, c *onCard) error {
			k := c.key(slot)
			if _, err := k.Occupant(ctx); err != nil {
				return err
			}
			_, err := k.Generate(ctx, key.Spec{Algorithm: key.P256})
			return err
		})
	}
}

func signing(slot app.Slot) func(*table) error {
	return func(d *table) error {
		return d.on(func(ctx context.Context, c *onCard) error {
			s, err := c.key(slot).Signer(ctx)
			if err == nil {
				_, err = s.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
			}
			return err
		})
	}
}

// errOther is a certificate that was not read back as it was written.
var errOther = errors.New("another certificate was read back")

// certifying writes a certificate for the key, as import-cert does.
func certifying(d *table) error {
	return d.on(func(ctx context.Context, c *onCard) error {
		k := c.key(app.Authentication)
		public, err := k.Public(ctx)
		if err != nil {
			return err
		}
		reported, err := k.Reported(ctx)
		if err == nil && !reported {
			err = k.Prove(ctx, public)
		}
		if err != nil {
			return err
		}
		der := certificateFor(d.t, public, 60)
		if err := k.PutCertificate(ctx, der, nil); err != nil {
			return err
		}
		there, err := k.ReadBackCertificate(ctx)
		if err == nil && !bytes.Equal(there, der) {
			err = errOther
		}
		if err == nil {
			_, err = k.RenewIdentifier(ctx, key.RenewIfFree)
		}
		return err
	})
}

// hasCertificate wants a new certificate in 9A.
func hasCertificate(_ *table, before, now view) string {
	if now.Objects[certificate9A] == nil || bytes.Equal(now.Objects[certificate9A], before.Objects[certificate9A]) {
		return "there is no new certificate"
	}
	return ""
}

// moved wants the key of 9A, and its certificate, in the first retired slot.
func moved(_ *table, before, now view) string {
	switch {
	case now.Keys["9A"].PKCS8 != nil || !bytes.Equal(now.Keys["82"].PKCS8, before.Keys["9A"].PKCS8):
		return "the key was not moved"
	case now.Objects[certificate9A] != nil || !bytes.Equal(now.Objects[retired1], before.Objects[certificate9A]):
		return "the certificate was not moved"
	}
	return ""
}

// keyFile is where a new management key is written to.
func (d *table) keyFile() string { return filepath.Join(d.dir, "new.key") }

// hasKeyOfFile wants the management key in the file to be that of the card.
func hasKeyOfFile(d *table, _, now view) string {
	text, err := os.ReadFile(d.keyFile())
	if err != nil || !strings.EqualFold(strings.TrimSpace(string(text)), hex.EncodeToString(now.Management.Key)) {
		return fmt.Sprintf("the card has not the management key in the file, %v", err)
	}
	return ""
}

// hasStoredKey wants the management key to be the one that the card keeps.
func hasStoredKey(_ *table, before, now view) string {
	if bytes.Equal(before.Management.Key, now.Management.Key) || !bytes.HasSuffix(now.Objects[objectPrinted], now.Management.Key) {
		return "the card does not keep its management key"
	}
	return ""
}

func initialising(o card.InitOptions) func(*table) error {
	return func(d *table) error {
		_, err := d.initialise(o)
		return err
	}
}

func jobs(t *testing.T) map[string]job {
	private := brought(t, key.P256)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	fresh := map[secret.Name]string{secret.PIN: newPIN, secret.PUK: newPUK, secret.ManagementKey: newKey}
	protecting := map[secret.Name]string{secret.PIN: newPIN, secret.PUK: newPUK}
	used := withCertificate(app.Authentication, app.Signature)
	bring := func(d *table) error {
		_, err := d.bring(app.Authentication, private, key.Spec{})
		return err
	}
	isBrought := func(_ *table, _, now view) string {
		if !bytes.Equal(now.Keys["9A"].PKCS8, der) {
			return "the key is another"
		}
		return ""
	}
	noCertificate := func(_ *table, _, now view) string {
		if now.Objects[certificate9A] != nil {
			return "the certificate is there"
		}
		return ""
	}
	setKey := func(wish card.NewManagementKey) func(*table) error {
		return func(d *table) error {
			if wish.File != "" {
				wish.File = d.keyFile()
			}
			_, err := d.setKey(wish)
			return err
		}
	}
	return map[string]job{
		"init": {pins: fresh, run: initialising(card.InitOptions{}), done: erasedTo(fresh), nextPIN: newPIN, nextPUK: newPUK, erases: true},
		"init, used": {
			prepare: used, pins: fresh, run: initialising(card.InitOptions{}), done: erasedTo(fresh), nextPIN: newPIN, nextPUK: newPUK, erases: true,
		},
		"init, used, --pin-tries": {
			prepare: used, pins: fresh, run: initialising(card.InitOptions{PINTries: 5, PUKTries: 4}), nextPIN: newPIN, nextPUK: newPUK, erases: true,
			done: func(d *table, before, now view) string {
				if now.PIN.Total != 5 || now.PUK.Total != 4 {
					return fmt.Sprintf("%d and %d tries", now.PIN.Total, now.PUK.Total)
				}
				return erasedTo(fresh)(d, before, now)
			},
		},
		"init, used, --protect-management-key": {
			prepare: used, pins: protecting, run: initialising(card.InitOptions{Management: card.NewManagementKey{Protect: true}}),
			nextPIN: newPIN, nextPUK: newPUK, erases: true,
			done: func(d *table, before, now view) string {
				return erasedTo(protecting)(d, before, now) + hasStoredKey(d, before, now)
			},
		},
		"init, used, YubiKey 4": {
			profile: "piv-yubikey-4", prepare: used, pins: fresh, run: initialising(card.InitOptions{}), done: erasedTo(fresh),
			nextPIN: newPIN, nextPUK: newPUK, erases: true,
		},
		"init, used, without a reset": {
			profile: "piv-nist", prepare: used, erases: true,
			run: func(d *table) error {
				report, err := d.initialise(card.InitOptions{})
				d.stayed = report.Stayed
				return err
			},
			pins: map[secret.Name]string{secret.CurrentManagementKey: factoryKey},
			done: func(d *table, _, now view) string {
				if now.Objects[certificate9A] != nil && !slices.Contains(d.stayed, "object "+certificate9A) || now.Objects[objectCHUID] == nil {
					return fmt.Sprintf("it is not cleared, and what stays is %q", d.stayed)
				}
				return ""
			},
		},
		"set-pin user": {
			pins: map[secret.Name]string{secret.NewPIN: newPIN}, nextPIN: newPIN, done: fine,
			run: func(d *table) error { return d.change(setting(pin.User)) },
		},
		"set-pin user, without Yubico's commands": {
			profile: "piv-nist", pins: map[secret.Name]string{secret.NewPIN: newPIN}, nextPIN: newPIN, done: fine,
			run: func(d *table) error { return d.change(setting(pin.User)) },
		},
		"set-pin puk": {
			pins: map[secret.Name]string{secret.NewPIN: newPUK}, nextPUK: newPUK, done: fine,
			run: func(d *table) error { return d.change(setting(pin.PUK)) },
		},
		"unblock-pin": {
			pins: map[secret.Name]string{secret.NewPIN: newPIN}, nextPIN: newPIN, done: fine,
			run: func(d *table) error { return d.change(unblocking) },
		},
		"set-management-key": {
			pins: map[secret.Name]string{secret.NewManagementKey: newKey}, run: setKey(card.NewManagementKey{}),
			done: func(_ *table, _, now view) string {
				if !strings.EqualFold(newKey, hex.EncodeToString(now.Management.Key)) {
					return fmt.Sprintf("the management key is %X", now.Management.Key)
				}
				return ""
			},
		},
		"set-management-key --generate-management-key": {run: setKey(card.NewManagementKey{File: "$"}), done: hasKeyOfFile},
		"set-management-key --protect-management-key": {
			run: setKey(card.NewManagementKey{Protect: true}), done: hasStoredKey, writes: []string{objectPrinted, objectAdministration},
		},
		"set-management-key --protect-management-key, again": {
			prepare: func(d *table) {
				if _, err := d.setKey(card.NewManagementKey{Protect: true}); err != nil {
					d.t.Fatal(err)
				}
			},
			pins: map[secret.Name]string{secret.ManagementKey: storedKey},
			run:  setKey(card.NewManagementKey{Protect: true}), done: hasStoredKey, writes: []string{objectPrinted, objectAdministration},
		},
		"gen-key": {run: generating(app.Authentication), done: another("9A")},
		"gen-key --replace": {
			prepare: withCertificate(app.Authentication), run: generating(app.Authentication), replaces: true, writes: []string{certificate9A},
			done: func(d *table, before, now view) string {
				return another("9A")(d, before, now) + noCertificate(d, before, now)
			},
		},
		"gen-key, YubiKey 4": {profile: "piv-yubikey-4", run: generating(app.Authentication), done: another("9A")},
		"gen-key, without Yubico's commands": {
			profile: "piv-nist", run: generating(app.Authentication), done: another("9A"),
		},
		"import-key":                      {run: bring, done: isBrought},
		"import-key, YubiKey 4":           {profile: "piv-yubikey-4", run: bring, done: isBrought},
		"gen-csr":                         {prepare: withKey(app.Authentication), run: signing(app.Authentication), done: fine},
		"gen-csr, the PIN for each use":   {prepare: withKey(app.Signature), run: signing(app.Signature), done: fine},
		"gen-csr, YubiKey 4":              {profile: "piv-yubikey-4", prepare: withKey(app.Authentication), run: signing(app.Authentication), done: fine},
		"import-cert":                     {prepare: withKey(app.Authentication), run: certifying, done: hasCertificate, writes: []string{certificate9A, objectCHUID}},
		"import-cert, with a key history": {prepare: withCertificate(app.Authentication), run: certifying, done: hasCertificate, writes: []string{certificate9A, objectCHUID}},
		"delete-cert": {
			prepare: withCertificate(app.Authentication), done: noCertificate, writes: []string{certificate9A},
			run: func(d *table) error {
				return d.on(func(ctx context.Context, c *onCard) error { return c.key(app.Authentication).DeleteCertificate(ctx) })
			},
		},
		"delete-key": {
			prepare: withKey(app.Authentication, app.Signature), replaces: true,
			run: func(d *table) error {
				return d.on(func(ctx context.Context, c *onCard) error { return c.key(app.Authentication).Delete(ctx) })
			},
			done: func(_ *table, _, now view) string {
				if now.Keys["9A"].PKCS8 != nil {
					return "the key is there"
				}
				return ""
			},
		},
		"move-key": {
			prepare: withCertificate(app.Authentication), done: moved, writes: []string{certificate9A, retired1, objectHistory},
			run: func(d *table) error {
				_, err := d.move(app.Authentication, 0x82)
				return err
			},
		},
		"attest": {
			prepare: withKey(app.Authentication), done: fine,
			run: func(d *table) error {
				return d.on(func(ctx context.Context, c *onCard) error {
					_, err := c.key(app.Authentication).Attest(ctx)
					return err
				})
			},
		},
	}
}

// Whatever is said of a job, it is one of these.
func (j *job) mayWrite(object string) bool { return j.erases || slices.Contains(j.writes, object) }
