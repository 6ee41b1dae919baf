package provision

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/enroll"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// surveyCertificate finds out whether the certificate of a key is missing, ends soon, or is
// another one than the plan says.
func (w *work) surveyCertificate(ctx context.Context, p *place) error {
	c := p.Certificate
	if c == nil {
		return nil
	}
	name := "certificate " + p.Ref
	issue := step{name: name, result: Would, detail: c.Subject, takes: issueTime, do: func(ctx context.Context) (string, error) { return w.certify(ctx, p, nil) }}
	if p.makes {
		w.add(issue)
		return nil
	}
	k, err := p.key(ctx)
	if err != nil {
		return err
	}
	der, err := k.Certificate(ctx)
	if err != nil {
		return err
	}
	if len(der) == 0 {
		w.add(issue)
		return nil
	}
	public, err := k.Public(ctx)
	if err != nil {
		return err
	}
	there, err := cert.ParseStored(der)
	if err != nil || !pubkey.Same(there.PublicKey, public) {
		return w.wrong(name, "the certificate in "+p.Ref+" is not for this key", "Another certificate would be lost.")
	}
	if err := w.sameNames(c, name, there); err != nil {
		return err
	}
	if w.run.ledgerNow().Add(max(c.RenewBefore, 0)).After(there.NotAfter) {
		return w.renewal(ctx, p, k, name, there)
	}
	if w.unrecorded(k, der) {
		w.add(step{name: name, result: Would, detail: "write it into the ledger", do: func(ctx context.Context) (string, error) {
			return until(there.NotAfter), w.record(ctx, k.Reference().String(), der, w.plan.Issuers[c.Issuer].URL)
		}})
		return nil
	}
	w.already(name, until(there.NotAfter))
	return nil
}

// unrecorded reports whether the ledger lacks a certificate of a card that it has.
func (w *work) unrecorded(k key.Key, der []byte) bool {
	if w.known == nil {
		return true
	}
	for _, c := range w.known.Credentials {
		if c.Ref == k.Reference().String() && bytes.Equal(c.Certificate, der) {
			return false
		}
	}
	return true
}

// sameNames refuses the certificate of somebody else.
func (w *work) sameNames(c *plan.Certificate, name string, there *cert.Certificate) error {
	if c.AcceptNames {
		return nil
	}
	wanted, err := csr.ParseName(c.Subject)
	if err != nil {
		return err
	}
	subject, err := wanted.AsRead()
	if err != nil {
		return err
	}
	if there.Subject.Matches(subject) {
		return nil
	}
	return w.wrong(name, "the certificate is for "+there.Subject.String(), "The plan says "+wanted.String()+".")
}

