package p11

import (
	"context"
	"crypto"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
)

// What one command asks of a module does not grow with the token: it searches by
// the names that an object has, and reads what it finds.

// Names are what objects are searched by, any of them: an ID, a label, a public key.
type Names struct {
	ID     []byte
	Label  string
	Public crypto.PublicKey
}

// Reading collects objects, each of which is read once.
type Reading struct {
	session                         *Session
	certificates, publics, privates []readObject
	seen                            map[object]bool
	searched                        map[string]bool
	unread                          int
	reopened                        bool // the session had been, by then
}

type readObject struct {
	handle object
	values values
}

// Anew searches again, after a login, and does not read again what was read a moment
// ago. It is nil where the objects may be others.
func (r *Reading) Anew() *Reading {
	if r == nil || r.reopened != r.session.reopened {
		return nil
	}
	r.searched = make(map[string]bool)
	return r
}

func (s *Session) reading() *Reading {
	return &Reading{session: s, reopened: s.reopened, seen: make(map[object]bool), searched: make(map[string]bool)}
}

// Named reads what the URI can mean, and what goes with it: the objects with its ID,
// or else its label, those that have an ID of what was found, and those with other
// names. Of a token without a name of a key it reads a few objects.
//
// It goes on with what Shown began, which may be nil.
func (s *Session) Named(ctx context.Context, u URI, begun *Reading, others ...Names) (Contents, error) {
	c, err := again(ctx, s, "C_FindObjects", func() (Contents, error) {
		r := begun
		if begun = nil; r == nil { // the handles of a session that ended are good for nothing
			r = s.reading()
		}
		err := r.named(u, others)
		return r.contents(), err
	})
	return c, s.Explain(ctx, err)
}

// Shown is the one key that the URI names, with its public half, where the token
// shows so much: that takes few calls. It is nil where only Named tells, and tells
// nothing of certificates. Named goes on with the reading.
func (s *Session) Shown(ctx context.Context, u URI) (*StoredKey, *Reading, error) {
	having := u.name()
	if having == nil {
		return nil, nil, nil
	}
	r, err := again(ctx, s, "C_FindObjects", func() (*Reading, error) {
		r := s.reading()
		return r, r.search(*having)
	})
	if err != nil {
		return nil, nil, s.Explain(ctx, err)
	}
	c := r.contents()
	meant := c.Named(u)
	if len(meant) != 1 || !meant[0].HasPublic {
		return nil, r, nil
	}
	meant[0].Certificates = nil
	return &meant[0], r, nil
}

// few is how many objects of a class are read where none was named.
const few = 16

// AFew reads a few of the objects that the token shows, for an error that lists
// them.
func (s *Session) AFew(ctx context.Context) (Contents, error) {
	c, err := again(ctx, s, "C_FindObjects", func() (Contents, error) {
		r := s.reading()
		err := r.everything(few)
		return r.contents(), err
	})
	return c, s.Explain(ctx, err)
}

// name is the attribute by which objects that the URI means are searched: the ID,
// else the label, nil where it has none.
func (u URI) name() *objectAttribute {
	if id, ok := u.Get(AttrID); ok && id != "" {
		return &objectAttribute{pkcs11.CKA_ID, []byte(id)}
	}
	if label, ok := u.Get(AttrObject); ok && label != "" {
		return &objectAttribute{pkcs11.CKA_LABEL, []byte(label)}
	}
	return nil
}

