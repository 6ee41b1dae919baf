package token

import (
	"context"
	"crypto"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// place is a key, or a place for one, on a token.
type place struct {
	token   *Token
	session *p11.Session
	ref     key.Reference
	uri     p11.URI
	access  key.Access

	contents *p11.Contents  // nil where it has to be read
	shown    *p11.StoredKey // what is read of it to sign
	begun    *p11.Reading   // what contents goes on with
	asked    int            // how often somebody had been asked when it began
	loggedIn bool
	refused  error // what became of the login
	// private is the private half of privateOf, as the session has it.
	private   *p11.Key
	privateOf *p11.StoredKey
	// seen is the key that Occupant told of: the one that may be overwritten.
	seen crypto.PublicKey
	// of is the key where it was found by a look at the whole token: nil for one that
	// the URI names.
	of *p11.StoredKey
	// mended is what of names was put right.
	mended []string
	// complete says that contents is everything that the token shows.
	complete bool
	// chosen is the certificate that Shelved found best.
	chosen *p11.StoredCertificate
	// written is the certificate that was written last.
	written *p11.StoredCertificate
}

func (k *place) Reference() key.Reference { return k.ref }

// Occupant tells of the key by its public half. Most tokens show that before
// the login; where only a certificate speaks of the key, the PIN is needed to
// know: without one it is unknown whether there is a key.
func (k *place) Occupant(ctx context.Context) (*key.Occupant, error) {
	stored, err := k.briefly(ctx)
	if err == nil && stored != nil && !stored.HasPublic && !stored.HasPrivate {
		if !k.access.Policy.Asks() && k.session.Token().LoginRequired && !k.session.LoggedIn() {
			return &key.Occupant{Unknown: true}, nil
		}
		if err = k.login(ctx); err == nil {
			stored, err = k.stored(ctx)
		}
	}
	if err != nil || stored == nil {
		return nil, err
	}
	if stored.Public == nil {
		return nil, k.unreported(stored)
	}
	k.seen = stored.Public
	occupant := occupantOf(stored)
	return &occupant, nil
}

func occupantOf(stored *p11.StoredKey) key.Occupant {
	o := key.Occupant{Fingerprint: pubkey.Fingerprint(stored.Public), Algorithm: key.AlgorithmOf(stored.Public), Label: stored.Label}
	for i, may := range []bool{stored.Sign, stored.Decrypt, stored.Derive} {
		if may {
			o.Usage = append(o.Usage, []key.Usage{key.Sign, key.Decrypt, key.Derive}[i])
		}
	}
	return o
}

func (k *place) Public(ctx context.Context) (crypto.PublicKey, error) {
	stored, err := k.used(ctx)
	if err != nil {
		return nil, err
	}
	if stored.Public == nil {
		return nil, k.unreported(stored)
	}
	return stored.Public, nil
}

// stored is the key that the URI names, nil where there is none.
func (k *place) stored(ctx context.Context) (*p11.StoredKey, error) {
	if k.of != nil {
		return k.of, nil
	}
	contents, err := k.read(ctx)
	if err != nil {
		return nil, err
	}
	switch meant := contents.Named(k.uri); len(meant) {
	case 0:
		return nil, nil
	case 1:
		return &meant[0], nil
	default:
		return nil, k.several(meant)
	}
}

// needed is the key that the URI names, which has to be there. A key that is
// not seen may be hidden until the login.
func (k *place) needed(ctx context.Context) (*p11.StoredKey, error) {
	stored, err := k.stored(ctx)
	if err != nil || stored != nil && stored.Public != nil {
		return stored, err
	}
	if k.session.Token().LoginRequired && !k.loggedIn {
		switch err := k.login(ctx); {
		case problem.Is(err, problem.Usage): // nobody can be asked
		case err != nil:
			return nil, err
		default:
			if stored, err = k.stored(ctx); err != nil {
				return nil, err
			}
		}
	}
	if stored == nil {
		return nil, k.missing(ctx)
	}
	return stored, nil
}

// used is the key that is to sign, of which no more is read than that takes.
func (k *place) used(ctx context.Context) (*p11.StoredKey, error) {
	if shown, err := k.glance(ctx); shown != nil || err != nil {
		return shown, err
	}
	return k.needed(ctx)
}

// briefly is stored, and reads no more than it takes.
func (k *place) briefly(ctx context.Context) (*p11.StoredKey, error) {
	if k.of == nil {
		if shown, err := k.glance(ctx); shown != nil || err != nil {
			return shown, err
		}
	}
	return k.stored(ctx)
}

// glance is the key where few calls tell of it, nil where they do not.
func (k *place) glance(ctx context.Context) (*p11.StoredKey, error) {
	if k.shown != nil || k.contents != nil {
		return k.shown, nil
	}
	var err error
	k.shown, k.begun, err = k.session.Shown(ctx, k.uri)
	k.asked = k.token.asked
	return k.shown, key.Explain(err, k.ref.String(), "")
}

func (k *place) read(ctx context.Context, others ...p11.Names) (*p11.Contents, error) {
	if k.contents != nil {
		return k.contents, nil
	}
	contents, err := k.session.Named(ctx, k.uri, k.begun, others...)
	if err != nil {
		return nil, key.Explain(err, k.ref.String(), "")
	}
	k.contents, k.begun = &contents, nil
	return k.contents, nil
}

// forget lets everything be read again.
func (k *place) forget() { k.contents, k.complete, k.shown, k.begun, k.of = nil, false, nil, nil, nil }

// reread is forget, after a login: where nobody was asked, no time passed, and what was
// read is not read again.
func (k *place) reread() {
	begun := k.begun
	if k.forget(); k.asked == k.token.asked {
		k.begun = begun.Anew()
	}
}

// missing is the error for a key that is not there. It offers the key whose ID was
// meant where the ID was written in hex.
func (k *place) missing(ctx context.Context) error {
	p := problem.New(problem.NotFound, "%s: the token %q has no such key", k.ref, k.session.Token().Label).
		Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Module, k.token.module.Path()), advice.Set(advice.Key, k.ref.String())))
	meant, err := k.inHex(ctx)
	if err != nil {
		return err
	}
	if meant != nil {
		return p.Because("A URI has the bytes of an ID percent-encoded (RFC 7512). A key with the ID in hex is there.").
			Advise(advice.Repeat(advice.Set(advice.Key, meant.String())))
	}
	some, err := k.session.AFew(ctx)
	switch {
	case err != nil:
		return key.Explain(err, k.ref.String(), "")
	case len(some.Keys) == 0:
		return p.Because("The token shows no keys at all.")
	}
	return p.Because("Its keys: %s%s.", k.list(some.Keys), some.AndMore())
}

