// Package ca runs a small certification authority in a directory: its certificate, its
// key or the reference of a key on a card, and a database of what it issued. What a
// certificate looks like is decided by profiles; names, extensions and signatures are
// those of package csr.
package ca

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"embed"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/database"
	"github.com/cardctl/cardctl/internal/problem"
)

// The files of a CA, in its directory.
const (
	CertificateFile = "ca.pem"
	keyFile         = "ca.key"
	databaseFile    = "ca.db"
)

//go:embed migrations
var embedded embed.FS

func records() database.Kind {
	const id = 0x63634341 // "ccCA"
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the name is that of the folder above
	}
	return database.Kind{ID: id, Migrations: sub}
}

// CA is an open one. Close closes it.
type CA struct {
	authority

	dir string
	db  *database.DB
}

// authority is a certificate of a CA, and where its key is.
type authority struct {
	id          int64
	certificate *cert.Certificate
	keyAt
	Places
	pss bool
}

// keyAt is where the key of a CA is.
type keyAt struct {
	// reference is empty for the file of the directory.
	reference string
	// holder is the serial of the card.
	holder string
	// file is its name in the directory, if it is not on a card.
	file string
}

// Places are addresses that certificates name.
type Places struct {
	// CRL is where the CRL is (RFC 5280, 4.2.1.13), OCSP a responder, Issuers the
	// certificate of the CA (4.2.2.1).
	CRL, OCSP, Issuers []string
}

// Open opens the CA of a directory.
func Open(ctx context.Context, dir string) (*CA, error) { return open(ctx, dir, database.Open) }

// OpenToRead is Open to look at the CA, also in a directory that cannot be written to.
func OpenToRead(ctx context.Context, dir string) (*CA, error) {
	return open(ctx, dir, database.OpenToRead)
}

func open(ctx context.Context, dir string, with func(context.Context, string, database.Kind) (*database.DB, error)) (*CA, error) {
	db, err := with(ctx, filepath.Join(dir, databaseFile), records())
	if problem.Is(err, problem.NotFound) {
		return nil, noCA(dir, "The directory has no "+databaseFile+", or an empty one.")
	}
	if err != nil {
		return nil, err
	}
	c := &CA{dir: dir, db: db}
	if err := c.load(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return c, nil
}

// Close closes the database.
func (c *CA) Close() error { return c.db.Close() }

// load reads the authority that signs.
func (c *CA) load(ctx context.Context) error {
	err := c.read(c.db.QueryRowContext(ctx, "SELECT "+authorityColumns+" FROM authorities ORDER BY id DESC LIMIT 1").Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return noCA(c.dir, "Its database is empty.")
	}
	if err != nil {
		return problem.Wrap(problem.Failed, err, "cannot read the CA in "+c.dir)
	}
	return c.isFile(ctx)
}

const authorityColumns = "id, der, key, holder, file, pss, crl, ocsp, issuer"

// read reads a row of these columns.
func (a *authority) read(scan func(...any) error) error {
	var der []byte
	var crl, ocsp, issuer string
	err := scan(&a.id, &der, &a.reference, &a.holder, &a.file, &a.pss, &crl, &ocsp, &issuer)
	if err != nil {
		return err
	}
	a.CRL, a.OCSP, a.Issuers = split(crl), split(ocsp), split(issuer)
	a.certificate, err = cert.Parse(der)
	if err != nil {
		return problem.Wrap(problem.Mismatch, err, "the certificate of the CA cannot be read")
	}
	return nil
}

// noCA says that a directory has no CA, or one whose init was interrupted.
func noCA(dir, why string) error {
	p := problem.New(problem.NotFound, "there is no CA in %s", dir)
	if content, err := os.ReadDir(dir); err == nil && len(content) > 0 {
		return p.Because("%s An init that was interrupted leaves such a directory.", why).Advise(advice.Run("ls", "-l", dir))
	}
	return p.Because("%s", why).Advise(advice.Do(advice.CreateCA).On(dir))
}

// isFile refuses a directory whose ca.pem, which is given to everybody, is the certificate
// of another CA. One that is missing does no harm, and a renewal that was interrupted is
// finished.
func (c *CA) isFile(ctx context.Context) error {
	path := filepath.Join(c.dir, CertificateFile)
	text, err := ifThere(ctx, path, csr.MaxFile)
	if text == nil || err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block != nil && bytes.Equal(block.Bytes, c.certificate.Raw) {
		return nil
	}
	former := false
	if block != nil {
		if former, err = c.isFormer(ctx, block.Bytes); err != nil {
			return err
		}
	}
	if !former {
		return problem.New(problem.Mismatch, "%s is not the certificate of the CA", path).
			Because("The database %s has another one.", databaseFile).Advise(advice.Run("openssl", "x509", "-noout", "-subject", "-serial", "-in", path))
	}
	if c.db.ReadOnly() {
		return nil // a command that writes finishes it
	}
	return c.publish(ctx)
}

func (a *authority) store(ctx context.Context, tx *sql.Tx) error {
	result, err := tx.ExecContext(ctx, "INSERT INTO authorities (der, key, holder, file, pss, crl, ocsp, issuer) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		a.certificate.Raw, a.reference, a.holder, cmp.Or(a.file, keyFile), a.pss, joined(a.CRL), joined(a.OCSP), joined(a.Issuers))
	if err == nil {
		a.id, err = result.LastInsertId()
	}
	return err
}

func split(lines string) []string { return strings.Fields(lines) }

func joined(list []string) string { return strings.Join(list, "\n") }

// valid refuses to sign with a CA whose certificate is not valid now.
func (c *CA) valid(now time.Time) error {
	switch {
	case now.Before(c.certificate.NotBefore):
		return problem.New(problem.Mismatch, "the certificate of the CA is not valid yet").
			Because("It is valid from %s on.", c.certificate.NotBefore.UTC().Format(time.DateTime)).Advise(advice.Run("date"))
	case now.After(c.certificate.NotAfter):
		return problem.New(problem.Mismatch, "the certificate of the CA has expired").
			Because("It was valid until %s.", c.certificate.NotAfter.UTC().Format(time.DateTime)).Advise(advice.Run("date"))
	}
	return nil
}