func (r *Reading) named(u URI, others []Names) error {
	having := u.name()
	if having == nil {
		most := few
		if u.NamesKey() { // by an empty name, which few modules search by
			most = maxObjects
		}
		if err := r.everything(most); err != nil {
			return err
		}
	} else if err := r.search(*having); err != nil {
		return err
	}
	for _, n := range others {
		if err := r.searchNames(n); err != nil {
			return err
		}
	}
	if having == nil {
		return nil
	}
	for _, id := range r.ids() {
		if err := r.search(objectAttribute{pkcs11.CKA_ID, id}); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reading) searchNames(n Names) error {
	var having []objectAttribute
	if len(n.ID) > 0 {
		having = append(having, objectAttribute{pkcs11.CKA_ID, n.ID})
	}
	if n.Label != "" {
		having = append(having, objectAttribute{pkcs11.CKA_LABEL, []byte(n.Label)})
	}
	for _, a := range identifying(n.Public) {
		if a.kind != ckaPublicKeyInfo { // public key objects have the value itself
			having = append(having, a)
		}
	}
	for _, a := range having {
		if err := r.search(a); err != nil {
			return err
		}
	}
	return nil
}

// ids are those of the keys that were found, each once; where a key has none, the
// one that its certificate is likely to have.
func (r *Reading) ids() [][]byte {
	var ids [][]byte
	for _, o := range slices.Concat(r.publics, r.privates) {
		id := o.values[pkcs11.CKA_ID]
		if len(id) == 0 {
			id = KeyID(o.values.publicKey())
		}
		if len(id) > 0 && !contains(ids, id) {
			ids = append(ids, id)
		}
	}
	const most = 4
	return ids[:min(len(ids), most)]
}

// search reads the objects of any class that have an attribute. The class of an
// object is read with it, so the value of a certificate is another call: that of a
// private key is never asked for.
func (r *Reading) search(having objectAttribute) error {
	key := fmt.Sprintf("%x=%x", having.kind, having.value)
	if r.searched[key] {
		return nil
	}
	r.searched[key] = true
	s := r.session
	found, err := s.module.library.findObjects(s.handle, []objectAttribute{having})
	if err != nil {
		return err
	}
	for _, o := range found {
		if r.seen[o] {
			continue
		}
		r.seen[o] = true
		v, err := s.read(o, anyAttributes)
		if err != nil {
			return err
		}
		if err := r.add(o, v); err != nil {
			return err
		}
	}
	return nil
}

// add sorts an object in by its class.
func (r *Reading) add(o object, v values) error {
	switch v.number(pkcs11.CKA_CLASS) {
	case pkcs11.CKO_CERTIFICATE:
		value, err := r.session.read(o, []uint{pkcs11.CKA_VALUE})
		if err != nil {
			return err
		}
		v[pkcs11.CKA_VALUE] = value[pkcs11.CKA_VALUE]
		r.certificates = append(r.certificates, readObject{o, v})
	case pkcs11.CKO_PUBLIC_KEY:
		r.publics = append(r.publics, readObject{o, v})
	case pkcs11.CKO_PRIVATE_KEY:
		r.privates = append(r.privates, readObject{o, v})
	}
	return nil
}

// everything reads the objects of each class, up to a number of them.
func (r *Reading) everything(most int) error {
	for _, c := range []struct {
		class      uint
		attributes []uint
		into       *[]readObject
	}{
		{pkcs11.CKO_CERTIFICATE, certificateAttributes, &r.certificates},
		{pkcs11.CKO_PUBLIC_KEY, publicAttributes, &r.publics},
		{pkcs11.CKO_PRIVATE_KEY, privateAttributes, &r.privates},
	} {
		found, err := r.session.objects(c.class)
		if err != nil {
			return err
		}
		r.unread += max(0, len(found)-most)
		for _, o := range found[:min(len(found), most)] {
			v, err := r.session.read(o, c.attributes)
			if err != nil {
				return err
			}
			*c.into = append(*c.into, readObject{o, v})
		}
	}
	return nil
}

// contents puts together what belongs together.
func (r *Reading) contents() Contents {
	c := Contents{Unread: r.unread}
	for _, o := range r.certificates {
		c.Certificates = append(c.Certificates, newStoredCertificate(o.handle, o.values))
	}
	for _, o := range r.publics {
		if public := o.values.publicKey(); public != nil {
			k := c.keyFor(public)
			k.HasPublic, k.publics = true, append(k.publics, o.handle)
			k.call(o.values.name())
		}
	}
	for _, o := range r.privates {
		c.keyOfPrivate(o.values).addPrivate(o.handle, o.values)
	}
	if r.session.token.LoginRequired && !r.session.loggedIn {
		c.hiddenKeys()
	}
	for i := range c.Keys {
		c.Keys[i].Certificates = c.certificatesOf(&c.Keys[i])
	}
	return c
}
