package ca

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// request has the key sign a request for the certificate of a CA.
func (r *Report) request(ctx context.Context, signer crypto.Signer, dir string, o *InitOptions) error {
	name, err := csr.ParseName(o.Subject)
	if err != nil {
		return err
	}
	r.Directory, r.Subject, r.Algorithm = dir, name.String(), string(key.AlgorithmOf(signer.Public()))
	r.Request, err = caRequest(ctx, signer, csr.Request{Subject: name, PSS: o.PSS})
	return err
}

// caRequest is a request for the certificate of a CA, in PEM.
func caRequest(ctx context.Context, signer crypto.Signer, r csr.Request) (string, error) {
	order := Order{IsCA: true}
	constraints, err := order.basicConstraints()
	if err != nil {
		return "", err
	}
	usage, err := csr.KeyUsage(order.usages(signer.Public())...)
	if err != nil {
		return "", err
	}
	r.Extensions = append(r.Extensions, constraints, usage)
	der, err := csr.Build(ctx, verified{Signer: signer}, r)
	return string(csr.PEMRequest(der)), err
}

// adopt makes a CA out of a key and the certificate that a CA elsewhere issued for it.
func adopt(ctx context.Context, d *desk.Desk, a desk.Access, dir string, o *InitOptions, now time.Time) (report Report, err error) {
	c := &CA{dir: dir, authority: authority{certificate: o.Certificate, keyAt: keyAt{reference: o.Key, file: keyFile}, Places: o.Places, pss: o.PSS}}
	if err := c.canIssue(now); err != nil {
		return report, err
	}
	for _, places := range [][]string{o.CRL, o.OCSP, o.Issuers} {
		if err := areAddresses(places); err != nil {
			return report, err
		}
	}
	made, err := c.ownDirectory()
	if err != nil {
		return report, err
	}
	has := func(_ context.Context, signer crypto.Signer) error {
		if !pubkey.Same(signer.Public(), c.certificate.PublicKey) {
			return notItsKey()
		}
		return nil
	}
	if o.Key != "" {
		err = withCard(ctx, d, a, o.Key, func(ctx context.Context, signer crypto.Signer, serial string, _ func(context.Context) error) error {
			c.holder = serial
			return has(ctx, signer)
		})
	} else {
		err = withFile(ctx, filepath.Join(dir, keyFile), a.Ask, has)
	}
	if err == nil {
		err = c.found(ctx, made, nil)
	}
	if err != nil {
		return report, errors.Join(err, made.removed())
	}
	return c.report(), c.Close()
}

// ownDirectory is that with the file of the key and nothing else, or one that is new or empty
// for a key on a card.
func (c *CA) ownDirectory() (*directory, error) {
	content, err := os.ReadDir(c.dir)
	if c.reference == "" && err == nil && len(content) == 1 && content[0].Name() == keyFile {
		return &directory{path: c.dir}, nil
	}
	return newDirectory(c.dir)
}

// canIssue refuses a certificate with which no CA can work.
func (c *CA) canIssue(now time.Time) error {
	not := func(why string) error {
		return problem.New(problem.Mismatch, "the certificate is not that of a CA").Because("%s", why).
			Advise(advice.Do(advice.Help))
	}
	switch usage := c.certificate.KeyUsage; {
	case !c.certificate.IsCA:
		return not("It does not say CA:TRUE (RFC 5280, 4.2.1.9).")
	case usage != 0 && usage&cert.KeyCertSign == 0:
		return not("Its key usages lack keyCertSign.")
	}
	if err := maySign(c.certificate.PublicKey); err != nil {
		return err
	}
	return c.valid(now)
}

// Request has the key of the CA sign a request for its next certificate, in PEM.
func (c *CA) Request(ctx context.Context, d *desk.Desk, a desk.Access) (text string, err error) {
	err = c.sign(ctx, d, a, func(ctx context.Context, signer crypto.Signer) error {
		again := csr.Again(c.certificate)
		again.Extensions, again.PSS = nil, c.pss
		text, err = caRequest(ctx, signer, again)
		return err
	})
	return text, err
}

// issuedElsewhere takes the next certificate of the CA, which another one issued.
func (r *renewal) issuedElsewhere(next *authority) error {
	c := &CA{authority: authority{certificate: r.o.Certificate}}
	switch {
	case r.o.Certificate.Equal(r.ca.certificate):
		return problem.New(problem.Usage, "this is the certificate that the CA has").Advise(r.ca.look())
	case !bytes.Equal(r.o.Certificate.RawSubject, r.ca.certificate.RawSubject):
		return problem.New(problem.Mismatch, "the certificate has another subject than the CA").
			Because("It is %s, and the CA is %s.", r.o.Certificate.Subject, r.ca.certificate.Subject).Advise(r.ca.look())
	case !pubkey.Same(r.o.Certificate.PublicKey, r.ca.certificate.PublicKey):
		return notItsKey()
	}
	next.certificate = r.o.Certificate
	return c.canIssue(r.now)
}
