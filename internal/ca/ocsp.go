package ca

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"path"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Responder says who signs answers of OCSP (RFC 6960), and for how long they hold.
type Responder struct {
	// Key is the reference or the file of the key of a delegated signer, whose
	// certificate this CA has issued (RFC 6960, 4.2.2.2); empty for the key of the CA.
	Key string
	// Days is how long an answer holds.
	Days int
	// Former is how the former keys of the CA are reached, nil for not at all.
	Former *Parent
}

// ocspDays is how long an answer holds unless something else is asked for.
const ocspDays = 7

// Answer is an answer of OCSP that was signed.
type Answer struct {
	Serial string `json:"serialNumber"`
	State  State  `json:"state"`
	// Name is that of the request with GET (RFC 5019, 5), as a path with slashes.
	Name       string    `json:"name"`
	NextUpdate time.Time `json:"nextUpdate"`

	DER []byte `json:"-"`
}

// responder signs answers while its key is at hand.
type responder struct {
	ca          *CA
	issuer      *x509.Certificate
	certificate *x509.Certificate // of the signer
	signer      crypto.Signer
	days        int
}

// respond does work with the key of a responder.
func (c *CA) respond(ctx context.Context, d *desk.Desk, a desk.Access, o Responder, now time.Time, work func(context.Context, *responder) error) error {
	const longest = 3650
	r := &responder{ca: c, issuer: c.certificate.Standard(), days: cmp.Or(o.Days, ocspDays)}
	switch {
	case r.days < 1 || r.days > longest:
		return problem.New(problem.Usage, "an answer cannot hold for %d days", o.Days).
			Because("It holds for 1 to %d days.", longest).Advise(advice.Repeat(advice.Set(advice.Days, "7")))
	case o.Key == "" && !answers(c.certificate.PublicKey):
		return cannotAnswer()
	case r.issuer == nil:
		return notStandard()
	}
	if err := c.valid(now); err != nil {
		return err
	}
	if o.Key == "" {
		r.certificate = r.issuer
		return c.sign(ctx, d, a, func(ctx context.Context, signer crypto.Signer) error {
			r.signer = signer
			return work(ctx, r)
		})
	}
	delegated := func(ctx context.Context, signer crypto.Signer) (err error) {
		r.signer = verified{Signer: signer}
		if !answers(signer.Public()) {
			return cannotAnswer()
		}
		if r.certificate, err = c.delegate(ctx, signer.Public(), now); err != nil {
			return err
		}
		return work(ctx, r)
	}
	if _, _, err := family.Parse(o.Key); err != nil || input.Exists(o.Key) {
		return withFile(ctx, o.Key, a.Ask, delegated)
	}
	return withCard(ctx, d, a, o.Key, func(ctx context.Context, signer crypto.Signer, _ string, _ func(context.Context) error) error {
		return delegated(ctx, signer)
	})
}

// respondEach is respond with a responder for the key of the CA, and for each former key.
// The same delegated signer answers for all of them, with a certificate of each.
func (c *CA) respondEach(ctx context.Context, d *desk.Desk, a desk.Access, o Responder, now time.Time, work func(context.Context, []*responder) error) error {
	return c.respond(ctx, d, a, o, now, func(ctx context.Context, own *responder) error {
		if o.Former == nil {
			return work(ctx, []*responder{own})
		}
		former, err := c.formers(ctx, now)
		if err != nil {
			return err
		}
		former = slices.DeleteFunc(former, func(c *CA) bool { return c.valid(now) != nil })
		return own.with(ctx, former, o, now, []*responder{own}, work)
	})
}

// with does work with responders for former keys, too.
func (r *responder) with(ctx context.Context, former []*CA, o Responder, now time.Time, list []*responder, work func(context.Context, []*responder) error) error {
	if len(former) == 0 {
		return work(ctx, list)
	}
	next := func(ctx context.Context, one *responder) error {
		return r.with(ctx, former[1:], o, now, append(list, one), work)
	}
	c := former[0]
	if o.Key == "" {
		return c.respond(ctx, o.Former.Desk, IssuersAccess(o.Former.Access), o, now, next)
	}
	certificate, err := c.delegate(ctx, r.signer.Public(), now)
	if err == nil && c.certificate.Standard() == nil {
		err = notStandard()
	}
	if err != nil {
		return IssuersAdvice(err, theFormer)
	}
	return next(ctx, &responder{ca: c, issuer: c.certificate.Standard(), certificate: certificate, signer: r.signer, days: r.days})
}

