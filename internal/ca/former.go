package ca

import (
	"bytes"
	"context"
	"path/filepath"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// The files with the certificates of a CA that others took the place of, and with those
// that its keys signed for each other, the last first.
const (
	formerFile     = "former.pem"
	newWithOldFile = "new-with-old.pem"
	oldWithNewFile = "old-with-new.pem"
)

// publish writes the files that are for everybody, that with the certificate of the CA last:
// while it is the former one, they are written again.
func (c *CA) publish(ctx context.Context) error {
	texts := map[string][]byte{}
	err := c.db.Rows(ctx, func(scan func(...any) error) error {
		var file string
		var der []byte
		if err := scan(&file, &der); err != nil {
			return err
		}
		texts[file] = append(texts[file], csr.PEMCertificate(der)...)
		return nil
	}, "SELECT file, der FROM former ORDER BY rowid DESC")
	if err != nil {
		return err
	}
	texts[CertificateFile] = csr.PEMCertificate(c.certificate.Raw)
	for _, name := range []string{formerFile, newWithOldFile, oldWithNewFile, CertificateFile} {
		if len(texts[name]) == 0 {
			continue
		}
		path := filepath.Join(c.dir, name)
		if err := output.WriteFile(path, texts[name], 0o644); err != nil {
			return problem.Wrap(problem.Failed, err, "cannot write "+path)
		}
	}
	return nil
}

// astray is how many certificates that are valid name their issuer by what the next
// certificate has not: OpenSSL does not verify them with it.
func (c *CA) astray(ctx context.Context, next *cert.Certificate, now time.Time) (count int, err error) {
	err = c.db.Rows(ctx, func(scan func(...any) error) error {
		var der []byte
		if err := scan(&der); err != nil || len(der) == 0 {
			return err
		}
		made, err := cert.Parse(der)
		if err != nil {
			return nil // others do not verify it either
		}
		id, serial := made.AuthorityKeyId, made.AuthoritySerial
		if id != nil && next.SubjectKeyId != nil && !bytes.Equal(id, next.SubjectKeyId) || serial != "" && serial != next.Serial() {
			count++
		}
		return nil
	}, "SELECT der FROM certificates WHERE authority = ? AND revoked IS NULL AND not_after >= ?", c.id, now.Unix())
	return count, err
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
