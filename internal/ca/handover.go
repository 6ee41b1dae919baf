package ca

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Exported is a directory that was written.
type Exported struct {
	Directory    string `json:"directory"`
	Certificates int    `json:"certificates"`
	// Changed are serial numbers whose reason openssl ca does not know.
	Changed []string `json:"changed,omitempty"`
	// Key says that the key is in it, encrypted as it is.
	Key bool `json:"key"`
}

// configurations are those of openssl ca and of easy-rsa.
//
//go:embed exported
var configurations embed.FS

// HandOver writes a new directory with which openssl ca and easy-rsa 3 go on.
func (c *CA) HandOver(ctx context.Context, to string, now time.Time) (exported Exported, err error) {
	made, err := newDirectory(to)
	if err != nil {
		return exported, err
	}
	exported.Directory = to
	if err := c.handOver(ctx, to, &exported, now); err != nil {
		if made.made {
			err = errors.Join(err, os.RemoveAll(to))
		}
		return Exported{}, problem.Wrap(problem.Failed, err, "cannot write "+to)
	}
	return exported, nil
}

func (c *CA) handOver(ctx context.Context, to string, exported *Exported, now time.Time) error {
	for _, folder := range []string{"private", "certs_by_serial", "issued", "reqs", "inline", "revoked/certs_by_serial", "revoked/private_by_serial", "revoked/reqs_by_serial"} {
		if err := os.MkdirAll(filepath.Join(to, filepath.FromSlash(folder)), 0o700); err != nil {
			return err
		}
	}
	var index strings.Builder
	err := c.db.Rows(ctx, func(scan func(...any) error) error {
		e := &entry{}
		if err := scan(append(e.places(), &e.der)...); err != nil {
			return err
		}
		line, err := e.indexed(now)
		if err != nil {
			return err
		}
		if line.status == "R" && line.reason >= len(opensslReasons()) {
			exported.Changed = append(exported.Changed, e.Serial)
		}
		fmt.Fprintln(&index, line)
		exported.Certificates++
		if len(e.der) == 0 {
			return nil
		}
		return output.WriteFile(filepath.Join(to, "certs_by_serial", e.Serial+".pem"), csr.PEMCertificate(e.der), 0o644)
	}, "SELECT "+columns+", der FROM certificates ORDER BY issued, rowid")
	if err != nil {
		return err
	}
	last, err := c.lastCRL(ctx, anyAuthority)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"ca.crt": string(csr.PEMCertificate(c.certificate.Raw)), "index.txt": index.String(), "index.txt.attr": "unique_subject = no\n",
		"serial": fmt.Sprintf("%X\n", csr.NewSerial()), "crlnumber": cert.Hex(big.NewInt(last.next(now))) + "\n",
	} {
		if err := output.WriteFile(filepath.Join(to, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"openssl.cnf", "openssl-easyrsa.cnf"} {
		content, err := configurations.ReadFile("exported/" + name)
		if err == nil {
			err = output.WriteFile(filepath.Join(to, name), content, 0o644)
		}
		if err != nil {
			return err
		}
	}
	exported.Key, err = c.handOverKey(ctx, to)
	return err
}

// handOverKey copies the key of a file, encrypted as it is.
func (c *CA) handOverKey(ctx context.Context, to string) (bool, error) {
	data, err := input.File(ctx, filepath.Join(c.dir, c.file), keygen.MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer secret.Wipe(data)
	return true, output.NewPrivateFile(filepath.Join(to, "private", "ca.key"), data)
}

// indexed is the line of index.txt for a certificate.
func (e *entry) indexed(now time.Time) (line indexed, err error) {
	line = indexed{status: "V", notAfter: time.Unix(e.notAfter, 0), serial: e.Serial, file: unknownFile, name: e.Subject}
	switch e.state(now) {
	case Revoked, Held:
		line.status, line.revoked, line.reason = "R", time.Unix(e.revoked.Int64, 0), int(e.reason.Int64)
	case Expired:
		line.status = "E"
	}
	if len(e.der) == 0 {
		return line, nil // the subject is that of the line from which it came
	}
	made, err := cert.Parse(e.der)
	if err != nil {
		return line, err
	}
	if line.name, err = oneLine(made.Subject); err != nil {
		return line, problem.New(problem.NotSupported, "the certificate %s has no line in index.txt", e.Serial).
			Because("%s", problem.Sentence(err.Error())).Advise(advice.Do(advice.ShowCA).On("DIR"))
	}
	return line, nil
}
