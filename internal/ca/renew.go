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
	// Former is the serial number of the certificate before, FormerFile the file that has it.
	Former     string `json:"former"`
	FormerFile string `json:"formerFile"`
	// Astray is how many valid certificates name that one as their issuer.
	Astray int `json:"astray,omitempty"`
	// NewWithOld and OldWithNew are the files with what the keys signed for each other
	// (RFC 4210, 4.4.1), empty for the same key.
	NewWithOld string `json:"newWithOld,omitempty"`
	OldWithNew string `json:"oldWithNew,omitempty"`
	// UnusedKeys are files that an interrupted renewal left.
	UnusedKeys []string `json:"unusedKeys,omitempty"`
}

// Renew gives the CA another certificate with the same name, and on demand another key.
// What it issued stays valid.
func (c *CA) Renew(ctx context.Context, d *desk.Desk, a desk.Access, o RenewOptions, now time.Time) (renewed Renewed, err error) {
	if !bytes.Equal(c.certificate.RawIssuer, c.certificate.RawSubject) && o.Parent == nil && o.Certificate == nil {
		return renewed, problem.New(problem.Usage, "the certificate of this CA is from another one").
			Because("It is from %s, which has to issue the next one, too.", c.certificate.Issuer).Advise(advice.Repeat(advice.Fill(advice.Parent)))
	}
	lifetime := c.certificate.NotAfter.Sub(c.certificate.NotBefore)
	const day = 24 * time.Hour
	r := &renewal{ca: c, d: d, a: a, o: &o, now: now, days: cmp.Or(o.Days, int(lifetime/day))}
	if r.from, r.until, err = csr.Validity(now, r.days); err != nil {
		return renewed, err
	}
	renewed.Former = c.certificate.Serial()
	if renewed.UnusedKeys, err = c.unusedKeys(ctx); err != nil {
		return Renewed{}, err
	}
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
	days        int
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
	made, err := r.o.Parent.certify(ctx, public, &InitOptions{Subject: r.ca.certificate.Subject.String(), Days: r.days}, r.now)
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
	ended := r.now.After(old.NotAfter) // nobody trusts the key then
	var public crypto.PublicKey
	certify := func(ctx context.Context, signer crypto.Signer) (err error) {
		public = signer.Public()
		if pubkey.Same(public, old.PublicKey) {
			return problem.New(problem.Usage, "this is the key that the CA has").Advise(advice.Repeat(advice.Fill(advice.Key)))
		}
		if err := maySign(public); err != nil {
			return err
		}
		next.pss = next.pss && pubkey.IsRSA(public)
		if !ended {
			crossed, err := r.certificate(ctx, signer, old.PublicKey, old.NotBefore, old.NotAfter)
			if err != nil {
				return err
			}
			r.oldWithNew = crossed.Raw
		}
		if r.o.Parent == nil {
			next.certificate, err = r.certificate(ctx, signer, public, r.from, r.until)
		}
		return err
	}
	if err := r.withNewKey(ctx, next, certify); err != nil {
		return err
	}
	if !ended {
		if err := r.byFormer(ctx, public); err != nil {
			return err
		}
	}
	if r.o.Parent != nil {
		made, err := r.byParent(ctx, public)
		next.certificate = made
		return err
	}
	return nil
}

// byFormer has the key so far sign a certificate for the new one.
func (r *renewal) byFormer(ctx context.Context, public crypto.PublicKey) error {
	err := r.ca.sign(ctx, r.o.Former.Desk, IssuersAccess(r.o.Former.Access), func(ctx context.Context, signer crypto.Signer) error {
		crossed, err := r.certificate(ctx, signer, public, r.from, r.ca.certificate.NotAfter)
		if err == nil {
			r.newWithOld = crossed.Raw
		}
		return err
	})
	return IssuersAdvice(err, theFormer)
}

// withNewKey does work with the new key.
func (r *renewal) withNewKey(ctx context.Context, next *authority, work func(context.Context, crypto.Signer) error) error {
	if r.o.Key != "" {
		if r.o.Algorithm != "" {
			return problem.New(problem.Usage, "a key on a card has its algorithm already").Advise(advice.Repeat().Without(advice.Algorithm))
		}
		return withCard(ctx, r.d, r.a, r.o.Key, func(ctx context.Context, signer crypto.Signer, serial string, _ func(context.Context) error) error {
			next.holder = serial
			return work(ctx, verified{Signer: signer})
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
	der, err := template.Sign(ctx, signer, csr.Signature{PSS: r.ca.pss && pubkey.IsRSA(signer.Public())})
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

// store writes everything to the database, which decides, and then to the files that are
// for everybody.
func (r *renewal) store(ctx context.Context, next *authority, renewed *Renewed) (err error) {
	c := r.ca
	if !r.o.NewKey {
		if renewed.Astray, err = c.astray(ctx, next.certificate, r.now); err != nil {
			return err
		}
	}
	renewed.FormerFile = filepath.Join(c.dir, formerFile)
	if r.newWithOld != nil {
		renewed.NewWithOld, renewed.OldWithNew = filepath.Join(c.dir, newWithOldFile), filepath.Join(c.dir, oldWithNewFile)
	}
	err = c.db.Change(ctx, func(tx *sql.Tx) error {
		var der []byte
		if err := tx.QueryRowContext(ctx, "SELECT der FROM authorities ORDER BY id DESC LIMIT 1").Scan(&der); err != nil {
			return err
		}
		if !bytes.Equal(der, c.certificate.Raw) {
			return problem.New(problem.Refused, "another command renewed the CA meanwhile").Advise(c.look())
		}
		for file, kept := range map[string][]byte{formerFile: c.certificate.Raw, newWithOldFile: r.newWithOld, oldWithNewFile: r.oldWithNew} {
			if kept == nil {
				continue
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO former (authority, file, der) VALUES (?, ?, ?)", c.id, file, kept); err != nil {
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
	return c.publish(ctx)
}
