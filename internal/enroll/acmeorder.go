package enroll

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/jose"
	"github.com/cardctl/cardctl/internal/problem"
)

// acmeObject is an order, an authorization or a challenge, as far as it matters here
// (RFC 8555, 7.1.3, 7.1.4, 8).
type acmeObject struct {
	Status string     `json:"status"`
	Error  *acmeError `json:"error"`

	Authorizations []string `json:"authorizations"`
	Finalize       string   `json:"finalize"`
	Certificate    string   `json:"certificate"`

	Challenges []acmeChallenge `json:"challenges"`
}

// acmeChallenge is a challenge, 8.
type acmeChallenge struct {
	Type   string     `json:"type"`
	Status string     `json:"status"`
	URL    string     `json:"url"`
	Token  string     `json:"token"`
	Error  *acmeError `json:"error"`
}

// States of orders and authorizations, 7.1.6.
const (
	acmePending    = "pending"
	acmeReady      = "ready"
	acmeProcessing = "processing"
	acmeValid      = "valid"
	acmeInvalid    = "invalid"
)

// during are the objects in one of these states.
func during(states ...string) func(*acmeObject) bool {
	return func(o *acmeObject) bool { return slices.Contains(states, o.Status) }
}

// undecided are the authorizations whose challenge is. step-ca leaves an authorization
// pending when its challenge failed.
func undecided(o *acmeObject) bool {
	challenge := attestation(o.Challenges)
	return o.Status == acmePending && (challenge == nil || challenge.Status != acmeInvalid)
}

// certify orders a certificate for the device (7.4), proves it, and returns what came.
func (c *acmeClient) certify(ctx context.Context, d *device, o *Order) ([]byte, error) {
	order, err := c.ordered(ctx, d, o)
	if err != nil {
		return nil, err
	}
	at := c.order
	const most = 4
	if len(order.Authorizations) > most {
		return nil, c.remote.wrong("It asks for %d authorizations for one identifier.", len(order.Authorizations))
	}
	for _, authorization := range order.Authorizations {
		if err := c.authorize(ctx, d, authorization); err != nil {
			return nil, err
		}
	}
	if order, err = c.follow(ctx, at, during(acmePending, acmeProcessing)); err != nil {
		return nil, err
	}
	if order.Status == acmeReady {
		if err := c.finalize(ctx, order.Finalize, d, o); err != nil {
			return nil, err
		}
		if order, err = c.follow(ctx, at, during(acmePending, acmeReady, acmeProcessing)); err != nil {
			return nil, err
		}
	}
	if order.Status != acmeValid {
		return nil, c.failed(order.Status, order.Error)
	}
	a, err := c.post(ctx, order.Certificate, nil)
	if err == nil && a.status != http.StatusOK {
		err = c.refusal(a)
	}
	return a.body, err
}

// acmeWaiting is an order that the account of the same external account can go on with.
type acmeWaiting struct {
	Order string `json:"order"`
}

// ordered is the order that was made before, unless it came to nothing, or a new one.
func (c *acmeClient) ordered(ctx context.Context, d *device, o *Order) (acmeObject, error) {
	var before acmeWaiting
	if o.Waiting != nil && json.Unmarshal(o.Waiting, &before) == nil && before.Order != "" {
		order, _, err := c.object(ctx, before.Order, nil)
		if err != nil || order.Status != acmeInvalid {
			c.order = before.Order
			return order, err
		}
	}
	wanted := map[string]any{"identifiers": []map[string]string{{"type": "permanent-identifier", "value": d.serial}}}
	if o.Days > 0 {
		wanted["notAfter"] = o.Now().AddDate(0, 0, o.Days).UTC().Format(time.RFC3339)
	}
	order, a, err := c.object(ctx, c.directory.NewOrder, wanted)
	c.order = a.header.Get("Location")
	return order, err
}

// remains is what a later run goes on with, if nothing was decided. Without an external
// account there is nothing: the key of the account ends with this run.
func (c *acmeClient) remains(ctx context.Context) json.RawMessage {
	if !c.external || c.order == "" || !c.late && ctx.Err() == nil {
		return nil
	}
	text, err := json.Marshal(acmeWaiting{c.order})
	if err != nil {
		return nil
	}
	return text
}

// finalize sends the request, 7.4.
func (c *acmeClient) finalize(ctx context.Context, at string, d *device, o *Order) error {
	a, err := c.post(ctx, at, map[string]string{"csr": base64.RawURLEncoding.EncodeToString(o.PKCS10)})
	if err != nil || a.status == http.StatusOK {
		return err
	}
	refused := c.refusal(a)
	var said acmeError
	if cn := commonName(o); cn != d.serial && json.Unmarshal(a.body, &said) == nil && said.is("badCSR") {
		refused.Why = problem.Sentences(refused.Why, "Some servers certify no other common name than the serial of the card.")
		return refused.Advise(advice.Repeat(advice.Set(advice.Subject, "CN="+d.serial)))
	}
	return refused
}

// authorize answers the challenge of an authorization, unless it is answered (7.5).
func (c *acmeClient) authorize(ctx context.Context, d *device, at string) error {
	authorization, _, err := c.object(ctx, at, nil)
	if err != nil || authorization.Status == acmeValid {
		return err
	}
	challenge := attestation(authorization.Challenges)
	if challenge == nil {
		return problem.New(problem.NotSupported, "%s does not take the statement of a card", c.remote.base.Host).
			Because("It offers no challenge of the type %s.", deviceAttest).Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	}
	public, err := jose.Public(c.key.Public())
	if err != nil {
		return err
	}
	thumbprint, err := public.Thumbprint()
	if err != nil {
		return err
	}
	payload, err := d.respond(challenge.Token + "." + thumbprint)
	if err != nil {
		return err
	}
	if _, _, err := c.object(ctx, challenge.URL, json.RawMessage(payload)); err != nil {
		return err
	}
	if authorization, err = c.follow(ctx, at, undecided); err != nil {
		return err
	}
	if authorization.Status != acmeValid {
		why := authorization.Error
		if answered := attestation(authorization.Challenges); answered != nil && answered.Error != nil {
			why = answered.Error
		}
		return c.failed(authorization.Status, why)
	}
	return nil
}

// deviceAttest is the type of the challenge (draft-ietf-acme-device-attest, 5).
const deviceAttest = "device-attest-01"

// attestation is the challenge that a card can answer; nil for none.
func attestation(challenges []acmeChallenge) *acmeChallenge {
	for i, challenge := range challenges {
		if challenge.Type == deviceAttest {
			return &challenges[i]
		}
	}
	return nil
}

// object sends a request that is answered with an object.
func (c *acmeClient) object(ctx context.Context, at string, body any) (object acmeObject, a reply, err error) {
	if a, err = c.post(ctx, at, body); err != nil {
		return object, a, err
	}
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		return object, a, c.refusal(a)
	}
	return object, a, c.remote.readJSON(a, &object)
}

// follow reads an object as long as its state is not the last.
func (c *acmeClient) follow(ctx context.Context, at string, going func(*acmeObject) bool) (acmeObject, error) {
	for {
		object, a, err := c.object(ctx, at, nil)
		if err != nil || !going(&object) {
			return object, err
		}
		if err := c.pause(ctx, a); err != nil {
			return object, err
		}
	}
}

// failed is the error of an order that came to nothing.
func (c *acmeClient) failed(status string, why *acmeError) error {
	p := problem.New(problem.Failed, "%s did not issue a certificate", c.remote.base.Host)
	if why == nil {
		return p.Because("It calls the order %s.", plain(status))
	}
	return p.Because("%s", problem.Sentence(plain(why.words())))
}
