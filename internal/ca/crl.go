package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

// CRL is a list of revoked certificates that was signed.
type CRL struct {
	CRLEntry
	Revoked int `json:"revoked"`
	// Former are the lists that former keys of the CA signed, about what they issued.
	Former []CRL `json:"former,omitempty"`

	DER []byte `json:"-"`
}

// PEM is the CRL as text, RFC 7468, 7, with those of former keys after it.
func (l *CRL) PEM() []byte {
	text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: l.DER})
	for i := range l.Former {
		text = append(text, l.Former[i].PEM()...)
	}
	return text
}

// SignCRLs is SignCRL with the key of the CA, and with each former key whose certificates
// have not all expired; former says how those are reached, nil for not at all.
func (c *CA) SignCRLs(ctx context.Context, d *desk.Desk, a desk.Access, former *Parent, days int, now time.Time) (list CRL, err error) {
	if list, err = c.SignCRL(ctx, d, a, days, now); err != nil || former == nil {
		return list, err
	}
	return list, c.eachFormer(ctx, now, func(c *CA) error {
		one, err := c.SignCRL(ctx, former.Desk, IssuersAccess(former.Access), days, now)
		list.Former = append(list.Former, one)
		return err
	})
}

// SignCRL signs a list of what is revoked now (RFC 5280, 5), for a number of days. Its
// number is greater than that of each before it, also of those that a backup does not
// know, as long as the clock is right: it is the time, or one more than the last.
func (c *CA) SignCRL(ctx context.Context, d *desk.Desk, a desk.Access, days int, now time.Time) (list CRL, err error) {
	const longest = 3650
	if days < 1 || days > longest {
		return list, problem.New(problem.Usage, "a CRL cannot be valid for %d days", days).
			Because("It is valid for 1 to %d days.", longest).Advise(advice.Repeat(advice.Set(advice.Days, "30")))
	}
	if err := c.valid(now); err != nil {
		return list, err
	}
	issuer, err := c.crlIssuer()
	if err != nil {
		return list, err
	}
	last, err := c.lastCRL(ctx, anyAuthority)
	if err != nil {
		return list, err
	}
	list.Number, list.ThisUpdate = last.next(now), now.UTC().Truncate(time.Second)
	list.NextUpdate = list.ThisUpdate.AddDate(0, 0, days)
	template := &x509.RevocationList{Number: big.NewInt(list.Number), ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate}
	if c.pss {
		template.SignatureAlgorithm = x509.SHA256WithRSAPSS
	}
	own, err := c.lastCRL(ctx, c.id)
	if err != nil {
		return list, err
	}
	if template.RevokedCertificateEntries, err = c.revoked(ctx, own, now); err != nil {
		return list, err
	}
	list.Revoked = len(template.RevokedCertificateEntries)
	err = c.sign(ctx, d, a, func(ctx context.Context, signer crypto.Signer) error {
		list.DER, err = x509.CreateRevocationList(rand.Reader, template, issuer, signer)
		return err
	})
	if err != nil {
		return list, err
	}
	return list, c.db.Change(ctx, func(tx *sql.Tx) error {
		var greater int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM crls WHERE number >= ?", list.Number).Scan(&greater); err != nil {
			return err
		}
		if greater > 0 { // this one would take it back where it is published
			return problem.New(problem.Refused, "another command signed a CRL meanwhile").Advise(advice.Repeat())
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO crls (number, authority, this_update, next_update) VALUES (?, ?, ?, ?)",
			list.Number, c.id, list.ThisUpdate.Unix(), list.NextUpdate.Unix())
		return err
	})
}

// next is the number of the CRL after this one, which is nil for the first.
func (last *CRLEntry) next(now time.Time) int64 {
	if last != nil && last.Number >= now.Unix() {
		return last.Number + 1
	}
	return now.Unix()
}

// crlIssuer is the certificate of the CA with what crypto/x509 wants in it. One that was
// taken over may have no keyUsage, which allows everything, and no key identifier.
func (c *CA) crlIssuer() (*x509.Certificate, error) {
	read := c.certificate.Standard()
	if read == nil {
		return nil, problem.New(problem.NotSupported, "no CRL can be signed for this CA").Because("Strict software rejects its certificate.").Advise(c.look())
	}
	issuer := *read
	if _, there := c.certificate.Extension(cert.OIDKeyUsage); !there {
		issuer.KeyUsage = x509.KeyUsageCRLSign
	}
	if issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return nil, problem.New(problem.NotSupported, "this CA cannot sign a CRL").Because("Its certificate has key usages without cRLSign.").Advise(c.look())
	}
	if len(issuer.SubjectKeyId) == 0 {
		id, err := csr.KeyIdentifier(issuer.RawSubjectPublicKeyInfo)
		if err != nil {
			return nil, err
		}
		issuer.SubjectKeyId = id
	}
	return &issuer, nil
}

// revoked are the entries of a CRL. One stays until a CRL after its certificate has
// expired (RFC 5280, 3.3).
func (c *CA) revoked(ctx context.Context, last *CRLEntry, now time.Time) (list []x509.RevocationListEntry, err error) {
	from := int64(0)
	if last != nil { // a clock that was wrong then must not shorten the list now
		from = min(last.ThisUpdate.Unix(), now.Unix())
	}
	err = c.db.Rows(ctx, func(scan func(...any) error) error {
		var serial string
		var at int64
		var reason int
		if err := scan(&serial, &at, &reason); err != nil {
			return err
		}
		number, ok := new(big.Int).SetString(serial, 16)
		if !ok {
			return problem.New(problem.Mismatch, "the database has a wrong serial number: %q", serial)
		}
		list = append(list, x509.RevocationListEntry{SerialNumber: number, RevocationTime: time.Unix(min(at, now.Unix()), 0).UTC(), ReasonCode: reason})
		return nil
	}, "SELECT serial, revoked, reason FROM certificates WHERE revoked IS NOT NULL AND authority = ? AND not_after >= ? ORDER BY revoked, serial", c.id, from)
	return list, err
}

// anyAuthority is none of the authorities.
const anyAuthority = 0

// lastCRL is the one with the greatest number, of one key of the CA or of any, nil for none.
func (c *CA) lastCRL(ctx context.Context, authority int64) (last *CRLEntry, err error) {
	err = c.db.Rows(ctx, func(scan func(...any) error) error {
		var number, this, next int64
		if err := scan(&number, &this, &next); err != nil {
			return err
		}
		last = &CRLEntry{number, time.Unix(this, 0).UTC(), time.Unix(next, 0).UTC()}
		return nil
	}, "SELECT number, this_update, next_update FROM crls WHERE ? IN (authority, ?) ORDER BY number DESC LIMIT 1", authority, anyAuthority)
	return last, err
}
