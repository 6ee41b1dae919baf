package enroll

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// record is what is remembered of a key, in a file of its own below the state directory.
// It has no secret.
type record struct {
	// Certifier is the issuer of what is on the card.
	Certifier string `json:"certifier,omitempty"`
	// Issuer is who was asked last, Wanted a digest of what for, Asked when that was first.
	Issuer string    `json:"issuer,omitempty"`
	Wanted string    `json:"wanted,omitempty"`
	Asked  time.Time `json:"asked,omitzero"`
	// Request is what was sent; nil where there is a secret in it.
	Request []byte `json:"request,omitempty"`
	// Waiting is what the issuer goes on with.
	Waiting json.RawMessage `json:"waiting,omitempty"`
	// Certificates came, Roots with them, and are not on the card yet.
	Certificates [][]byte `json:"certificates,omitempty"`
	Roots        [][]byte `json:"roots,omitempty"`
	// Unsettled is what the issuer is told the end with.
	Unsettled json.RawMessage `json:"unsettled,omitempty"`
	// Replacing says that a new key takes the place of this one; Of is the certificate of the
	// key whose place this one took.
	Replacing bool   `json:"replacing,omitempty"`
	Of        []byte `json:"of,omitempty"`
	// Implied are those of the order.
	Implied [][]byte `json:"implied,omitempty"`

	path string
}

const maxRecord = 4 << 20 // bytes

// remembered reads the record of a key, which is empty at first.
func remembered(o *Order) (*record, error) {
	path, err := o.remembersIn(o.Serial + "\n" + o.Ref + "\n" + pubkey.Fingerprint(o.PublicKey))
	if err != nil {
		return nil, err
	}
	r := &record{path: path + ".json"}
	text, err := input.Regular(r.path, maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err != nil {
		return nil, problem.Wrap(problem.Failed, err, "cannot read what is remembered of "+o.Ref).
			Because("The file is %s.", r.path).Advise(advice.Run("rm", r.path))
	}
	return r, nil
}

// remembersIn is a file of its own for what is called so, without an ending.
func (o *Order) remembersIn(name string) (string, error) {
	directory, err := o.StateDir()
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(directory, "enrolment", fmt.Sprintf("%x", sum[:16])), err
}

// is reports whether the record is of this request.
func (r *record) is(issuer, wanted string) bool { return r.Issuer == issuer && r.Wanted == wanted }

// forget is a record of nothing that was asked for.
func (r *record) forget() {
	*r = record{Certifier: r.Certifier, Replacing: r.Replacing, Of: r.Of, path: r.path}
}

// asks remembers a request before it is sent, and when it was sent first.
func (r *record) asks(issuer, wanted string, o *Order, now time.Time) error {
	if r.Waiting != nil {
		return nil
	}
	if o.Asked.IsZero() {
		r.Issuer, r.Wanted, r.Asked = issuer, wanted, now
	}
	if o.Request.Challenge == nil {
		r.Request = o.PKCS10
	}
	return r.write()
}

func (r *record) waits(on json.RawMessage) error {
	r.Waiting = on
	return r.write()
}

// came remembers what came, until it is on the card.
func (r *record) came(a Answer) error {
	r.Waiting, r.Unsettled = nil, a.Unsettled
	r.Certificates, r.Roots = encoded(a.Certificates), encoded(a.Roots)
	return r.write()
}

// answer is what came before.
func (r *record) answer() (a Answer, err error) {
	a.Unsettled = r.Unsettled
	if a.Certificates, err = decoded(r.Certificates); err == nil {
		a.Roots, err = decoded(r.Roots)
	}
	if err != nil {
		return a, problem.Wrap(problem.Failed, err, "what is remembered cannot be read").Advise(advice.Run("rm", r.path))
	}
	return a, nil
}

// done forgets a request that has its end.
func (r *record) done() error {
	r.forget()
	return r.write()
}

// stored keeps who certified the key, for its renewal.
func (r *record) stored() error {
	r.Certifier, r.Replacing, r.Of = r.Issuer, false, nil
	if err := r.done(); err != nil {
		return problem.Wrap(problem.Failed, err, "the certificate is on the card, and its issuer is not remembered")
	}
	return nil
}

func (r *record) write() error {
	text, err := json.Marshal(r)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(r.path), 0o700)
	}
	if err == nil {
		err = output.WriteFile(r.path, text, 0o600)
	}
	if err != nil {
		return problem.Wrap(problem.Failed, err, "cannot remember the request").Advise(advice.Run("df", filepath.Dir(r.path)))
	}
	return nil
}

func encoded(list []*cert.Certificate) (all [][]byte) {
	for _, c := range list {
		all = append(all, c.Raw)
	}
	return all
}

func decoded(list [][]byte) (all []*cert.Certificate, err error) {
	for _, der := range list {
		c, err := cert.Parse(der)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}
