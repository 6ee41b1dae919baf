package enroll

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/jose"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// acmeClient is a client of ACME for one order (RFC 8555).
type acmeClient struct {
	remote *remote
	// until is when it gives up.
	until time.Time

	directory acmeDirectory
	// key is the account's, and account its address.
	key     *ecdsa.PrivateKey
	account string
	// nonce is for the next request; empty for none.
	nonce string
	// external says that the account is bound to an external one. order is the address of
	// the order, late that it was given up before it was decided.
	external bool
	order    string
	late     bool
}

// acmeDirectory is where requests go, 7.1.1.
type acmeDirectory struct {
	NewNonce   string `json:"newNonce"`
	NewAccount string `json:"newAccount"`
	NewOrder   string `json:"newOrder"`
	Meta       struct {
		TermsOfService          string `json:"termsOfService"`
		ExternalAccountRequired bool   `json:"externalAccountRequired"`
	} `json:"meta"`
}

// acmeError is a problem document, 6.7.
type acmeError struct {
	Type        string      `json:"type"`
	Detail      string      `json:"detail"`
	Subproblems []acmeError `json:"subproblems"`
}

// is compares the type, 6.7.
func (e *acmeError) is(name string) bool { return e.Type == "urn:ietf:params:acme:error:"+name }

// words are what the server says.
func (e *acmeError) words() string {
	words := []string{e.Detail}
	if e.Detail == "" {
		words[0] = e.Type
	}
	for _, sub := range e.Subproblems {
		words = append(words, sub.Detail)
	}
	return strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), "; ")
}

// begin reads the directory, and makes the account.
func (c *acmeClient) begin(ctx context.Context, a Address, o *Order) error {
	reply, err := c.get(ctx, &a.URL)
	if err != nil {
		return err
	}
	if reply.status != http.StatusOK {
		return c.refusal(reply)
	}
	if err := c.remote.readJSON(reply, &c.directory); err != nil {
		return err
	}
	kid := a.User
	if kid == "" {
		if c.directory.Meta.ExternalAccountRequired {
			return problem.New(problem.Usage, "%s makes accounts for those only whom its operator knows", c.remote.base.Host).
				Because("It needs an external account binding: the identifier of a key in the address, ID@, and the key as the issuer's secret.").
				Advise(advice.Repeat(advice.Fill(advice.Issuer), advice.Ask(advice.Field(secret.IssuerSecret))))
		}
		if c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return err
		}
		return c.makeAccount(ctx, nil)
	}
	given, err := o.Access.Ask(ctx, secret.Request{Name: secret.IssuerSecret, Label: "key of the external account " + plain(kid) + ", in base64url"})
	if err != nil {
		return err
	}
	defer given.Wipe()
	c.external = true
	return c.bind(ctx, kid, given)
}

// bind makes the account, and binds it to an external one, 7.3.4. As servers bind one
// account only to such a key, that of the account is derived from it: it is the same in
// every enrolment, and stands nowhere.
func (c *acmeClient) bind(ctx context.Context, kid string, given *secret.Bytes) error {
	text := bytes.TrimRight(given.Reveal(), "=")
	mac := make([]byte, base64.RawURLEncoding.DecodedLen(len(text)))
	defer secret.Wipe(mac)
	if n, err := base64.RawURLEncoding.Decode(mac, text); err != nil || n != len(mac) {
		return notAMACKey("It is not base64url.")
	}
	var err error
	if c.key, err = jose.DeriveKey(secret.New(mac), "cardctl: account of "+kid+" at "+c.directory.NewAccount); err != nil {
		return err
	}
	public, err := jose.Public(c.key.Public())
	if err != nil {
		return err
	}
	payload, err := json.Marshal(public)
	if err != nil {
		return err
	}
	binding, err := jose.MAC(mac, jose.Header{"kid": kid, "url": c.directory.NewAccount}, payload)
	if errors.Is(err, jose.ErrKey) {
		return notAMACKey("It is shorter than 32 bytes.")
	}
	if err != nil {
		return err
	}
	signed, err := binding.JSON()
	if err != nil {
		return err
	}
	return c.makeAccount(ctx, signed)
}

func notAMACKey(why string) error {
	return problem.New(problem.Usage, "the issuer's secret is not the key of an external account").Because("%s", why).
		Advise(advice.Repeat(advice.Ask(advice.Field(secret.IssuerSecret))))
}