// inHex is the URI with the bytes of an ID that was written in hex digits, nil where
// no key has them.
func (k *place) inHex(ctx context.Context) (*p11.URI, error) {
	written, _ := k.uri.Get(p11.AttrID)
	id, err := hex.DecodeString(strings.TrimPrefix(strings.ToLower(written), "0x"))
	if err != nil || len(id) == 0 {
		return nil, nil
	}
	meant := k.uri.With(p11.AttrID, string(id))
	contents, err := k.session.Named(ctx, meant, nil)
	if err != nil || len(contents.Named(meant)) == 0 {
		return nil, key.Explain(err, k.ref.String(), "")
	}
	return &meant, nil
}

func (k *place) several(meant []p11.StoredKey) error {
	return problem.New(problem.NotFound, "%s matches %d keys on the token %q", k.ref, len(meant), k.session.Token().Label).
		Because("Its keys: %s%s.", k.list(meant), k.contents.AndMore()).
		Advise(k.show())
}

func (k *place) list(keys []p11.StoredKey) string {
	var list []string
	for _, stored := range keys {
		list = append(list, fmt.Sprintf("%s (%s)", k.session.URI(stored), key.AlgorithmOf(stored.Public)))
	}
	slices.Sort(list) // tokens have no order
	return strings.Join(list, ", ")
}

func (k *place) unreported(stored *p11.StoredKey) error {
	return key.Explain(k.session.Unreported(stored.ID), k.ref.String(), "")
}

// show shows what is on the token.
func (k *place) show() advice.Advice { return k.token.module.Show(k.session.Token()) }

// login logs in, once.
func (k *place) login(ctx context.Context) error {
	if k.loggedIn || k.refused != nil {
		return k.refused
	}
	if !k.session.LoggedIn() && k.session.Token().LoginRequired {
		err := k.access.Policy.Send(ctx, k.pin(), func(ctx context.Context, value *secret.Bytes) error {
			return k.session.LoginWith(ctx, p11.User, value)
		})
		if err != nil {
			k.refused = key.Explain(k.session.Explain(ctx, err), k.ref.String(), "")
			return k.refused
		}
	}
	k.loggedIn = true
	k.reread()
	return nil
}

// VerifyPIN logs in, unless somebody has.
func (k *place) VerifyPIN(ctx context.Context) error { return k.login(ctx) }

// PIN is the user PIN for everything.
func (k *place) PIN(context.Context, key.Purpose) (pin.PIN, error) {
	return k.pin(), nil
}

func (k *place) pin() pin.PIN { return PIN(k.token.module, k.session, k.token.line.ChildEnv()) }

// Holder is what programs know the token and its key by.
func (k *place) Holder(context.Context) (key.Holder, error) {
	t := k.session.Token()
	return key.Holder{Card: holder(t), Serial: t.Serial, URI: k.ref.String()}, nil
}

// KnownAs is what programs call the key.
func (k *place) KnownAs(ctx context.Context) (p11.KnownAs, error) {
	public, err := k.Public(ctx)
	if err != nil {
		return p11.KnownAs{}, err
	}
	view, err := k.view(ctx)
	if err != nil {
		return p11.KnownAs{}, err
	}
	return view.KnownAs(public), nil
}

// SerializedID names the certificate of the key to OpenVPN.
func (k *place) SerializedID(ctx context.Context) (string, error) {
	c, err := k.certificate(ctx)
	if err != nil || c == nil {
		return "", err
	}
	view, err := k.view(ctx)
	if err != nil {
		return "", err
	}
	return view.SerializedID(c), nil
}

// view is all that programs see on the token.
func (k *place) view(ctx context.Context) (*p11.View, error) {
	everything := k.contents
	if !k.complete {
		read, err := k.session.Contents(ctx)
		if err != nil {
			return nil, key.Explain(err, k.ref.String(), "")
		}
		everything = &read
	}
	view := k.session.View(everything)
	return &view, nil
}

// Algorithms are those that the token makes.
func (k *place) Algorithms(ctx context.Context) ([]key.Algorithm, error) {
	var made []key.Algorithm
	for _, a := range key.Algorithms() {
		makes, err := k.session.Makes(ctx, string(a))
		if err != nil {
			return nil, key.Explain(err, k.ref.String(), "")
		}
		if makes {
			made = append(made, a)
		}
	}
	return made, nil
}
