package ca

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/x509/pkix"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// RenewOptions say what the next certificate of a CA is.
type RenewOptions struct {
	// Days is 0 for as long as the certificate before it.
	Days int
	// NewKey changes the key: to the one on a card that Key names, or without it to a new
	// one in a file, of Algorithm.
	NewKey         bool
	Key, Algorithm string
	// Former is how the key so far is reached, if it changes; Parent the CA that issues the
	// certificate, nil for the key of this one.
	Former, Parent *Parent
	// Certificate is one that a CA elsewhere issued for the key; nil for none.
	Certificate *cert.Certificate
}

// Renewed is what was made.
type Renewed struct {
	Report
	// Former is the serial number of the certificate before.
	Former string `json:"former"`
	// NewWithOld and OldWithNew are the files with what the keys signed for each other
	// (RFC 4210, 4.4.1), empty for the same key.
	NewWithOld string `json:"newWithOld,omitempty"`
	OldWithNew string `json:"oldWithNew,omitempty"`
}

// The files with the certificates that the keys of a CA signed for each other.
const (
	newWithOldFile = "new-with-old.pem"
	oldWithNewFile = "old-with-new.pem"
)

// Renew gives the CA another certificate with the same name, and on demand another key.
// What it issued stays valid.
func (c *CA) Renew(ctx context.Context, d *desk.Desk, a desk.Access, o RenewOptions, now time.Time) (renewed Renewed, err error) {
	if !bytes.Equal(c.certificate.RawIssuer, c.certificate.RawSubject) && o.Parent == nil && o.Certificate == nil {
		return renewed, problem.New(problem.Usage, "the certificate of this CA is from another one").
			Because("It is from %s, which has to issue the next one, too.", c.certificate.Issuer).Advise(advice.Repeat(advice.Fill(advice.Parent)))
	}
	lifetime := c.certificate.NotAfter.Sub(c.certificate.NotBefore)
	const day = 24 * time.Hour
	r := &renewal{ca: c, d: d, a: a, o: &o, now: now}
	if r.from, r.until, err = csr.Validity(now, cmp.Or(o.Days, int(lifetime/day))); err != nil {
		return renewed, err
	}
	renewed.Former = c.certificate.Serial()
	next := c.authority
	switch {
	case o.Certificate != nil:
		err = r.issuedElsewhere(&next)
	case o.NewKey:
		err = r.changeKey(ctx, &next)
	default:
		err = r.sameKey(ctx, &next)
	}
	if err == nil {
		err = r.store(ctx, &next, &renewed)
	}
	if err != nil {
		return Renewed{}, errors.Join(err, r.takeBack())
	}
	renewed.Report = c.report()
	return renewed, nil
}

// renewal is one on its way.
type renewal struct {
	ca          *CA
	d           *desk.Desk
	a           desk.Access
	o           *RenewOptions
	now         time.Time
	from, until time.Time
	// keyFile is a new file with a key; empty for none.
	keyFile string

	newWithOld, oldWithNew []byte
}

func (r *renewal) takeBack() error {
	if r.keyFile == "" {
		return nil
	}
	return os.Remove(filepath.Join(r.ca.dir, r.keyFile))
}

// sameKey has the key sign another certificate, or the parent issue it.
func (r *renewal) sameKey(ctx context.Context, next *authority) (err error) {
	if r.o.Parent != nil {
		next.certificate, err = r.byParent(ctx, r.ca.certificate.PublicKey)
		return err
	}
	return r.ca.sign(ctx, r.d, r.a, func(ctx context.Context, signer crypto.Signer) error {
		next.certificate, err = r.certificate(ctx, signer, signer.Public(), r.from, r.until)
		return err
	})
}

// byParent is a certificate with the name of this CA.
func (r *renewal) byParent(ctx context.Context, public crypto.PublicKey) (*cert.Certificate, error) {
	made, err := r.o.Parent.certify(ctx, public, &InitOptions{Subject: r.ca.certificate.Subject.String(), Days: r.o.Days}, r.now)
	if err == nil && !bytes.Equal(made.RawSubject, r.ca.certificate.RawSubject) {
		err = problem.New(problem.Mismatch, "the parent issued a certificate with another subject").
			Because("It is %s. What this CA issued names it otherwise.", made.Subject).Advise(advice.Do(advice.ListIssued).On(r.o.Parent.Directory))
	}
	return made, err
}

