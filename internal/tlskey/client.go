package tlskey

import (
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"sync"

	"github.com/cardctl/cardctl/internal/cert"
)

// Client is a certificate and its key for crypto/tls, which signs in the goroutine that
// it likes and passes on the text of an error alone.
type Client struct {
	signer      crypto.Signer
	certificate tls.Certificate
	around      func() (done func())

	signing sync.Mutex // held while the key signs
	shut    bool
	asked   *tls.CertificateRequestInfo
	length  int
	failed  error
}

// NewClient is a client that signs with one of the schemes. The chain are the issuers of
// the certificate.
func NewClient(signer crypto.Signer, certificate *cert.Certificate, chain []*cert.Certificate, schemes []tls.SignatureScheme) *Client {
	c := &Client{signer: signer}
	c.certificate = tls.Certificate{
		Certificate: [][]byte{certificate.Raw}, PrivateKey: c, Leaf: certificate.Standard(), SupportedSignatureAlgorithms: schemes,
	}
	for _, issuer := range chain {
		c.certificate.Certificate = append(c.certificate.Certificate, issuer.Raw)
	}
	return c
}

// Around has enter called before each signature, and what it returns after it.
func (c *Client) Around(enter func() (leave func())) { c.around = enter }

// Choose gives the certificate whatever CAs the server names, as a browser does when its
// user has chosen: it is for tls.Config.
func (c *Client) Choose(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.signing.Lock()
	defer c.signing.Unlock()
	c.asked = asked
	return &c.certificate, nil
}

// Certificate is that of the client in DER.
func (c *Client) Certificate() []byte { return c.certificate.Certificate[0] }

// Asked is what the server asked for last, nil if it asked for no certificate.
func (c *Client) Asked() *tls.CertificateRequestInfo {
	c.signing.Lock()
	defer c.signing.Unlock()
	return c.asked
}

// Failed is of how many bytes the key made no signature, and why; nil if it made all.
func (c *Client) Failed() (length int, err error) {
	c.signing.Lock()
	defer c.signing.Unlock()
	return c.length, c.failed
}

// Shut has no further signature made. It waits for one that is being made: a handshake
// goes on for a while after nobody waits for it.
func (c *Client) Shut() { c.set(true) }

// Open ends Shut.
func (c *Client) Open() { c.set(false) }

func (c *Client) set(shut bool) {
	c.signing.Lock()
	defer c.signing.Unlock()
	c.shut = shut
}

// errShut is a handshake that nobody waits for any more.
var errShut = errors.New("the key is not used any more")

// Public is the public half of the key.
func (c *Client) Public() crypto.PublicKey { return c.signer.Public() }

// Sign signs a digest.
func (c *Client) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return c.sign(len(digest), func() ([]byte, error) { return c.signer.Sign(random, digest, opts) })
}

// SignMessage is what crypto/tls signs with.
func (c *Client) SignMessage(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return c.sign(len(message), func() ([]byte, error) { return crypto.SignMessage(c.signer, random, message, opts) })
}

func (c *Client) sign(length int, with func() ([]byte, error)) ([]byte, error) {
	c.signing.Lock()
	defer c.signing.Unlock()
	if c.shut {
		return nil, errShut
	}
	if c.around != nil {
		defer c.around()()
	}
	signature, err := with()
	if err != nil {
		c.failed, c.length = err, length
	}
	return signature, err
}
