package key

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// OpenToken finds the key that an RFC 7512 URI names on a token of the module.
// A URI with an ID or a label that no key has is an empty slot, whose key will
// have them. The caller closes the session that is opened for it; the module
// stays the caller's.
func OpenToken(ctx context.Context, module *p11.Module, ref Reference, access Access) (Key, io.Closer, error) {
	if ref.Application != PKCS11 {
		return nil, nil, problem.New(problem.Usage, "%s is not a key of a PKCS#11 token", ref).
			Hint("--key 'pkcs11:token=LABEL;id=%%45'")
	}
	uri, err := p11.ParseURI(ref.ID)
	if err != nil {
		return nil, nil, err
	}
	session, err := module.Open(ctx, uri)
	if err != nil {
		return nil, nil, err
	}
	return &tokenKey{session: session, ref: ref, uri: uri, access: access}, session, nil
}

// NameInToken adds the ID, in hex, and the label of a key to a reference that
// leaves them open. What is empty is not added; a reference that has another
// one already is a problem.Usage.
func NameInToken(ref Reference, id, label string) (Reference, error) {
	if id == "" && label == "" {
		return ref, nil
	}
	if ref.Application != PKCS11 {
		return ref, problem.New(problem.NotSupported, "%s has a fixed name", ref).
			Because("An ID or a label is given to keys of PKCS#11 tokens.")
	}
	uri, err := p11.ParseURI(ref.ID)
	if err != nil {
		return ref, err
	}
	value, err := hex.DecodeString(strings.TrimPrefix(strings.TrimPrefix(id, "0x"), "0X"))
	if err != nil {
		return ref, problem.New(problem.Usage, "%q is not the ID of a key", id).Because("An ID is given in hex, two digits a byte.")
	}
	for _, a := range []p11.Attribute{{Name: p11.AttrID, Value: string(value)}, {Name: p11.AttrObject, Value: label}} {
		there, has := uri.Get(a.Name)
		switch {
		case a.Value == "" || has && there == a.Value:
		case has:
			return ref, problem.New(problem.Usage, "the new key has two names").
				Because("The URI has one %s, and the flag another.", a.Name)
		default:
			uri.Path = append(uri.Path, a)
		}
	}
	return Reference{PKCS11, uri.String()}, nil
}

// tokenKey is a Key on a PKCS#11 token.
type tokenKey struct {
	session *p11.Session
	ref     Reference
	uri     p11.URI
	access  Access

	contents *p11.Contents  // nil where it has to be read
	shown    *p11.StoredKey // what is read of it to sign
	loggedIn bool
	refused  error // what became of the login
	// seen is the key that Occupant told of: the one that may be overwritten.
	seen crypto.PublicKey
	// written is the certificate that was written last.
	written *p11.StoredCertificate
}

func (k *tokenKey) Reference() Reference { return k.ref }

// Occupant tells of the key by its public half. Most tokens show that before
// the login; where only a certificate speaks of the key, the PIN is needed to
// know.
func (k *tokenKey) Occupant(ctx context.Context) (*Occupant, error) {
	stored, err := k.stored(ctx)
	if err == nil && stored != nil && !stored.HasPublic && !stored.HasPrivate {
		if err = k.login(ctx); err == nil {
			stored, err = k.stored(ctx)
		}
	}
	if err != nil || stored == nil {
		return nil, err
	}
	if stored.Public == nil {
		return nil, k.untold()
	}
	k.seen = stored.Public
	occupant := occupantOf(stored.Public)
	return &occupant, nil
}

func occupantOf(public crypto.PublicKey) Occupant {
	return Occupant{Fingerprint: TokenFingerprint(public), Algorithm: AlgorithmOf(public)}
}

// TokenFingerprint names a key that has no fingerprint of its own: the SHA-256
// of its SubjectPublicKeyInfo, upper-case hex of 32 bytes.
func TokenFingerprint(public crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%X", sha256.Sum256(der))
}

func (k *tokenKey) Public(ctx context.Context) (crypto.PublicKey, error) {
	stored, err := k.used(ctx)
	if err != nil {
		return nil, err
	}
	if stored.Public == nil {
		return nil, k.untold()
	}
	return stored.Public, nil
}

// stored is the key that the URI names, nil where there is none.
func (k *tokenKey) stored(ctx context.Context) (*p11.StoredKey, error) {
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
func (k *tokenKey) needed(ctx context.Context) (*p11.StoredKey, error) {
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
		return nil, k.missing()
	}
	return stored, nil
}

// used is the key that is to sign, of which no more is read than that takes.
func (k *tokenKey) used(ctx context.Context) (*p11.StoredKey, error) {
	if k.shown != nil {
		return k.shown, nil
	}
	if k.contents == nil {
		shown, err := k.session.Shown(ctx, k.uri)
		if err != nil {
			return nil, Explain(err, k.ref.String(), "")
		}
		if k.shown = shown; shown != nil {
			return shown, nil
		}
	}
	return k.needed(ctx)
}

func (k *tokenKey) read(ctx context.Context) (*p11.Contents, error) {
	if k.contents != nil {
		return k.contents, nil
	}
	contents, err := k.session.Contents(ctx)
	if err != nil {
		return nil, Explain(err, k.ref.String(), "")
	}
	k.contents = &contents
	return k.contents, nil
}

// forget lets everything be read again.
func (k *tokenKey) forget() { k.contents, k.shown = nil, nil }

func (k *tokenKey) missing() error {
	p := problem.New(problem.NotFound, "%s: there is no such key on the token %q", k.ref, k.session.Token().Label).
		Hint("cardctl gen-key --key '%s' makes one", k.ref)
	if k.contents == nil || len(k.contents.Keys) == 0 {
		return p.Because("It shows no keys at all.")
	}
	return p.Because("It has these: %s.", k.list(k.contents.Keys))
}

func (k *tokenKey) several(meant []p11.StoredKey) error {
	return problem.New(problem.NotFound, "%s names %d keys of the token %q", k.ref, len(meant), k.session.Token().Label).
		Because("They are %s.", k.list(meant)).
		Hint("name one of them, by its id or its object")
}

func (k *tokenKey) list(keys []p11.StoredKey) string {
	var list []string
	for _, stored := range keys {
		list = append(list, fmt.Sprintf("%s (%s)", k.session.URI(stored), AlgorithmOf(stored.Public)))
	}
	slices.Sort(list) // tokens have no order
	return strings.Join(list, ", ")
}

func (k *tokenKey) untold() error {
	return problem.New(problem.NotFound, "%s: the token %q does not tell the public key", k.ref, k.session.Token().Label).
		Because("There is a private key, and neither a public key nor a certificate with its ID.").
		Hint("cardctl delete-key, or write the certificate with the tool that made the key")
}

// login logs in, once.
func (k *tokenKey) login(ctx context.Context) error {
	if k.loggedIn || k.refused != nil {
		return k.refused
	}
	err := k.session.Login(ctx, p11.Login{
		Ask: k.access.Ask, AllowLastTry: k.access.AllowLastTry, Notify: k.access.Notify,
	})
	if err != nil {
		k.refused = Explain(k.session.Explain(ctx, err), k.ref.String(), "")
		return k.refused
	}
	k.loggedIn, k.contents = true, nil
	return nil
}