// changeKey has the new key sign its certificate and one for the key before, which signs one
// for the new key.
func (r *renewal) changeKey(ctx context.Context, next *authority) error {
	next.reference, next.holder = r.o.Key, ""
	old := r.ca.certificate
	var public crypto.PublicKey
	certify := func(ctx context.Context, signer crypto.Signer) (err error) {
		public = signer.Public()
		if pubkey.Same(public, old.PublicKey) {
			return problem.New(problem.Usage, "this is the key that the CA has").Advise(advice.Repeat(advice.Fill(advice.Key)))
		}
		if err := maySign(public); err != nil {
			return err
		}
		crossed, err := r.certificate(ctx, signer, old.PublicKey, old.NotBefore, old.NotAfter)
		if err != nil {
			return err
		}
		r.oldWithNew = crossed.Raw
		if r.o.Parent == nil {
			next.certificate, err = r.certificate(ctx, signer, public, r.from, r.until)
		}
		return err
	}
	if err := r.withNewKey(ctx, next, certify); err != nil {
		return err
	}
	former := *r.ca
	err := former.sign(ctx, r.o.Former.Desk, IssuersAccess(r.o.Former.Access), func(ctx context.Context, signer crypto.Signer) error {
		crossed, err := r.certificate(ctx, signer, public, r.from, old.NotAfter)
		if err == nil {
			r.newWithOld = crossed.Raw
		}
		return err
	})
	if err != nil {
		return IssuersAdvice(err, theFormer)
	}
	if r.o.Parent != nil {
		next.certificate, err = r.byParent(ctx, public)
	}
	return err
}

// withNewKey does work with the new key.
func (r *renewal) withNewKey(ctx context.Context, next *authority, work func(context.Context, crypto.Signer) error) error {
	if r.o.Key != "" {
		if r.o.Algorithm != "" {
			return problem.New(problem.Usage, "a key on a card has its algorithm already").Advise(advice.Repeat().Without(advice.Algorithm))
		}
		return withCard(ctx, r.d, r.a, r.o.Key, func(ctx context.Context, signer crypto.Signer, serial string) error {
			next.holder = serial
			return work(ctx, verified{signer})
		})
	}
	algorithm, err := key.ParseAlgorithm(cmp.Or(r.o.Algorithm, string(key.AlgorithmOf(r.ca.certificate.PublicKey))))
	if err != nil {
		return err
	}
	name := "ca-" + r.now.UTC().Format("20060102T150405Z") + ".key"
	signer, err := newFile(ctx, filepath.Join(r.ca.dir, name), algorithm, r.a.Ask)
	if err != nil {
		return err
	}
	r.keyFile, next.file = name, name
	return work(ctx, signer)
}

// certificate is one with the name of the CA for one of its keys, with what its
// certificate has so far.
func (r *renewal) certificate(ctx context.Context, signer crypto.Signer, public crypto.PublicKey, from, until time.Time) (*cert.Certificate, error) {
	subject, err := pubkey.Marshal(public)
	if err != nil {
		return nil, err
	}
	issuer, err := pubkey.Marshal(signer.Public())
	if err != nil {
		return nil, err
	}
	old := r.ca.certificate
	template := csr.Certificate{Issuer: old.RawSubject, Subject: old.RawSubject, PublicKey: subject, NotBefore: from, NotAfter: until}
	subjectKey, authorityKey, err := csr.KeyIdentifiers(subject, issuer)
	if err != nil {
		return nil, err
	}
	if pubkey.Same(public, old.PublicKey) && old.SubjectKeyId != nil { // by which what it issued finds it
		subjectKey.Value = octetString(old.SubjectKeyId)
	}
	if pubkey.Same(signer.Public(), old.PublicKey) && old.SubjectKeyId != nil {
		authorityKey.Value = keyID(old.SubjectKeyId)
	}
	for _, x := range old.Extensions {
		if !x.ID.Equal(cert.OIDSubjectKeyID) && !x.ID.Equal(cert.OIDAuthorityKeyID) {
			template.Extensions = append(template.Extensions, pkix.Extension{Id: x.ID, Critical: x.Critical, Value: x.Value})
		}
	}
	template.Extensions = append(template.Extensions, subjectKey, authorityKey)
	der, err := template.Sign(ctx, signer, csr.Signature{PSS: r.ca.pss})
	if err != nil {
		return nil, err
	}
	return cert.Parse(der)
}

