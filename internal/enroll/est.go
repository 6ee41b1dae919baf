package enroll

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/cms"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// est is a server of Enrollment over Secure Transport (RFC 7030, 8951).
type est struct {
	address    Address
	server     *remote
	attributes csrAttributes
	// authorities are those of cacerts: what signed itself, and what is below it.
	roots, others []*cert.Certificate
	inVain        []string
}

// wellKnown is where all operations are (RFC 7030, 3.2.2).
const wellKnown = "/.well-known/est"

func openEST(a Address) (Issuer, error) {
	label := strings.TrimPrefix(strings.TrimPrefix(a.URL.Path, wellKnown), "/")
	if strings.Contains(label, "/") {
		return nil, problem.New(problem.Usage, "the address of an EST server has one label at most").
			Because("Example: est+https://ca.example/label.").Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	}
	if a.URL.Path = wellKnown; label != "" {
		a.URL.Path += "/" + label
	}
	return &est{address: a}, nil
}

func (i *est) Traits() Traits { return Traits{Away: true, Renews: true} }

// Prepare gets the certificates of the CA, and what it asks for in a request.
func (i *est) Prepare(ctx context.Context, o *Order) error {
	err := i.connect(ctx, o)
	if err == nil {
		err = i.getAttributes(ctx, o)
	}
	if err != nil {
		return err
	}
	if o.PublicKey != nil {
		if err := i.attributes.takes(o.PublicKey); err != nil {
			return err
		}
	}
	if i.inVain, err = i.attributes.apply(&o.Request); err != nil {
		return err
	}
	if i.attributes.binding {
		return i.bind(ctx, o)
	}
	return nil
}

// connect reaches the server and gets cacerts (RFC 7030, 4.1). The certificates count
// because the server was authenticated.
func (i *est) connect(ctx context.Context, o *Order) (err error) {
	if i.server, err = newRemote(i.address.URL, o.Roots); err != nil {
		return err
	}
	if i.address.Fingerprint != nil {
		i.server.pin(i.address.Fingerprint)
	}
	answer, err := i.get(ctx, o, "/cacerts")
	if errors.Is(err, errNotPinned) && len(o.Roots) == 0 {
		answer, err = i.bootstrap(ctx, o)
	}
	if alert, is := alertOf(err); is && alert == alertNoCertificate && o.Renewal { // not even for this
		if err = i.identify(ctx, o); err == nil {
			answer, err = i.get(ctx, o, "/cacerts")
		}
	}
	if err != nil {
		return err
	}
	if answer.status != http.StatusOK {
		return i.refusal(answer)
	}
	list, err := i.certificates(answer.body)
	if err != nil {
		return err
	}
	for _, c := range list {
		if chain.SelfSigned(c) {
			i.roots = append(i.roots, c)
		} else if c.IsCA {
			i.others = append(i.others, c)
		}
	}
	return nil
}

// bootstrap gets cacerts from a server that is not authenticated yet, and takes the one
// certificate with the fingerprint out of it (RFC 7030, 4.1.1). Then it asks again, with
// that certificate as the root.
func (i *est) bootstrap(ctx context.Context, o *Order) (answer reply, err error) {
	provisional, err := newRemote(i.address.URL, nil)
	if err != nil {
		return answer, err
	}
	defer provisional.close()
	provisional.config.InsecureSkipVerify = true // what comes is compared with the fingerprint
	if answer, err = provisional.do(ctx, message{method: http.MethodGet, path: "/cacerts"}); err != nil {
		return answer, err
	}
	list, err := i.certificates(answer.body)
	if err != nil {
		return answer, err
	}
	for _, c := range list {
		if !sameFingerprint(c.Raw, i.address.Fingerprint) || !c.IsCA {
			continue
		}
		if i.server, err = newRemote(i.address.URL, []*cert.Certificate{c}); err != nil {
			return answer, err
		}
		return i.get(ctx, o, "/cacerts")
	}
	return answer, problem.New(problem.Mismatch, "%s is not trusted", i.address.URL.Host).
		Because("No certificate of its CA has the fingerprint.").Advise(advice.Repeat(advice.Fill(advice.IssuerCA)))
}

// getAttributes gets csrattrs (RFC 7030, 4.5).
func (i *est) getAttributes(ctx context.Context, o *Order) error {
	answer, err := i.get(ctx, o, "/csrattrs")
	if err != nil {
		return err
	}
	switch answer.status {
	case http.StatusNoContent, http.StatusNotFound: // it asks for nothing
		return nil
	case http.StatusOK:
	default:
		return i.refusal(answer)
	}
	data, err := decodeBase64(answer.body)
	if err == nil && len(data) > 0 {
		i.attributes, err = parseCSRAttributes(data)
	}
	if err != nil {
		return i.server.wrong("Its CSR attributes cannot be read.")
	}
	return nil
}

// bind links the request to the connection that it will be sent on: its challenge password
// is tls-unique (RFC 7030, 3.5; RFC 5929, 3), which TLS 1.3 does not have.
func (i *est) bind(ctx context.Context, o *Order) error {
	if err := i.identify(ctx, o); err != nil {
		return err
	}
	i.server.limitTo12()
	answer, err := i.get(ctx, o, "/csrattrs")
	switch code, alert := alertOf(err); {
	case alert && code == alertProtocolVersion, err == nil && len(answer.unique) == 0:
		return problem.New(problem.NotSupported, "%s asks for a request that is linked to the connection", i.address.URL.Host).
			Because("The link is tls-unique of TLS 1.2 (RFC 7030, 3.5), and the server does not speak TLS 1.2.")
	case err != nil:
		return err
	}
	i.server.hold()
	o.Request.Challenge = secret.New([]byte(base64.StdEncoding.EncodeToString(answer.unique)))
	return nil
}

