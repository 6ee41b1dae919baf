package setup

import (
	"context"
	"crypto/sha1" // the name of a certificate in GnuPG
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/runner"
)

// keyboxCertificate is a certificate among those that gpgsm knows.
type keyboxCertificate struct {
	Home    string `json:"home"`
	Subject string `json:"subject"`
	DER     []byte `json:"der"`

	run tools
}

func (j *job) inKeybox(c *cert.Certificate) *keyboxCertificate {
	return &keyboxCertificate{Home: j.gnupgHome(), Subject: c.Subject.String(), DER: c.Raw, run: j.runProgram}
}

// runBy gives an entry of a record the tools.
func (k *keyboxCertificate) runBy(run tools) { k.run = run }

// x509Name is what gpgsm calls a certificate: its SHA-1.
func x509Name(der []byte) string {
	sum := sha1.Sum(der)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func (k *keyboxCertificate) whole() bool   { return filepath.IsAbs(k.Home) && len(k.DER) > 0 }
func (k *keyboxCertificate) kind() string  { return "keybox-certificate" }
func (k *keyboxCertificate) place() string { return k.Home + ", certificate " + x509Name(k.DER) }
func (k *keyboxCertificate) text() string  { return k.Subject + "\n" }

// gpgsm runs it without the daemons, which it would start.
func (k *keyboxCertificate) gpgsm(ctx context.Context, input []byte, args ...string) (string, error) {
	args = append([]string{"--homedir", k.Home, "--batch", "--no-autostart", "--disable-dirmngr"}, args...)
	return k.run(ctx, runner.Program{Name: "gpgsm", Args: args, Stdin: input})
}

func (k *keyboxCertificate) look(ctx context.Context) (state, string, error) {
	if !hasKeybox(k.Home) {
		return absent, "", nil
	}
	listed, err := k.gpgsm(ctx, nil, "--with-colons", "--list-keys", x509Name(k.DER))
	if err != nil {
		return absent, "", err
	}
	if slices.Contains(fingerprintsIn(listed), x509Name(k.DER)) {
		return present, "", nil
	}
	return absent, "", nil
}

// fingerprintsIn are those in a list that gpg or gpgsm made for programs.
func fingerprintsIn(listed string) []string {
	const field = 9 // in a line fpr, doc/DETAILS of GnuPG
	var all []string
	for line := range strings.Lines(listed) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" && len(fields) > field {
			all = append(all, fields[field])
		}
	}
	return all
}

// hasKeybox reports whether there are certificates: gpgsm makes a file where it looks.
func hasKeybox(home string) bool {
	for _, name := range []string{"pubring.kbx", "pubring.gpg", "public-keys.d"} {
		if _, err := os.Lstat(filepath.Join(home, name)); err == nil {
			return true
		}
	}
	return false
}

func (k *keyboxCertificate) remember(context.Context) error { return nil }

func (k *keyboxCertificate) write(ctx context.Context) error {
	_, err := k.gpgsm(ctx, k.DER, "--import")
	return err
}

func (k *keyboxCertificate) remove(ctx context.Context) error {
	_, err := k.gpgsm(ctx, nil, "--yes", "--delete-keys", x509Name(k.DER))
	return err
}