// surveyRenewals are the certificates that end soon, and nothing else.
func (w *work) surveyRenewals(ctx context.Context) error {
	for _, k := range w.plan.Keys {
		if k.Certificate == nil {
			continue
		}
		if err := w.surveyRenewal(ctx, &place{Key: k, w: w}); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) surveyRenewal(ctx context.Context, p *place) error {
	k, err := p.key(ctx)
	if err != nil {
		return err
	}
	if err := w.sameKey(ctx, p, k); err != nil {
		return err
	}
	der, err := k.Certificate(ctx)
	if err != nil {
		return err
	}
	name := "certificate " + p.Ref
	if len(der) == 0 {
		w.add(step{name: name, result: Skipped, detail: "there is none to renew"})
		return nil
	}
	there, err := cert.ParseStored(der)
	if err != nil {
		return w.wrong(name, "the certificate in "+p.Ref+" cannot be read", "It cannot be renewed.")
	}
	if p.Certificate.SelfSigned {
		if err := w.sameNames(p.Certificate, name, there); err != nil {
			return err
		}
	}
	within := cmp.Or(w.run.o.Expiring, p.Certificate.RenewBefore)
	if within > 0 && w.run.ledgerNow().Add(within).Before(there.NotAfter) {
		w.already(name, until(there.NotAfter))
		return nil
	}
	return w.renewal(ctx, p, k, name, there)
}

// renewal adds the renewal of a certificate, if what writes it to the card is known.
func (w *work) renewal(ctx context.Context, p *place, k key.Key, name string, there *cert.Certificate) error {
	writes := secret.ManagementKey
	if _, managed := w.card.(card.Manageable); !managed {
		opens, err := k.PIN(ctx, key.ToStore)
		if err != nil {
			return err
		}
		writes = opens.Secret
	}
	if kept := w.kept(writes); kept != nil && !w.run.readable(kept) {
		return w.needsReader(name, "the "+writes.Words()+" that writes its certificate is sealed in the ledger")
	}
	w.add(step{name: name, result: Would, detail: "renew, because it ends on " + day(there.NotAfter), takes: renewTime(p), do: func(ctx context.Context) (string, error) {
		return w.certify(ctx, p, there)
	}})
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func until(t time.Time) string { return "until " + day(t) }

// certify gets the certificate, and writes it to the card and into the ledger. It takes the
// place of there, which is nil for none.
func (w *work) certify(ctx context.Context, p *place, there *cert.Certificate) (string, error) {
	c := p.Certificate
	k, err := p.key(ctx)
	if err != nil {
		return "", err
	}
	w.purse.certificate = c
	if c.SelfSigned {
		return w.selfSign(ctx, k, c, there)
	}
	issuer := w.plan.Issuers[c.Issuer]
	w.purse.issuer = &issuer
	options, err := w.enrolment(ctx, c, &issuer)
	if err != nil {
		return "", err
	}
	if options.Renew = there != nil; options.Renew {
		options.NewKey, options.AuthKey = c.NewKey, c.AuthKey
	}
	report, err := enroll.On(ctx, w.here, k, options)
	if err != nil {
		return "", err
	}
	return until(report.Certificate.NotAfter), w.record(ctx, report.Ref, report.DER, issuer.URL)
}

// enrolment is what an issuer is asked for.
func (w *work) enrolment(ctx context.Context, c *plan.Certificate, issuer *plan.Issuer) (enroll.Options, error) {
	d := *w.run.o.Issuers
	d.Meant = w.run.issuersCard(issuer)
	o := enroll.Options{
		Issuer: issuer.URL, Names: c.Names(), SID: c.SID, Days: c.Days, AcceptNames: c.AcceptNames,
		IssuerDesk: &d, IssuerKey: issuer.Key, Sittings: w.run.sittings, Environ: w.row.Environ(),
		Identifier: certstore.RenewalOf(c.KeepCHUID || w.initialised && !c.NewCHUID, c.NewCHUID), Now: w.run.now(),
	}
	if issuer.CA == "" {
		return o, nil
	}
	var err error
	o.Roots, err = readCertificates(ctx, issuer.CA)
	return o, err
}

// selfSign has the key sign its own certificate. Nobody is asked whether it takes the place of
// there, which has its names.
func (w *work) selfSign(ctx context.Context, k key.Key, c *plan.Certificate, there *cert.Certificate) (string, error) {
	request, err := csr.Parse(c.Names())
	if err != nil {
		return "", err
	}
	signer, err := k.Signer(ctx)
	if err != nil {
		return "", err
	}
	der, err := csr.BuildSelfSigned(ctx, signer, request, c.Days, w.run.now())
	if err != nil {
		return "", err
	}
	made, err := cert.Parse(der)
	if err != nil {
		return "", err
	}
	options := certstore.Options{Now: w.run.now(), Identifier: certstore.RenewalOf(c.KeepCHUID, c.NewCHUID), Confirm: w.here.Access.Confirm}
	if there != nil {
		options.Confirmed = there.Raw
	}
	report, err := certstore.ImportOn(ctx, k, []*cert.Certificate{made}, options)
	if err != nil {
		return "", err
	}
	return until(made.NotAfter), w.record(ctx, report.Ref, der, "")
}

// record writes a certificate into the ledger.
func (w *work) record(ctx context.Context, ref string, der []byte, issuer string) error {
	made, err := cert.ParseStored(der)
	if err == nil && issuer != "" {
		issuer, err = enroll.Lasting(issuer)
	}
	if err != nil {
		return err
	}
	err = w.entry.Certified(ctx, ledger.Credential{
		Ref: ref, SPKI: pubkey.Fingerprint(made.PublicKey), Certificate: der, Issuer: issuer,
		NotAfter: made.NotAfter, Subject: made.Subject.String(), SerialNumber: made.Serial(),
	})
	if err != nil {
		return fmt.Errorf("the certificate is on the card: %w", err)
	}
	return nil
}
