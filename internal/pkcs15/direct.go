package pkcs15

import (
	"context"
	"crypto"
	"errors"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// native is a card's own protocol: the commands, on a channel.
type native interface {
	use(ch *iso7816.Channel)
	ready(ctx context.Context) error
	settle(err error) error

	directory(ctx context.Context, d *Directory, wanted part) (*Directory, error)
	tokenInfo(ctx context.Context, d *Directory) error
	authentication(ctx context.Context, d *Directory) ([]PIN, error)
	object(ctx context.Context, at location) ([]byte, error)

	tries(ctx context.Context, p PIN) (int, error)
	verify(ctx context.Context, p PIN, pin *secret.Bytes) error
	change(ctx context.Context, p PIN, old, replacement *secret.Bytes) error
	unblock(ctx context.Context, p PIN, puk, replacement *secret.Bytes) error

	writes(d *Directory, id []byte) bool
	putCertificate(ctx context.Context, d *Directory, n NewCertificate) error
	removeCertificate(ctx context.Context, d *Directory, id []byte, now time.Time) error

	sign(ctx context.Context, k *PrivateKey, digest []byte, opts crypto.SignerOpts) ([]byte, error)
	decrypt(ctx context.Context, k *PrivateKey, cryptogram []byte, opts crypto.DecrypterOpts) ([]byte, error)
	derive(ctx context.Context, k *PrivateKey, point []byte) ([]byte, error)
}

// direct is what the drivers have in common whose cards are used by commands of
// this program.
type direct[N native] struct {
	openSC
	native N
}

// on does something on the card, connecting to it where necessary.
func (d direct[N]) on(ctx context.Context, do func() error) error {
	ch, err := d.card.reach(ctx)
	if err != nil {
		return err
	}
	d.native.use(ch)
	return d.native.settle(do())
}

// in does something in the card's application.
func (d direct[N]) in(ctx context.Context, do func() error) error {
	return d.on(ctx, func() error {
		if err := d.native.ready(ctx); err != nil {
			return err
		}
		return do()
	})
}

// with does something that the card wants a PIN for.
func (d direct[N]) with(ctx context.Context, p PIN, pin *secret.Bytes, do func() error) error {
	err := d.in(ctx, func() error {
		if d.card.verified != p.ID {
			if pin == nil { // it was verified, and nobody gave it for this
				return errNotVerified
			}
			if err := d.sendPIN(ctx, p, pin); err != nil {
				return err
			}
		}
		return do()
	})
	if err != nil {
		d.card.verified = ""
	}
	return err
}

// errNotVerified is the error of a PIN that the caller took for verified. Nothing was sent.
var errNotVerified = errors.New("the PIN is not verified any more")

// sendPIN verifies a PIN.
func (d direct[N]) sendPIN(ctx context.Context, p PIN, pin *secret.Bytes) error {
	d.card.verified = ""
	err := d.native.verify(ctx, p, pin)
	if wrong := refused(p, err); wrong != nil {
		d.card.Forget()
		return wrong
	}
	if err == nil {
		d.card.verified = p.ID
	}
	return err
}

func (d direct[N]) directory(ctx context.Context, known *Directory, wanted part) (found *Directory, err error) {
	err = d.on(ctx, func() error { found, err = d.native.directory(ctx, known, wanted); return err })
	return found, err
}

func (d direct[N]) tokenInfo(ctx context.Context, found *Directory) error {
	return d.in(ctx, func() error { return d.native.tokenInfo(ctx, found) })
}

func (d direct[N]) authentication(ctx context.Context, found *Directory) (pins []PIN, err error) {
	err = d.in(ctx, func() error { pins, err = d.native.authentication(ctx, found); return err })
	return pins, err
}

func (d direct[N]) content(ctx context.Context, at location, _ string, _ []byte) (raw []byte, err error) {
	err = d.on(ctx, func() error { raw, err = d.native.object(ctx, at); return err })
	if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
		return nil, nil
	}
	return raw, err
}

