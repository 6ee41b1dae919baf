package ca

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
)

// State is what a certificate is now.
type State string

// The states. A revoked certificate stays revoked when it has expired.
const (
	Valid   State = "valid"
	Revoked State = "revoked"
	Held    State = "held"
	Expired State = "expired"
)

// States are all of them.
func States() []State { return []State{Valid, Revoked, Held, Expired} }

// Entry is a certificate that the CA issued.
type Entry struct {
	Serial   string    `json:"serialNumber"`
	Subject  string    `json:"subject"`
	NotAfter time.Time `json:"notAfter"`
	State    State     `json:"state"`
	// Reason is the name in RFC 5280, 5.3.1; Revoked when that was.
	Reason  string     `json:"reason,omitempty"`
	Revoked *time.Time `json:"revoked,omitempty"`
	Profile string     `json:"profile"`
}

// entry is a row.
type entry struct {
	Serial, Subject, Profile string
	der                      []byte
	notAfter                 int64
	revoked, reason          sql.NullInt64
}

const columns = "serial, subject, profile, not_after, revoked, reason"

func (e *entry) places() []any {
	return []any{&e.Serial, &e.Subject, &e.Profile, &e.notAfter, &e.revoked, &e.reason}
}

func (e *entry) state(now time.Time) State {
	switch {
	case e.revoked.Valid && e.reason.Int64 == certificateHold:
		return Held
	case e.revoked.Valid:
		return Revoked
	case e.notAfter < now.Unix():
		return Expired
	}
	return Valid
}

func (e *entry) reasonName() string {
	if !e.revoked.Valid || e.reason.Int64 < 0 || int(e.reason.Int64) >= len(reasons()) {
		return ""
	}
	return reasons()[e.reason.Int64]
}

func (e *entry) told(now time.Time) Entry {
	told := Entry{
		Serial: e.Serial, Subject: e.Subject, NotAfter: time.Unix(e.notAfter, 0).UTC(), State: e.state(now), Reason: e.reasonName(), Profile: e.Profile,
	}
	if e.revoked.Valid {
		at := time.Unix(e.revoked.Int64, 0).UTC()
		told.Revoked = &at
	}
	return told
}

// List are all certificates, in the order in which they were issued. Expiring are those
// alone that are valid and end within that time; 0 for all.
func (c *CA) List(ctx context.Context, expiring time.Duration, now time.Time) ([]Entry, error) {
	list := []Entry{}
	err := c.db.Rows(ctx, func(scan func(...any) error) error {
		var e entry
		if err := scan(e.places()...); err != nil {
			return err
		}
		told := e.told(now)
		if expiring == 0 || told.State == Valid && told.NotAfter.Before(now.Add(expiring)) {
			list = append(list, told)
		}
		return nil
	}, "SELECT "+columns+" FROM certificates ORDER BY issued, rowid")
	return list, err
}

// entry is the certificate with a serial number.
func (c *CA) entry(ctx context.Context, serial string) (*entry, error) {
	var e *entry
	err := c.db.Rows(ctx, func(scan func(...any) error) error {
		e = &entry{}
		return scan(append(e.places(), &e.der)...)
	}, "SELECT "+columns+", der FROM certificates WHERE serial = ?", serial)
	if err == nil && e == nil {
		err = problem.New(problem.NotFound, "the CA did not issue a certificate %s", serial).Advise(advice.Do(advice.ListIssued).On(c.dir))
	}
	return e, err
}

// Issued is the serial number of a certificate, which the CA has to have issued: that of
// another CA may have the same number.
func (c *CA) Issued(ctx context.Context, certificate *cert.Certificate) (serial string, err error) {
	e, err := c.entry(ctx, certificate.Serial())
	if err == nil && len(e.der) == 0 { // of a line of index.txt without its certificate
		return e.Serial, c.hasIssued(certificate)
	}
	if err == nil && !bytes.Equal(e.der, certificate.Raw) {
		err = problem.New(problem.Mismatch, "the certificate is not of this CA").
			Because("The CA issued another one with the same serial number, %s.", e.Serial).Advise(c.look())
	}
	return certificate.Serial(), err
}

// Certificate is one that the CA issued, in DER, and what became of it.
func (c *CA) Certificate(ctx context.Context, serial string, now time.Time) (Entry, []byte, error) {
	e, err := c.entry(ctx, serial)
	if err != nil {
		return Entry{}, nil, err
	}
	return e.told(now), e.der, nil
}

// Summary is the CA, and how many certificates it issued.
type Summary struct {
	Report
	// Certificates are how many there are in each state.
	Certificates map[State]int `json:"certificates"`
	// CRL is the last one, nil for none.
	CRL *CRLEntry `json:"crl"`
}

// CRLEntry is a CRL that was signed.
type CRLEntry struct {
	Number     int64     `json:"number"`
	ThisUpdate time.Time `json:"thisUpdate"`
	NextUpdate time.Time `json:"nextUpdate"`
}

// Summary counts.
func (c *CA) Summary(ctx context.Context, now time.Time) (Summary, error) {
	s := Summary{Report: c.report(), Certificates: map[State]int{Valid: 0, Revoked: 0, Held: 0, Expired: 0}}
	list, err := c.List(ctx, 0, now)
	for _, e := range list {
		s.Certificates[e.State]++
	}
	if err == nil {
		s.CRL, err = c.lastCRL(ctx, anyAuthority)
	}
	return s, err
}

// Backup writes the database to a new file: everything but the certificate of the CA and
// its key.
func (c *CA) Backup(ctx context.Context, path string) error { return c.db.Backup(ctx, path) }

// Known is what is known of a CA without its key.
type Known struct {
	Certificate *cert.Certificate
	// OnCard says that the key is on a card, and not in a file.
	OnCard bool
	// Cards are those with its keys, former ones too.
	Cards []OnCard
}

// OnCard is a key of a CA on a card.
type OnCard struct {
	// Serial is that of the card; empty where it has none for good.
	Serial      string
	Certificate *cert.Certificate
}

// About opens the CA of a directory to look at it.
func About(ctx context.Context, dir string) (Known, error) {
	c, err := Open(ctx, dir)
	if err != nil {
		return Known{}, err
	}
	known := Known{Certificate: c.certificate, OnCard: c.reference != ""}
	err = c.db.Rows(ctx, func(scan func(...any) error) error {
		var a authority
		err := a.read(scan)
		if err == nil && a.reference != "" {
			known.Cards = append(known.Cards, OnCard{a.holder, a.certificate})
		}
		return err
	}, "SELECT "+authorityColumns+" FROM authorities")
	return known, errors.Join(err, c.Close())
}