// identify has the card be the TLS client of a renewal (RFC 7030, 3.3.2).
func (i *est) identify(ctx context.Context, o *Order) error {
	if !o.Renewal || i.server.identity != nil {
		return nil
	}
	return i.server.authenticate(ctx, o.Auth, append(append([]*cert.Certificate(nil), i.others...), o.Roots...))
}

// estWaiting is what is remembered of a request that the CA has not decided about.
type estWaiting struct {
	// After is when it may be sent again.
	After time.Time `json:"after"`
}

// Issue sends the request. After an answer that takes time, the same request is sent again
// (RFC 7030, 4.2.3).
func (i *est) Issue(ctx context.Context, o *Order) (answer Answer, err error) {
	defer i.server.close()
	defer o.Request.Challenge.Wipe()
	if o.Waiting != nil {
		var before estWaiting
		if err := json.Unmarshal(o.Waiting, &before); err != nil {
			return answer, problem.Wrap(problem.Failed, err, "what is remembered of the request cannot be read").
				Advise(advice.Repeat(advice.Switch(advice.AskAnew)))
		}
		if left := before.After.Sub(o.Now()); left > 0 {
			return Answer{Waiting: o.Waiting, Retry: left}, nil
		}
	}
	if err := i.attributes.takes(o.PublicKey); err != nil {
		return answer, err
	}
	if o.PKCS10 == nil { // it was linked to another connection
		signer, err := o.Card.Signer(ctx)
		if err != nil {
			return answer, err
		}
		if o.PKCS10, err = csr.Build(ctx, signer, o.Request); err != nil {
			return answer, err
		}
	}
	path := "/simpleenroll"
	if o.Renewal {
		path = "/simplereenroll"
	}
	if err := i.identify(ctx, o); err != nil {
		return answer, err
	}
	got, err := i.send(ctx, o, message{
		method: http.MethodPost, path: path, body: encodeBase64(o.PKCS10),
		header: http.Header{"Content-Type": {"application/pkcs10"}, "Content-Transfer-Encoding": {"base64"}},
	})
	switch {
	case err != nil:
		return answer, err
	case got.status == http.StatusAccepted:
		return i.later(got, o)
	case got.status != http.StatusOK:
		return answer, i.refusal(got)
	}
	list, err := i.certificates(got.body)
	if err != nil {
		return answer, err
	}
	return Answer{Certificates: append(list, i.others...), Roots: i.roots, Notes: i.notes()}, nil
}

// notes tell of what the server asked for and did not get.
func (i *est) notes() []string {
	var list []string
	for _, oid := range i.inVain {
		list = append(list, fmt.Sprintf("%s asks for the attribute or extension %s, which is not in the request.", i.address.URL.Host, oid))
	}
	return list
}

// later is the answer that the CA has not decided.
func (i *est) later(got reply, o *Order) (answer Answer, err error) {
	answer.Retry = retryAfter(got.header.Get("Retry-After"), o.Now())
	answer.Waiting, err = json.Marshal(estWaiting{After: o.Now().Add(answer.Retry)})
	return answer, err
}

// mostRetry is the longest time that an issuer is let off from being asked.
const mostRetry = 366 * 24 * time.Hour

// retryAfter is Retry-After (RFC 9110, 10.2.3): seconds or a date; 0 for neither.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, mostRetry)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), mostRetry)
	}
	return 0
}

func (i *est) get(ctx context.Context, o *Order, path string) (reply, error) {
	return i.send(ctx, o, message{method: http.MethodGet, path: path})
}

// send sends a message, and again with a password if the server asks for one: such an
// answer says that it did nothing (RFC 9110, 15.5.2; RFC 7030, 3.2.3).
func (i *est) send(ctx context.Context, o *Order, m message) (reply, error) {
	answer, err := i.server.do(ctx, m)
	if err != nil || answer.status != http.StatusUnauthorized {
		return answer, err
	}
	again, err := i.server.basic(ctx, o, m, answer, i.address.User)
	if err == nil && again.status == http.StatusUnauthorized {
		return again, problem.New(problem.Failed, "%s did not accept the user name and password", i.address.URL.Host).
			Advise(advice.Repeat(advice.Ask(string(secret.IssuerSecret))))
	}
	return again, err
}

// refusal is the error of an answer without a certificate.
func (i *est) refusal(a reply) error { return i.server.refusal(a, saidIn(a)) }

// certificates are those of a certs-only message (RFC 7030, 4.1.3 and 4.2.3).
func (i *est) certificates(body []byte) ([]*cert.Certificate, error) {
	data, err := decodeBase64(body)
	if err != nil {
		return nil, i.server.wrong("It is not base64.")
	}
	list, err := cms.Certificates(data, mostInMessage)
	if err != nil {
		p := i.server.wrong("It is not a message with certificates alone (RFC 7030, 4.1.3).")
		p.Cause = err
		return nil, p
	}
	return list, nil
}

// mostInMessage bounds the certificates of a message.
const mostInMessage = 100

// decodeBase64 reads base64 with white space anywhere (RFC 8951, 3.1).
func decodeBase64(text []byte) ([]byte, error) {
	packed := bytes.Map(func(c rune) rune {
		if strings.ContainsRune(" \t\r\n", c) {
			return -1
		}
		return c
	}, text)
	return base64.StdEncoding.Strict().DecodeString(string(packed))
}

// encodeBase64 is base64 in lines, which readers with a limit for them need.
func encodeBase64(data []byte) []byte {
	const line = 64
	text := base64.StdEncoding.EncodeToString(data)
	var b bytes.Buffer
	for len(text) > 0 {
		n := min(line, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return b.Bytes()
}
