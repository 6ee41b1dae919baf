package ca

import (
	"bytes"
	"context"
	"crypto"
	"database/sql"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/packaging"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// Imported is what was taken over.
type Imported struct {
	Report
	// Taken are certificates, Known those that were there already.
	Taken int `json:"taken"`
	Known int `json:"known"`
	// WithoutCertificate are lines whose certificate is not in the directory.
	WithoutCertificate []string `json:"withoutCertificate,omitempty"`
	// KeyStays is the file with the key, if it was not taken.
	KeyStays string `json:"keyStays,omitempty"`
}

// layout are the places of one kind of directory, of which the first that exist count.
type layout struct{ certificate, key, issued []string }

// places are those of openssl ca, and of easy-rsa 2 and 3.
func places() layout {
	return layout{
		certificate: []string{"ca.crt", "cacert.pem", "ca.pem", "keys/ca.crt", "pki/ca.crt", "demoCA/cacert.pem"},
		key:         []string{"private/ca.key", "private/cakey.pem", "ca.key"},
		issued:      []string{"certs_by_serial", "newcerts", "revoked/certs_by_serial", "renewed/certs_by_serial", "."},
	}
}

// longest files of a directory, in bytes.
const (
	longestIndex       = 256 << 20
	longestNumber      = 1 << 10
	longestCertificate = 1 << 20
)

// TakeOver makes a CA in a new directory out of one of openssl ca or easy-rsa: its
// certificate, its database and its numbers. The key is taken if a password for the new
// file is given; otherwise it stays where it is.
func TakeOver(ctx context.Context, ask secret.Asker, dir, from string) (imported Imported, err error) {
	root, der, err := foundCA(ctx, from)
	if err != nil {
		return imported, err
	}
	made, err := newDirectory(dir)
	if err != nil {
		return imported, err
	}
	c := &CA{dir: dir}
	if c.certificate, err = cert.Parse(der); err != nil {
		err = problem.Wrap(problem.Mismatch, err, "the certificate of the CA cannot be read")
	}
	if err == nil {
		imported.KeyStays, err = c.takeKey(ctx, ask, root, made)
	}
	if err == nil {
		err = c.found(ctx, made, func(tx *sql.Tx) error { return c.takeLines(ctx, tx, root, &imported) })
	}
	if err != nil {
		return Imported{}, errors.Join(err, made.removed())
	}
	imported.Report = c.report()
	return imported, c.Close()
}

// foundCA is the directory with the certificate of the CA, and that.
func foundCA(ctx context.Context, from string) (root string, der []byte, err error) {
	for _, name := range places().certificate {
		path := filepath.Join(from, name)
		data, err := ifThere(ctx, path, longestCertificate)
		if err != nil {
			return "", nil, err
		}
		if data == nil {
			continue
		}
		for _, block := range packaging.Open(data).Blocks {
			if block.Label == "CERTIFICATE" || block.Label == "" {
				return filepath.Dir(path), bytes.Clone(block.Bytes), nil
			}
		}
	}
	return "", nil, problem.New(problem.NotFound, "%s is no directory of openssl ca or easy-rsa", from).
		Because("It has no certificate of a CA: %s.", strings.Join(places().certificate, ", ")).Advise(advice.Run("ls", from))
}

// ifThere reads a file; nil for one that does not exist.
func ifThere(ctx context.Context, path string, limit int64) ([]byte, error) {
	data, err := input.File(ctx, path, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, problem.Wrap(problem.Failed, err, "cannot read "+path)
	}
	return data, nil
}

// takeKey encrypts the key that is there, if a password is given. It returns the file of a
// key that stays.
func (c *CA) takeKey(ctx context.Context, ask secret.Asker, root string, made *directory) (stays string, err error) {
	for _, name := range places().key {
		path := filepath.Join(root, filepath.FromSlash(name))
		data, err := ifThere(ctx, path, keygen.MaxFile)
		if err != nil {
			return "", err
		}
		if data == nil {
			continue
		}
		defer secret.Wipe(data)
		password, err := ask(ctx, secret.Request{Name: secret.Password, Label: "password of the CA's key", New: true, Optional: true})
		if password == nil || err != nil {
			return path, err
		}
		defer password.Wipe()
		same := func(context.Context, secret.Request) (*secret.Bytes, error) { return password.Clone(), nil }
		private, _, err := keygen.ParsePrivateKey(ctx, data, "", same)
		if err != nil {
			return "", problem.Wrap(problem.Failed, err, path)
		}
		signer, ok := private.(crypto.Signer)
		if !ok || !pubkey.Same(signer.Public(), c.certificate.PublicKey) {
			return "", notItsKey()
		}
		made.wrote(keyFile)
		return "", writeKey(ctx, filepath.Join(c.dir, keyFile), private, password)
	}
	return "", nil
}

// takeLines takes index.txt and the number of the next CRL.
func (c *CA) takeLines(ctx context.Context, tx *sql.Tx, root string, imported *Imported) error {
	path := filepath.Join(root, "index.txt")
	text, err := input.File(ctx, path, longestIndex)
	if err != nil {
		return problem.Wrap(problem.NotFound, err, "cannot read "+path).Advise(advice.Run("ls", root))
	}
	lines, err := parseIndex(string(text))
	if err != nil {
		return problem.Wrap(problem.Mismatch, err, path+" cannot be read").Advise(advice.Run("cat", path))
	}
	number, err := crlNumber(ctx, root)
	if err != nil {
		return err
	}
	for _, line := range lines {
		made, err := c.issuedFile(ctx, root, line)
		if err != nil {
			return err
		}
		if made == nil {
			imported.WithoutCertificate = append(imported.WithoutCertificate, line.serial)
		}
		r, err := line.row(made)
		if err != nil {
			return problem.Wrap(problem.Mismatch, err, "the line of "+line.serial+" in "+path)
		}
		if err := c.insert(ctx, tx, r); err != nil {
			return problem.Wrap(problem.Mismatch, err, "the line of "+line.serial+" in "+path)
		}
		imported.Taken++
	}
	if number < 1 {
		return nil
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO crls (number, authority, this_update, next_update) VALUES (?, ?, 0, 0)", number, c.id)
	return err
}

// crlNumber is the number of the last CRL: one less than that in the file; 0 for none.
func crlNumber(ctx context.Context, root string) (int64, error) {
	path := filepath.Join(root, "crlnumber")
	text, err := input.File(ctx, path, longestNumber)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	next, ok := new(big.Int).SetString(strings.TrimSpace(string(text)), 16)
	if err != nil || !ok || !next.IsInt64() || next.Sign() < 0 {
		return 0, problem.New(problem.Mismatch, "%s has no number of a CRL", path).
			Because("It is hexadecimal, and of at most 63 bits.").Advise(advice.Run("cat", path))
	}
	return next.Int64() - 1, nil
}

// issuedFile is the certificate of a line, nil if its file does not exist.
func (c *CA) issuedFile(ctx context.Context, root string, line indexed) (*cert.Certificate, error) {
	names := []string{line.serial + ".pem", line.serial + ".crt", strings.ToLower(line.serial) + ".pem"}
	for _, folder := range places().issued {
		for _, name := range names {
			path := filepath.Join(root, filepath.FromSlash(folder), name)
			data, err := ifThere(ctx, path, longestCertificate)
			if err != nil {
				return nil, err
			}
			if data == nil {
				continue
			}
			for _, block := range packaging.Open(data).Blocks {
				if made, err := cert.Parse(bytes.Clone(block.Bytes)); err == nil {
					return made, c.hasIssued(made)
				}
			}
			return nil, problem.New(problem.Mismatch, "%s has no certificate", path).Advise(advice.Run("cat", path))
		}
	}
	return nil, nil
}

// hasIssued refuses a certificate of another CA.
func (c *CA) hasIssued(made *cert.Certificate) error {
	if !made.Issuer.Matches(c.certificate.Subject) || chain.CheckSignature(made, c.certificate) != nil {
		return problem.New(problem.Mismatch, "the certificate %s is not of this CA", made.Serial()).
			Because("Its issuer is %s, or its signature does not verify.", made.Issuer).Advise(advice.Do(advice.ShowCA).On(c.dir))
	}
	return nil
}

// Add takes certificates that the CA issued and its database does not have: since a backup.
func (c *CA) Add(ctx context.Context, certificates []*cert.Certificate) (imported Imported, err error) {
	for _, made := range certificates {
		if err := c.hasIssued(made); err != nil {
			return imported, err
		}
	}
	imported.Report = c.report()
	return imported, c.db.Change(ctx, func(tx *sql.Tx) error {
		for _, made := range certificates {
			var der []byte
			err := tx.QueryRowContext(ctx, "SELECT der FROM certificates WHERE serial = ?", made.Serial()).Scan(&der)
			switch {
			case errors.Is(err, sql.ErrNoRows):
				err = c.insert(ctx, tx, rowOf(made, "imported", made.NotBefore))
				imported.Taken++
			case err == nil && len(der) == 0:
				_, err = tx.ExecContext(ctx, "UPDATE certificates SET der = ?, public_key = ? WHERE serial = ?", made.Raw, pubkey.Fingerprint(made.PublicKey), made.Serial())
				imported.Taken++
			case err == nil && bytes.Equal(der, made.Raw):
				imported.Known++
			case err == nil:
				err = problem.New(problem.Mismatch, "the CA has another certificate %s", made.Serial()).Advise(advice.Do(advice.ShowCA).On(c.dir))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// IsDirectory reports whether a path names a directory, which can be taken over.
func IsDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