// mayAnswer refuses a signer whose certificate has ended, or was revoked meanwhile.
func (r *responder) mayAnswer(ctx context.Context, now time.Time) error {
	if now.After(r.certificate.NotAfter) {
		return problem.New(problem.Mismatch, "the certificate of the signer has expired").
			Because("It was valid until %s.", r.certificate.NotAfter.UTC().Format(time.DateTime)).Advise(r.ca.look())
	}
	if r.certificate == r.issuer {
		return nil
	}
	serial := fmt.Sprintf("%X", r.certificate.SerialNumber)
	if len(serial)%2 != 0 {
		serial = "0" + serial
	}
	e, err := r.ca.entry(ctx, serial)
	if err == nil && e.revoked.Valid {
		err = problem.New(problem.Mismatch, "the certificate of the signer was revoked").
			Because("It is %s, and signs no more answers.", serial).
			Advise(advice.Do(advice.IssueCertificate, advice.Fill(advice.PublicKey), advice.Set(advice.Subject, "CN=OCSP"), advice.Set(advice.Profile, "ocsp")).On(r.ca.dir))
	}
	return err
}

func notStandard() error {
	return problem.New(problem.NotSupported, "no answer can be signed for this CA").Because("Strict software rejects its certificate.")
}

// answers reports whether a key can sign answers, for programs read those of others rarely.
func answers(public crypto.PublicKey) bool {
	_, isEC := public.(*ecdsa.PublicKey)
	return isEC || pubkey.IsRSA(public)
}

func cannotAnswer() error {
	return problem.New(problem.NotSupported, "the key cannot sign answers of OCSP").
		Because("RSA and ECDSA keys sign them. One with a certificate of the profile ocsp can do that for the CA.").
		Advise(advice.Repeat(advice.Fill(advice.SignerKey)).Without(advice.SignWithCA))
}

// delegate is the certificate for OCSP that the CA has issued for a key: the one that ends
// last.
func (c *CA) delegate(ctx context.Context, public crypto.PublicKey, now time.Time) (found *x509.Certificate, err error) {
	err = c.db.Rows(ctx, func(scan func(...any) error) error {
		var der []byte
		if err := scan(&der); err != nil {
			return err
		}
		made, err := x509.ParseCertificate(der)
		if err == nil && slices.Contains(made.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) && now.Before(made.NotAfter) && !now.Before(made.NotBefore) {
			found = made
		}
		return nil // another one may be for OCSP
	}, "SELECT der FROM certificates WHERE public_key = ? AND authority = ? AND revoked IS NULL ORDER BY not_after", pubkey.Fingerprint(public), c.id)
	if err == nil && found == nil {
		err = problem.New(problem.NotFound, "the CA issued no certificate for OCSP for this key").
			Because("A signer has a certificate of the profile ocsp, which has not ended and is not revoked.").
			Advise(advice.Do(advice.IssueCertificate, advice.Fill(advice.PublicKey), advice.Set(advice.Subject, "CN=OCSP"), advice.Set(advice.Profile, "ocsp")).On(c.dir))
	}
	return found, err
}

// SignOCSP signs answers about certificates, by their serial numbers; about all that have
// not expired if none is named. About what a former key of the CA issued, that key signs, or
// the signer that it delegated to.
func (c *CA) SignOCSP(ctx context.Context, d *desk.Desk, a desk.Access, o Responder, serials []string, now time.Time) (answers []Answer, err error) {
	for _, serial := range serials {
		if _, err := c.entry(ctx, serial); err != nil {
			return nil, err
		}
	}
	answers, err = c.signOCSP(ctx, d, a, o, serials, now)
	if err != nil || o.Former == nil {
		return answers, err
	}
	if o.Key == "" {
		d, a = o.Former.Desk, IssuersAccess(o.Former.Access)
	}
	return answers, c.eachFormer(ctx, now, func(c *CA) error {
		more, err := c.signOCSP(ctx, d, a, o, serials, now)
		answers = append(answers, more...)
		return err
	})
}

