package enroll

import (
	"context"
	"crypto"
	"encoding/json"
	"time"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
)

// Issuer is who certifies a key. It is made from an Address for one certificate.
type Issuer interface {
	// Traits are what is known of the issuer before anybody is asked.
	Traits() Traits

	// Prepare finds out what the issuer wants of a request, adds it to Order.Request, and
	// refuses what it does not certify, before a card signs. No card is reached yet.
	Prepare(ctx context.Context, o *Order) error

	// Issue has the order certified. It is called once for an order; where Order.Waiting
	// is set, it goes on from there, and asks for no second certificate.
	Issue(ctx context.Context, o *Order) (Answer, error)
}

// Local is an issuer whose address depends on the working directory.
type Local interface {
	// Lasting is its address for any other, too.
	Lasting() (string, error)
}

// Traits are what an issuer can do and needs.
type Traits struct {
	// PublicKeys says that it certifies a key that cannot sign.
	PublicKeys bool
	// Away says that others take part, or another card: the card is let go meanwhile. It
	// is known after Prepare.
	Away bool
	// Reissues says that it renews a certificate without a request.
	Reissues bool
	// Officer says that it is reached with the card of an officer.
	Officer bool
	// OfficerOnly says that nobody else reaches it.
	OfficerOnly bool
	// Renews says that the certificate on the card authenticates its renewal. Where it is
	// false, a renewal is an enrolment with the same names.
	Renews bool
}

// Settler is an issuer that is told in the end whether its certificate was taken.
type Settler interface {
	// Settle tells it; refused is nil where the certificate is on the card. It is called
	// once the certificate was refused for good, or is on the card, maybe by a later run.
	Settle(ctx context.Context, o *Order, a Answer, refused error) error
}

// Order is what an issuer is to certify.
type Order struct {
	// Request is what is asked for. Prepare may add to it. Names, SID and Days are those
	// that were typed; Days is 0 for those of the issuer.
	Request csr.Request
	Names   csr.Options
	SID     string
	Days    int

	// Ref, Serial and PublicKey are the key and its card. PublicKey is nil before the
	// card was reached.
	Ref, Serial string
	PublicKey   crypto.PublicKey

	// Implied are alternative names, each a GeneralName in DER, that the way of asking puts
	// into the certificate.
	Implied [][]byte

	// PKCS10 is the signed request in DER; nil for a key that cannot sign.
	PKCS10 []byte

	// Card is what the key may be used for by the way.
	Card Card

	// Current is the certificate of the key on the card, in DER; nil for none. Renewal says
	// that it is to be replaced by one with the same names, and Auth what authenticates
	// that: the key itself, or another one on the card. Its certificate is nil for none.
	Current []byte
	Renewal bool
	Auth    Auth

	// Waiting is what an earlier Answer left to go on with; nil at first.
	Waiting json.RawMessage

	// Asked is when the same was ordered before, if it is not known what came of that: the
	// answer may have been lost. It is zero for a new order.
	Asked time.Time

	// Access is how the person is asked for the issuer's own secrets, IssuerDesk where
	// the issuer's own card is, IssuerKey its reference where the issuer is reached with
	// a card.
	Access     desk.Access
	IssuerDesk *desk.Desk
	IssuerKey  string

	// Sittings and Environ are those of Options.
	Sittings *ca.Sittings
	Environ  []string

	// Roots are the certificates of CAs that were named: the issuer's server and its
	// certificates have to chain to them. Without any, the server's to those of the
	// system.
	Roots []*cert.Certificate

	// StateDir is where things are remembered between runs, Now the time.
	StateDir func() (string, error)
	Now      func() time.Time
}

// Auth is a key with a certificate.
type Auth struct {
	Card        Card
	Certificate []byte
}

// Card is what an issuer may have the card with the key do. The card is compared before
// each use, and let go after it; a PIN that it accepted is sent again where it forgot it.
type Card interface {
	// Signer signs with the key.
	Signer(ctx context.Context) (crypto.Signer, error)
	// Decrypt decrypts with the key, as key.Key.
	Decrypt(ctx context.Context, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error)
	// Attest has the card state where the key is from: the statement first, then the
	// certificates above it.
	Attest(ctx context.Context) ([]*cert.Certificate, error)
	// Holder is what the card is known by.
	Holder(ctx context.Context) (key.Holder, error)
}

// Answer is what came back.
type Answer struct {
	// Certificates are all that came, in any order. There are none where Waiting is set.
	Certificates []*cert.Certificate
	// Roots are CAs that the issuer, once it was authenticated, named as those to trust.
	Roots []*cert.Certificate
	// Dropped is what was asked for in vain, in the words of the issuer.
	Dropped []string
	// Notes are sentences about what else the issuer said, or what comes of its answer.
	Notes []string

	// Waiting is what goes on with an answer that takes time, as JSON without a secret;
	// Retry is when to ask again, 0 where the issuer did not say.
	// It may come with an error: what is remembered is what came until then.
	Waiting json.RawMessage
	Retry   time.Duration
	// Unsettled is what Settle goes on with, as JSON without a secret.
	Unsettled json.RawMessage
}
