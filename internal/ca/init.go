package ca

import (
	"cmp"
	"context"
	"crypto"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/database"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// InitOptions say what a new CA is.
type InitOptions struct {
	Subject string
	// Key is the reference of a key on a card; empty for a key in a file, of Algorithm.
	Key, Algorithm string
	Days           int
	// PSS signs with RSASSA-PSS.
	PSS bool
	Places
	// Parent is the CA that issues the certificate; nil for the key of this one.
	Parent *Parent
	// Request makes the key and a request for a CA elsewhere, and no CA yet; Certificate is
	// what that issued, and makes it one.
	Request     bool
	Certificate *cert.Certificate
}

// defaultDays is how long a CA is valid: ten years.
const defaultDays = 3650

// Report is what a CA is.
type Report struct {
	Directory string    `json:"directory"`
	Subject   string    `json:"subject"`
	Serial    string    `json:"serialNumber"`
	NotAfter  time.Time `json:"notAfter"`
	Algorithm string    `json:"algorithm"`
	// Key is the reference of its key, empty for a file; Card the serial of its card.
	Key  string `json:"key,omitempty"`
	Card string `json:"card,omitempty"`
	// Certificate is in PEM.
	Certificate string `json:"certificate"`
	// Request is in PEM, for a CA that waits for its certificate.
	Request string `json:"request,omitempty"`
}

func (c *CA) report() Report {
	return Report{
		Directory: c.dir, Subject: c.certificate.Subject.String(), Serial: c.certificate.Serial(), NotAfter: c.certificate.NotAfter,
		Algorithm: string(key.AlgorithmOf(c.certificate.PublicKey)), Key: c.reference, Card: c.holder,
		Certificate: string(csr.PEMCertificate(c.certificate.Raw)),
	}
}

// Init makes a CA in a directory that is not there yet, or is empty, with a certificate
// that its own key or its parent signs.
func Init(ctx context.Context, d *desk.Desk, a desk.Access, dir string, o InitOptions, now time.Time) (report Report, err error) {
	if o.Certificate != nil {
		return adopt(ctx, d, a, dir, &o, now)
	}
	subject, algorithm, err := o.parse()
	if err != nil {
		return report, err
	}
	notBefore, notAfter, err := csr.Validity(now, cmp.Or(o.Days, defaultDays))
	if err != nil {
		return report, err
	}
	made, err := newDirectory(dir)
	if err != nil {
		return report, err
	}
	c := &CA{dir: dir, authority: authority{keyAt: keyAt{reference: o.Key}, Places: o.Places, pss: o.PSS}}
	var public crypto.PublicKey
	certify := func(ctx context.Context, signer crypto.Signer) error {
		public = signer.Public()
		if err := maySign(public); err != nil || o.Parent != nil {
			return err
		}
		if o.Request {
			return report.request(ctx, signer, dir, &o)
		}
		return c.certify(ctx, signer, csr.Certificate{Issuer: subject, Subject: subject, NotBefore: notBefore, NotAfter: notAfter})
	}
	if o.Key != "" {
		err = withCard(ctx, d, a, o.Key, func(ctx context.Context, signer crypto.Signer, serial string, _ func(context.Context) error) error {
			c.holder = serial
			return certify(ctx, signer)
		})
	} else {
		var signer crypto.Signer
		if signer, err = newFile(ctx, filepath.Join(dir, keyFile), algorithm, a.Ask); err == nil {
			made.wrote(keyFile)
			err = certify(ctx, signer)
		}
	}
	if err == nil && o.Parent != nil {
		c.certificate, err = o.Parent.certify(ctx, public, &o, now)
	}
	if err == nil && !o.Request {
		err = c.found(ctx, made, nil)
	}
	switch {
	case err != nil:
		return Report{}, errors.Join(err, made.removed())
	case o.Request:
		report.Key, report.Card = c.reference, c.holder
		return report, nil
	}
	return c.report(), c.Close()
}

func (o *InitOptions) parse() (subject []byte, algorithm key.Algorithm, err error) {
	if o.Key != "" && o.Algorithm != "" {
		return nil, "", problem.New(problem.Usage, "a key on a card has its algorithm already").Advise(advice.Repeat().Without(advice.Algorithm))
	}
	if algorithm, err = key.ParseAlgorithm(cmp.Or(o.Algorithm, string(key.P384))); err != nil {
		return nil, "", err
	}
	name, err := csr.ParseName(o.Subject)
	if err != nil {
		return nil, "", err
	}
	if name.Empty() {
		return nil, "", problem.New(problem.Usage, "a CA needs a subject").
			Because("It is the issuer of its certificates, and an issuer must have a name (RFC 5280, 4.1.2.4).").
			Advise(advice.Repeat(advice.Set(advice.Subject, "CN=Desk CA")))
	}
	for _, places := range [][]string{o.CRL, o.OCSP, o.Issuers} {
		if err := areAddresses(places); err != nil {
			return nil, "", err
		}
	}
	subject, err = name.DER()
	return subject, algorithm, err
}

// areAddresses refuses what programs do not fetch. RFC 5280, 8, advises against https for
// the CRL, whose certificate would need a CRL.
func areAddresses(list []string) error {
	for _, address := range list {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "ldap" {
			return problem.New(problem.Usage, "not an address that programs fetch: %q", address).
				Because("It begins with http:// and a host.").Advise(advice.Do(advice.Help))
		}
	}
	return nil
}

// maySign refuses a key that is none for a CA.
func maySign(public crypto.PublicKey) error {
	if _, other := public.(*pubkey.Other); other {
		return problem.New(problem.NotSupported, "a CA cannot have a key of this kind").
			Because("Most programs do not verify signatures of %s.", key.AlgorithmOf(public)).
			Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Algorithm, string(key.P384))))
	}
	return weak(public)
}