// makeAccount makes the account of the key, or finds it, 7.3.
func (c *acmeClient) makeAccount(ctx context.Context, binding json.RawMessage) error {
	account := map[string]any{"termsOfServiceAgreed": true}
	if binding != nil {
		account["externalAccountBinding"] = binding
	}
	reply, err := c.post(ctx, c.directory.NewAccount, account)
	if err != nil {
		return err
	}
	if reply.status != http.StatusOK && reply.status != http.StatusCreated {
		return c.refusal(reply)
	}
	if c.account = reply.header.Get("Location"); c.account == "" {
		return c.remote.wrong("It does not name the account.")
	}
	return nil
}

// get asks for what everybody may read.
func (c *acmeClient) get(ctx context.Context, at *url.URL) (reply, error) {
	return c.remote.do(ctx, message{method: http.MethodGet, at: at, header: http.Header{"User-Agent": {"cardctl"}}})
}

// post sends a signed request (6.2); body is nil for one that only reads (6.3). What a
// server refuses because of its nonce is sent again, as it did nothing (6.5), and what only
// reads if there is no answer: a certificate that was made would be lost.
func (c *acmeClient) post(ctx context.Context, at string, body any) (reply, error) {
	const tries = 5
	target, err := c.here(at)
	if err != nil {
		return reply{}, err
	}
	var payload []byte
	if body != nil {
		if payload, err = json.Marshal(body); err != nil {
			return reply{}, err
		}
	}
	for range tries {
		var a reply
		a, err = c.send(ctx, target, payload)
		if body == nil && problem.Is(err, problem.Failed) && c.pause(ctx, reply{}) == nil {
			continue
		}
		if err != nil {
			return reply{}, err
		}
		var said acmeError
		if a.status < http.StatusBadRequest || json.Unmarshal(a.body, &said) != nil || !said.is("badNonce") {
			return a, nil
		}
	}
	if err != nil {
		return reply{}, err
	}
	return reply{}, problem.New(problem.Failed, "%s did not take the request", c.remote.base.Host).
		Because("It refused %d nonces, all of which it had given.", tries).Advise(advice.Repeat())
}

// here refuses an address on another host.
func (c *acmeClient) here(at string) (*url.URL, error) {
	target, err := url.Parse(at)
	if err != nil || target.Scheme != c.remote.base.Scheme || target.Host != c.remote.base.Host || target.User != nil || target.Fragment != "" {
		return nil, c.remote.wrong("It refers to another server, which is not asked.")
	}
	return target, nil
}

// send sends a request once, with a nonce.
func (c *acmeClient) send(ctx context.Context, target *url.URL, payload []byte) (reply, error) {
	if c.nonce == "" {
		at, err := c.here(c.directory.NewNonce)
		if err != nil {
			return reply{}, err
		}
		a, err := c.get(ctx, at)
		if err != nil {
			return reply{}, err
		}
		if c.nonce = a.header.Get("Replay-Nonce"); c.nonce == "" {
			return reply{}, c.remote.wrong("It has no nonce.")
		}
	}
	header := jose.Header{"nonce": c.nonce, "url": target.String()}
	if header["kid"] = c.account; c.account == "" {
		delete(header, "kid")
		public, err := jose.Public(c.key.Public())
		if err != nil {
			return reply{}, err
		}
		header["jwk"] = public
	}
	c.nonce = ""
	signed, err := jose.Sign(c.key, header, payload)
	if err != nil {
		return reply{}, err
	}
	text, err := signed.JSON()
	if err != nil {
		return reply{}, err
	}
	a, err := c.remote.do(ctx, message{method: http.MethodPost, at: target, body: text, header: http.Header{
		"Content-Type": {"application/jose+json"}, "User-Agent": {"cardctl"},
	}})
	c.nonce = a.header.Get("Replay-Nonce")
	return a, err
}

// refusal is the error of an answer that is none.
func (c *acmeClient) refusal(a reply) *problem.Error {
	var said acmeError
	if json.Unmarshal(a.body, &said) != nil {
		return c.remote.refusal(a, "")
	}
	return c.remote.refusal(a, said.words())
}

// pause waits before the server is asked again, as long as it wants (8.2) within bounds.
func (c *acmeClient) pause(ctx context.Context, a reply) error {
	const shortest, longest = 500 * time.Millisecond, 15 * time.Second
	wait := shortest
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && seconds > 0 {
		wait = min(time.Duration(min(seconds, int(longest/time.Second)))*time.Second, longest)
	}
	if time.Now().Add(wait).After(c.until) {
		c.late = true
		return problem.New(problem.Failed, "%s takes too long", c.remote.base.Host).
			Because("It did not decide about the order in time.").Advise(advice.Repeat())
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