// theFormer names the key before in errors.
const theFormer = "the former key of the CA"

// octetString is an OCTET STRING in DER.
func octetString(content []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1OctetString(content)
	return b.BytesOrPanic() // it is shorter than the certificate that has it
}

// store writes what the keys signed for each other, then the database, which decides, and
// then the file that is for everybody.
func (r *renewal) store(ctx context.Context, next *authority, renewed *Renewed) error {
	c := r.ca
	for _, crossed := range []struct {
		name string
		der  []byte
		told *string
	}{{newWithOldFile, r.newWithOld, &renewed.NewWithOld}, {oldWithNewFile, r.oldWithNew, &renewed.OldWithNew}} {
		if crossed.der == nil {
			continue
		}
		*crossed.told = filepath.Join(c.dir, crossed.name)
		if err := output.WriteFile(*crossed.told, csr.PEMCertificate(crossed.der), 0o644); err != nil {
			return problem.Wrap(problem.Failed, err, "cannot write "+*crossed.told)
		}
	}
	err := c.db.Change(ctx, func(tx *sql.Tx) error {
		var der []byte
		if err := tx.QueryRowContext(ctx, "SELECT der FROM authorities ORDER BY id DESC LIMIT 1").Scan(&der); err != nil {
			return err
		}
		if !bytes.Equal(der, c.certificate.Raw) {
			return problem.New(problem.Refused, "another command renewed the CA meanwhile").Advise(c.look())
		}
		for _, kept := range [][]byte{c.certificate.Raw, r.newWithOld, r.oldWithNew} {
			if kept == nil {
				continue
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO former (authority, der) VALUES (?, ?)", c.id, kept); err != nil {
				return err
			}
		}
		if r.o.NewKey {
			return next.store(ctx, tx)
		}
		_, err := tx.ExecContext(ctx, "UPDATE authorities SET der = ? WHERE id = ?", next.certificate.Raw, c.id)
		return err
	})
	if err != nil {
		return err
	}
	r.keyFile = "" // it is that of the CA now
	c.authority = *next
	return c.publish()
}

// publish writes the certificate of the CA to the file that is for everybody.
func (c *CA) publish() error {
	path := filepath.Join(c.dir, CertificateFile)
	if err := output.WriteFile(path, csr.PEMCertificate(c.certificate.Raw), 0o644); err != nil {
		return problem.Wrap(problem.Failed, err, "cannot write "+path)
	}
	return nil
}

// isFormer reports whether a certificate is one that another took the place of.
func (c *CA) isFormer(ctx context.Context, der []byte) (is bool, err error) {
	err = c.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM former WHERE der = ?)", der).Scan(&is)
	return is, err
}

// formers are the CA with each of its former keys whose certificates have not all expired,
// the last first.
func (c *CA) formers(ctx context.Context, now time.Time) (list []*CA, err error) {
	err = c.db.Rows(ctx, func(scan func(...any) error) error {
		former := &CA{dir: c.dir, db: c.db}
		if err := former.read(scan); err != nil {
			return err
		}
		list = append(list, former)
		return nil
	}, "SELECT "+authorityColumns+" FROM authorities WHERE id < ? AND EXISTS (SELECT 1 FROM certificates WHERE authority = authorities.id AND not_after >= ?) ORDER BY id DESC", c.id, now.Unix())
	return list, err
}

// eachFormer does work with the CA with each of its former keys. One whose certificate has
// expired signs nothing that anybody believes.
func (c *CA) eachFormer(ctx context.Context, now time.Time, work func(*CA) error) error {
	list, err := c.formers(ctx, now)
	if err != nil {
		return err
	}
	for _, former := range list {
		if former.valid(now) != nil {
			continue
		}
		if err := work(former); err != nil {
			return IssuersAdvice(err, theFormer)
		}
	}
	return nil
}