// certify has a key sign its own certificate.
func (c *CA) certify(ctx context.Context, signer crypto.Signer, template csr.Certificate) error {
	public, err := pubkey.Marshal(signer.Public())
	if err != nil {
		return problem.Wrap(problem.NotSupported, err, "the public key cannot be encoded")
	}
	template.PublicKey = public
	root := Order{Profile: Profile{CA: true, KeyUsage: []string{"keyCertSign", "cRLSign"}}}
	issuer := CA{authority: authority{certificate: &cert.Certificate{RawSubjectPublicKeyInfo: public}}}
	if template.Extensions, err = issuer.extensions(&root, &subject{public: public, key: signer.Public()}); err != nil {
		return err
	}
	der, err := template.Sign(ctx, signer, csr.Signature{PSS: c.pss})
	if err != nil {
		return err
	}
	c.certificate, err = cert.Parse(der)
	return err
}

// found writes the files of a CA that has its certificate. It is one with the last step,
// when it is in its database, with what else is stored there; nil for nothing.
func (c *CA) found(ctx context.Context, made *directory, also func(*sql.Tx) error) (err error) {
	path := filepath.Join(c.dir, CertificateFile)
	if err := output.NewPrivateFile(path, csr.PEMCertificate(c.certificate.Raw)); err != nil {
		return problem.Wrap(problem.Failed, err, "cannot write "+path)
	}
	made.wrote(CertificateFile)
	if err := os.Chmod(path, 0o644); err != nil { // it is for everybody
		return problem.Wrap(problem.Failed, err, "cannot write "+path)
	}
	made.wrote(databaseFile, databaseFile+"-wal", databaseFile+"-shm", databaseFile+"-journal") // ca.pem was new, so is this
	if c.db, err = database.Create(ctx, filepath.Join(c.dir, databaseFile), records()); err != nil {
		return err
	}
	err = c.db.Change(ctx, func(tx *sql.Tx) error {
		if err := c.store(ctx, tx); err != nil || also == nil {
			return err
		}
		return also(tx)
	})
	if err != nil {
		return errors.Join(err, c.Close())
	}
	return nil
}

// directory is one that was made, or was empty, and what was written into it.
type directory struct {
	path    string
	made    bool
	written []string
}

func (d *directory) wrote(names ...string) { d.written = append(d.written, names...) }

func newDirectory(path string) (*directory, error) {
	err := os.Mkdir(path, 0o700)
	switch {
	case err == nil:
		return &directory{path: path, made: true}, nil
	case !errors.Is(err, fs.ErrExist):
		return nil, problem.Wrap(problem.Failed, err, "cannot make the directory of the CA").Advise(advice.Run("ls", "-ld", filepath.Dir(path)))
	}
	content, err := os.ReadDir(path)
	if err != nil {
		return nil, problem.Wrap(problem.Failed, err, "cannot use "+path)
	}
	if len(content) > 0 {
		why := "A CA gets a directory of its own, and one that exists is never replaced."
		if info, err := os.Stat(filepath.Join(path, databaseFile)); err != nil || info.Size() == 0 {
			why += " This one has no CA: an init that was interrupted leaves such files, which can be deleted."
		}
		return nil, problem.New(problem.Refused, "the directory is not empty: %s", path).Because("%s", why).Advise(advice.Run("ls", path))
	}
	return &directory{path: path}, nil
}

// removed takes away what was written: another command may use the directory meanwhile.
func (d *directory) removed() error {
	var failed error
	for _, name := range d.written {
		if err := os.Remove(filepath.Join(d.path, name)); !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	if content, err := os.ReadDir(d.path); d.made && err == nil && len(content) == 0 {
		failed = errors.Join(failed, os.Remove(d.path))
	}
	return failed
}