func (d direct[N]) tries(ctx context.Context, p PIN) (int, error) {
	tries := -1
	err := d.in(ctx, func() (err error) { tries, err = d.native.tries(ctx, p); return err })
	return tries, err
}

// changePIN asks the card for the tries left after it refused the old PIN: where it
// tells other ones than it said, it did not refuse it.
func (d direct[N]) changePIN(ctx context.Context, p PIN, old, replacement *secret.Bytes) error {
	const what = "changing the PIN"
	err := d.pinCommand(ctx, p, what, func() error { return d.native.change(ctx, p, old, replacement) })
	said, counted := iso7816.StatusOf(err).TriesLeft()
	if !counted {
		return err
	}
	if now, askErr := d.tries(ctx, p); askErr == nil && now == said {
		return err
	}
	doubtful := problem.New(problem.Failed, what).
		Because("The card refused the %s [%s], but reports other tries left. It is not known whether the %[1]s was changed. Enter the new one first when it is needed.",
			p.Name(), iso7816.StatusOf(err)).
		Advise(advice.Do(advice.ShowCard))
	doubtful.Cause = unsettled{err}
	return doubtful
}

func (d direct[N]) unblockPIN(ctx context.Context, p, byPUK PIN, puk, replacement *secret.Bytes) error {
	return d.pinCommand(ctx, byPUK, "unblocking the "+p.Name(), func() error { return d.native.unblock(ctx, p, puk, replacement) })
}

// pinCommand sends a PIN; what the card answers tells the tries left of p.
func (d direct[N]) pinCommand(ctx context.Context, p PIN, what string, send func() error) error {
	err := d.in(ctx, send)
	if wrong := refused(p, err); wrong != nil {
		return wrong
	}
	return d.card.explain(err, what)
}

// storeCertificate puts a certificate on the card, where there is a place for it
// that this program knows.
func (d direct[N]) storeCertificate(ctx context.Context, n NewCertificate, pin *secret.Bytes) error {
	found, err := d.card.read(ctx, partCertificates)
	if err != nil {
		return err
	}
	if !d.native.writes(found, n.ID) {
		return d.openSC.storeCertificate(ctx, n, pin)
	}
	defer d.card.Forget()
	err = d.with(ctx, n.PIN, pin, func() error { return d.native.putCertificate(ctx, found, n) })
	return d.card.explain(err, "writing the certificate")
}

// deleteCertificate removes the entry before what it names, which pkcs15-init does
// the other way round.
func (d direct[N]) deleteCertificate(ctx context.Context, id []byte, p PIN, pin *secret.Bytes, now time.Time) error {
	found, err := d.card.read(ctx, partCertificates)
	if err != nil {
		return err
	}
	if found.Certificate(id) == nil || !d.native.writes(found, id) {
		return d.openSC.deleteCertificate(ctx, id, p, pin, now)
	}
	defer d.card.Forget()
	err = d.with(ctx, p, pin, func() error { return d.native.removeCertificate(ctx, found, id, now) })
	return d.card.explain(err, "deleting the certificate")
}

func (d direct[N]) sign(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	err = d.with(ctx, p, pin, func() error { signature, err = d.native.sign(ctx, k, digest, opts); return err })
	return signature, d.card.explain(err, "signing")
}

func (d direct[N]) decrypt(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, cryptogram []byte, opts crypto.DecrypterOpts) (plain []byte, err error) {
	err = d.with(ctx, p, pin, func() error { plain, err = d.native.decrypt(ctx, k, cryptogram, opts); return err })
	return plain, d.card.explain(err, "decrypting")
}

func (d direct[N]) derive(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, point []byte) (shared []byte, err error) {
	err = d.with(ctx, p, pin, func() error { shared, err = d.native.derive(ctx, k, point); return err })
	return shared, d.card.explain(err, "deriving a shared secret")
}
