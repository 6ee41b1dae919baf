package sshagent

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	maxCertificates    = 256
	maxCertificateFile = 64 << 10
)

// certificate is an OpenSSH certificate, with the comment of its file.
type certificate struct {
	*ssh.Certificate
	comment string
}

// certificates are those of the directory, by their public keys.
func (d *Desk) certificates() map[string][]certificate {
	if d.options.Certificates == "" {
		return nil
	}
	entries, err := os.ReadDir(d.options.Certificates)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.report(err, "SSH agent: list the certificates")
	}
	found := map[string][]certificate{}
	count := 0
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), "-cert.pub") {
			continue
		}
		if count++; count > maxCertificates {
			d.report(fmt.Errorf("the directory has more than %d", maxCertificates), "SSH agent: read the certificates")
			break
		}
		c, err := readCertificate(filepath.Join(d.options.Certificates, entry.Name()))
		if err != nil {
			d.report(err, "SSH agent: read the certificate "+entry.Name())
			continue
		}
		key := string(c.Key.Marshal())
		found[key] = append(found[key], c)
	}
	return found
}

// readCertificate reads the certificate of a user. A file that is none, such as a pipe, is
// not opened.
func readCertificate(path string) (certificate, error) {
	info, err := os.Stat(path)
	if err != nil {
		return certificate{}, err
	}
	if !info.Mode().IsRegular() {
		return certificate{}, errors.New("not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return certificate{}, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxCertificateFile))
	if err != nil {
		return certificate{}, err
	}
	public, comment, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return certificate{}, err
	}
	parsed, ok := public.(*ssh.Certificate)
	if !ok || parsed.CertType != ssh.UserCert {
		return certificate{}, errors.New("not the certificate of a user")
	}
	return certificate{parsed, printable(cmp.Or(comment, filepath.Base(path)))}, nil
}