// signOCSP is SignOCSP about what one key of the CA issued.
func (c *CA) signOCSP(ctx context.Context, d *desk.Desk, a desk.Access, o Responder, serials []string, now time.Time) (answers []Answer, err error) {
	about, err := c.issuedByKey(ctx, serials, now)
	if err != nil {
		return nil, err
	}
	answers = []Answer{}
	if len(about) == 0 && len(serials) > 0 {
		return answers, nil
	}
	err = c.respond(ctx, d, a, o, now, func(ctx context.Context, r *responder) error {
		for _, e := range about {
			if err := ctx.Err(); err != nil {
				return err
			}
			answer, err := r.answer(e, crypto.SHA1, now)
			if err != nil {
				return err
			}
			answers = append(answers, answer)
		}
		return nil
	})
	return answers, err
}

// issuedByKey are the certificates with these serial numbers that the key issued, or all
// that have not expired.
func (c *CA) issuedByKey(ctx context.Context, serials []string, now time.Time) (list []*entry, err error) {
	if len(serials) == 0 {
		return c.unexpired(ctx, now)
	}
	for _, serial := range serials {
		err := c.db.Rows(ctx, func(scan func(...any) error) error {
			e := &entry{}
			list = append(list, e)
			return scan(e.places()...)
		}, "SELECT "+columns+" FROM certificates WHERE authority = ? AND serial = ?", c.id, serial)
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (c *CA) unexpired(ctx context.Context, now time.Time) (list []*entry, err error) {
	err = c.db.Rows(ctx, func(scan func(...any) error) error {
		e := &entry{}
		list = append(list, e)
		return scan(e.places()...)
	}, "SELECT "+columns+" FROM certificates WHERE authority = ? AND not_after >= ? ORDER BY issued, rowid", c.id, now.Unix())
	return list, err
}

// answer signs an answer about a certificate, which is named with a digest.
func (r *responder) answer(e *entry, digest crypto.Hash, now time.Time) (Answer, error) {
	serial, ok := new(big.Int).SetString(e.Serial, 16)
	if !ok {
		return Answer{}, problem.New(problem.Mismatch, "the database has a wrong serial number: %q", e.Serial)
	}
	template := ocsp.Response{SerialNumber: serial, Status: ocsp.Good, IssuerHash: digest}
	state := e.state(now)
	if state == Revoked || state == Held {
		template.Status, template.RevokedAt, template.RevocationReason = ocsp.Revoked, time.Unix(e.revoked.Int64, 0), int(e.reason.Int64)
	}
	answer := Answer{Serial: e.Serial, State: state}
	var err error
	if answer.DER, answer.NextUpdate, err = r.sign(template, now); err != nil {
		return answer, err
	}
	request, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: serial}, r.issuer, &ocsp.RequestOptions{Hash: crypto.SHA1})
	// A web server takes two slashes for one, so the name has no more either.
	answer.Name = path.Clean(base64.StdEncoding.EncodeToString(request))
	return answer, err
}

// sign signs an answer that holds from now on, and not longer than who signs it.
func (r *responder) sign(template ocsp.Response, now time.Time) (der []byte, nextUpdate time.Time, err error) {
	template.ThisUpdate = now.UTC().Truncate(time.Second)
	template.NextUpdate = template.ThisUpdate.AddDate(0, 0, r.days)
	if template.NextUpdate.After(r.certificate.NotAfter) {
		template.NextUpdate = r.certificate.NotAfter
	}
	if r.certificate != r.issuer {
		template.Certificate = r.certificate
	}
	der, err = ocsp.CreateResponse(r.issuer, r.certificate, template, r.signer)
	if err != nil {
		return nil, time.Time{}, err
	}
	return der, template.NextUpdate, nil
}
