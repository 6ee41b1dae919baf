package ca

import (
	"cmp"
	"context"
	"crypto"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// Issued is a certificate that was issued.
type Issued struct {
	Serial   string    `json:"serialNumber"`
	Subject  string    `json:"subject"`
	NotAfter time.Time `json:"notAfter"`
	Profile  string    `json:"profile"`
	// Shortened says that it ends with the CA, before the days that were asked for.
	Shortened bool `json:"shortened,omitempty"`
	// Dropped is what the request asked for, and the profile does not let through.
	Dropped []string `json:"dropped,omitempty"`

	DER []byte `json:"-"`
}

// Issue issues a certificate, and stores it before it is returned. Nothing is signed
// before all is known that can be wrong, and a certificate that cannot be stored is given
// to nobody.
func (c *CA) Issue(ctx context.Context, d *desk.Desk, a desk.Access, o Order, now time.Time) (issued Issued, err error) {
	err = c.IssueEach(ctx, d, a, []Order{o}, now, func(one Issued) error {
		issued = one
		return nil
	})
	return issued, err
}

// IssueEach is Issue for several orders in one session of the key: all of them are checked
// before the first signature. each is told of every certificate once it is stored; an error
// of it ends the work.
func (c *CA) IssueEach(ctx context.Context, d *desk.Desk, a desk.Access, orders []Order, now time.Time, each func(Issued) error) error {
	drafts := make([]draft, len(orders))
	before := map[string]bool{} // subjects of this session
	for i := range orders {
		var err error
		if drafts[i], err = c.draft(ctx, a, &orders[i], before, now); err != nil {
			return orders[i].named(err)
		}
	}
	if len(orders) > 1 { // the PIN may be verified for each signature
		again, wipe := secret.Again(a.Ask)
		defer wipe()
		a.Ask = again
	}
	return c.sign(ctx, d, a, func(ctx context.Context, signer crypto.Signer) error {
		for i := range drafts {
			issued, err := c.finish(ctx, signer, &drafts[i], now)
			if err == nil {
				err = each(issued)
			}
			if err != nil {
				return orders[i].named(err)
			}
		}
		return nil
	})
}

// draft is an order that was checked.
type draft struct {
	subject  subject
	template csr.Certificate
	profile  string
	// asked says that it may be the second certificate for its subject.
	asked bool
}

// draft checks an order. The subjects before are those of the same session.
func (c *CA) draft(ctx context.Context, a desk.Access, o *Order, before map[string]bool, now time.Time) (d draft, err error) {
	if o.Again != nil {
		if err := c.again(ctx, o, now); err != nil {
			return d, err
		}
	}
	if d.subject, d.template, err = c.template(o, now); err != nil {
		return d, err
	}
	d.profile = o.Profile.Name
	name := comparable(d.subject.text)
	d.asked, err = c.acceptable(ctx, a, d.subject, o.Again != nil, before[name], now)
	before[name] = name != ""
	return d, err
}

// finish signs and stores a certificate.
func (c *CA) finish(ctx context.Context, signer crypto.Signer, d *draft, now time.Time) (issued Issued, err error) {
	if issued.DER, err = d.template.Sign(ctx, signer, csr.Signature{PSS: c.pss}); err != nil {
		return issued, err
	}
	made, err := cert.Parse(issued.DER)
	if err != nil {
		return issued, err
	}
	issued.Serial, issued.Subject, issued.NotAfter = made.Serial(), made.Subject.String(), made.NotAfter
	issued.Profile, issued.Dropped = d.profile, d.subject.dropped
	issued.Shortened = made.NotAfter.Equal(c.certificate.NotAfter)
	err = c.db.Change(ctx, func(tx *sql.Tx) error {
		taken, err := c.taken(ctx, tx, d.subject.text, now)
		if err == nil && taken != "" && !d.asked { // the question would have been asked
			err = problem.New(problem.Refused, "another command issued a certificate for this subject meanwhile").Advise(advice.Repeat())
		}
		if err != nil {
			return err
		}
		return c.record(ctx, tx, made, issued.Profile, now)
	})
	if problem.Is(err, problem.Refused) {
		return Issued{}, err
	}
	if err != nil {
		return Issued{}, problem.Wrap(problem.Failed, err, "the certificate was signed, and could not be stored, so it is not issued")
	}
	return issued, nil
}

// template is the certificate that an order comes to.
func (c *CA) template(o *Order, now time.Time) (s subject, template csr.Certificate, err error) {
	if err := c.valid(now); err != nil {
		return s, template, err
	}
	if err := o.Check(); err != nil {
		return s, template, err
	}
	if s, err = o.subject(); err != nil {
		return s, template, err
	}
	if err := c.another(&s); err != nil {
		return s, template, err
	}
	if o.isCA() && c.certificate.BasicConstraintsValid && c.certificate.MaxPathLen == 0 {
		return s, template, problem.New(problem.NotSupported, "this CA cannot certify another one").
			Because("Its own certificate says that no CA is below it: pathLength is 0.").Advise(c.look())
	}
	template = csr.Certificate{Issuer: c.certificate.RawSubject, Subject: s.name, PublicKey: s.public}
	if template.NotBefore, template.NotAfter, err = csr.Validity(now, cmp.Or(o.Days, o.Profile.Days)); err != nil {
		return s, template, err
	}
	if template.NotAfter.After(c.certificate.NotAfter) {
		template.NotAfter = c.certificate.NotAfter
	}
	template.Extensions, err = c.extensions(o, &s)
	return s, template, err
}

// another refuses the name and the key of the CA itself: who has its name can sign what
// passes for its CRL.
func (c *CA) another(s *subject) error {
	switch {
	case comparable(s.text) == comparable(c.certificate.Subject.String()):
		return problem.New(problem.Mismatch, "the subject is that of the CA").
			Because("A certificate with it would pass for that of the CA.").Advise(advice.Repeat(advice.Set(advice.Subject, "CN=Floppy Head")))
	case pubkey.Same(s.key, c.certificate.PublicKey):
		return problem.New(problem.Mismatch, "the key is that of the CA").
			Because("It signs certificates, and nothing else.").Advise(advice.Do(advice.GenerateKey, advice.Fill(advice.Key)))
	}
	return nil
}

// Check refuses what the profile and the options do not allow together.
func (o *Order) Check() error {
	switch named := len(o.Names.UPNs) > 0; {
	case o.Again != nil:
		return nil // it was checked then
	case o.Profile.UPN && !named:
		return problem.New(problem.Usage, "the profile %s needs a user principal name", o.Profile.Name).
			Because("Windows finds the account by it, and it never comes from a request.").
			Advise(advice.Repeat(advice.Set(advice.UPN, "user@example.com")))
	case !o.Profile.UPN && (named || o.SID != ""):
		return problem.New(problem.Usage, "the profile %s has no user principal name, and no security identifier", o.Profile.Name).
			Advise(advice.Repeat(advice.Set(advice.Profile, "smartcard-logon")))
	case o.Profile.UPN && o.isCA():
		return problem.New(problem.Usage, "a CA has no user principal name").Advise(advice.Repeat().Without(advice.IsCA))
	}
	return nil
}

// acceptable refuses a key that was revoked as compromised, and asks before a name gets a
// second certificate, unless that is what is wanted. before says that an order of the same
// session has the name.
func (c *CA) acceptable(ctx context.Context, a desk.Access, s subject, again, before bool, now time.Time) (asked bool, err error) {
	var compromised string
	err = c.db.Rows(ctx, func(scan func(...any) error) error { return scan(&compromised) },
		"SELECT serial FROM certificates WHERE public_key = ? AND reason IN (?, ?, ?) LIMIT 1",
		pubkey.Fingerprint(s.key), keyCompromise, caCompromise, aaCompromise)
	if err != nil {
		return false, err
	}
	if compromised != "" {
		return false, problem.New(problem.Mismatch, "the key was revoked as compromised").
			Because("It is that of the certificate %s.", compromised).Advise(advice.Do(advice.GenerateKey, advice.Fill(advice.Key)))
	}
	if again {
		return true, nil
	}
	taken, err := c.taken(ctx, c.db, s.text, now)
	if err != nil || taken == "" && !before || a.Confirm == nil {
		return before, err
	}
	lost := fmt.Sprintf("The certificate %s has this subject, and stays valid.", taken)
	if taken == "" {
		lost = "Another one of these requests has this subject, too."
	}
	return true, a.Confirm.Ask(ctx, advice.Question{Deed: "Issue", Subject: "another certificate for " + s.text, Lost: lost})
}

// taken is the serial number of a valid certificate with a subject, empty for none.
func (c *CA) taken(ctx context.Context, in interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, subject string, now time.Time) (serial string, err error) {
	if subject == "" {
		return "", nil
	}
	err = in.QueryRowContext(ctx, "SELECT serial FROM certificates WHERE name = ? AND revoked IS NULL AND not_after > ? LIMIT 1",
		comparable(subject), now.Unix()).Scan(&serial)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return serial, err
}

// comparable is a subject as names are compared (RFC 5280, 7.1).
func comparable(subject string) string {
	return strings.ToLower(strings.Join(strings.Fields(subject), " "))
}

// record stores a certificate. A serial number that is there already fails.
func (c *CA) record(ctx context.Context, tx *sql.Tx, made *cert.Certificate, profile string, now time.Time) error {
	return c.insert(ctx, tx, rowOf(made, profile, now))
}

// row is a certificate as the database has it.
type row struct {
	serial, subject, profile string
	der                      []byte // empty where it is not known
	publicKey                string
	notAfter, issued         int64
	revoked, reason          sql.NullInt64
}

func rowOf(made *cert.Certificate, profile string, issued time.Time) row {
	return row{
		serial: made.Serial(), subject: made.Subject.String(), profile: profile, der: made.Raw,
		publicKey: pubkey.Fingerprint(made.PublicKey), notAfter: made.NotAfter.Unix(), issued: issued.Unix(),
	}
}

func (c *CA) insert(ctx context.Context, tx *sql.Tx, r row) error {
	_, err := tx.ExecContext(ctx,
		"INSERT INTO certificates (serial, authority, der, subject, name, public_key, not_after, issued, profile, revoked, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		r.serial, c.id, append([]byte{}, r.der...), r.subject, comparable(r.subject), r.publicKey, r.notAfter, r.issued, r.profile, r.revoked, r.reason)
	return err
}

// ParseSerial is a serial number as it is stored: upper-case hex in whole bytes. Colons,
// blanks, 0x, zeros and OpenSSL's serial= in front do no harm.
func ParseSerial(text string) (string, error) {
	digits := strings.NewReplacer(":", "", " ", "", "SERIAL=", "").Replace(strings.ToUpper(text))
	digits = strings.TrimLeft(strings.TrimPrefix(digits, "0X"), "0")
	if len(digits)%2 != 0 {
		digits = "0" + digits
	}
	if _, err := hex.DecodeString(digits); err != nil || digits == "" {
		return "", problem.New(problem.Usage, "not a serial number: %q", text).
			Because("A serial number is in hexadecimal.").Advise(advice.Do(advice.ListIssued).On("DIR"))
	}
	return digits, nil
}
