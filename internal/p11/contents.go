package p11

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Contents is what a token shows now. Before the login most tokens hide their
// private keys.
type Contents struct {
	Keys []StoredKey
	// Certificates are all of them, those of keys too.
	Certificates []StoredCertificate
	// Unread is how many objects there are besides, which were not read.
	Unread int
}

// AndMore ends a list of what was read in an error.
func (c *Contents) AndMore() string {
	if c.Unread == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more objects", c.Unread)
}

// StoredKey is one key: the objects that belong together by their public key,
// or by their ID where the token does not tell one.
type StoredKey struct {
	ID    []byte
	Label string
	// Public is nil where there is only a private key object, which does not
	// tell it.
	Public crypto.PublicKey
	// HasPrivate and HasPublic say of which objects it consists. Neither is
	// set for the key of a certificate whose private key may be hidden until
	// the login.
	HasPrivate bool
	HasPublic  bool
	// Sign, Decrypt and Derive are what the private key object says it is for.
	Sign, Decrypt, Derive bool
	// Certificates are those for this key, and those that have its ID and are
	// for another one.
	Certificates []StoredCertificate

	names             []name
	privateNames      []name // of its private key objects
	privates, publics []object
}

// StoredCertificate is a certificate object.
type StoredCertificate struct {
	ID    []byte
	Label string
	// DER is the value as it is on the token; it may be no certificate.
	DER []byte

	parsed *cert.Certificate // nil where it is none
	handle object
}

// name is what an object is found by.
type name struct {
	id    []byte
	label string
}

// Contents reads everything that the token shows: one call an object.
func (s *Session) Contents(ctx context.Context) (Contents, error) {
	c, err := again(ctx, s, "C_FindObjects", func() (Contents, error) {
		r := s.reading()
		err := r.everything(maxObjects)
		return r.contents(), err
	})
	return c, s.Explain(ctx, err)
}

func newStoredCertificate(o object, v values) StoredCertificate {
	c := StoredCertificate{ID: v[pkcs11.CKA_ID], Label: string(v[pkcs11.CKA_LABEL]), DER: v[pkcs11.CKA_VALUE], handle: o}
	c.parsed, _ = cert.Parse(c.DER)
	return c
}

func (v values) name() name { return name{v[pkcs11.CKA_ID], string(v[pkcs11.CKA_LABEL])} }

func (k *StoredKey) addPrivate(o object, v values) {
	if id := v.name().id; !k.HasPrivate && len(id) > 0 {
		k.ID = id // by which programs find the key of a certificate
	}
	k.HasPrivate, k.privates = true, append(k.privates, o)
	k.privateNames = append(k.privateNames, v.name())
	k.Sign, k.Decrypt, k.Derive = v.uses()
	k.call(v.name())
}

// keyFor is the key with this public key, which is added where it is new.
func (c *Contents) keyFor(public crypto.PublicKey) *StoredKey {
	for i := range c.Keys {
		if pubkey.Same(c.Keys[i].Public, public) {
			return &c.Keys[i]
		}
	}
	c.Keys = append(c.Keys, StoredKey{Public: public})
	return &c.Keys[len(c.Keys)-1]
}

// keyOfPrivate is the key that a private key object belongs to, which may say
// nothing of its public key.
func (c *Contents) keyOfPrivate(v values) *StoredKey {
	if told := v.publicKey(); told != nil {
		return c.keyFor(told)
	}
	n, kind := v.name(), v.number(pkcs11.CKA_KEY_TYPE)
	if len(n.id) > 0 {
		for _, has := range []func(*StoredKey, []byte) bool{(*StoredKey).hasID, (*StoredKey).makesID} {
			for i := range c.Keys {
				if k := &c.Keys[i]; has(k, n.id) && isOfKind(k.Public, kind) {
					return k
				}
			}
		}
		for _, certificate := range c.Certificates {
			if certificate.parsed != nil && bytes.Equal(certificate.ID, n.id) && isOfKind(certificate.parsed.PublicKey, kind) {
				return c.keyFor(certificate.parsed.PublicKey)
			}
		}
	}
	if len(n.id) == 0 {
		if k := c.namesake(n, kind); k != nil {
			return k
		}
	}
	c.Keys = append(c.Keys, StoredKey{})
	return &c.Keys[len(c.Keys)-1]
}

// hasID reports whether an object of the key has the ID.
func (k *StoredKey) hasID(id []byte) bool {
	return slices.ContainsFunc(k.names, func(n name) bool { return bytes.Equal(n.id, id) })
}

// makesID reports whether the ID is that of the public key: an interrupted command may have
// left it to the private half alone.
func (k *StoredKey) makesID(id []byte) bool {
	return k.HasPublic && bytes.Equal(KeyID(k.Public), id)
}

// divided reports whether the halves have different IDs, of which the private one's is that of
// the public key.
func (k *StoredKey) divided() bool {
	return k.HasPrivate && k.makesID(k.ID) && slices.ContainsFunc(k.names, func(n name) bool { return !bytes.Equal(n.id, k.ID) })
}

// namesake is the one key of a kind that has no ID either and the same label, nil
// where there is none or more than one.
func (c *Contents) namesake(n name, kind uint) *StoredKey {
	var found *StoredKey
	for i := range c.Keys {
		k := &c.Keys[i]
		if len(k.ID) > 0 || k.Label != n.label || !isOfKind(k.Public, kind) {
			continue
		}
		if found != nil {
			return nil
		}
		found = k
	}
	return found
}

func isOfKind(public crypto.PublicKey, kind uint) bool {
	own, ok := keyType(public)
	return ok && own == kind
}

// hiddenKeys adds the keys that certificates speak of. Those of a CA are not
// the token's own.
func (c *Contents) hiddenKeys() {
	for _, certificate := range c.Certificates {
		if certificate.parsed == nil || certificate.parsed.IsCA || len(certificate.ID) == 0 {
			continue
		}
		if _, known := keyType(certificate.parsed.PublicKey); !known {
			continue
		}
		if k := c.keyFor(certificate.parsed.PublicKey); len(k.names) == 0 {
			k.call(name{certificate.ID, certificate.Label})
		}
	}
}

func (c *Contents) certificatesOf(k *StoredKey) []StoredCertificate {
	var own []StoredCertificate
	for _, certificate := range c.Certificates {
		if certificate.parsed != nil && pubkey.Same(certificate.parsed.PublicKey, k.Public) ||
			len(k.ID) > 0 && bytes.Equal(certificate.ID, k.ID) {
			own = append(own, certificate)
		}
	}
	return own
}

// call gives the key a name that one of its objects has.
func (k *StoredKey) call(n name) {
	k.names = append(k.names, n)
	if len(k.ID) == 0 {
		k.ID = n.id
	}
	if k.Label == "" {
		k.Label = n.label
	}
}

// Named are the keys that the URI can mean; all of them where it names only a
// token. One of which there is but a certificate, as a deleted key leaves it, is
// not meant where there is another.
func (c *Contents) Named(u URI) []StoredKey {
	var meant []StoredKey
	id, byID := u.Get(AttrID)
	label, byLabel := u.Get(AttrObject)
	for _, k := range c.Keys {
		if slices.ContainsFunc(k.names, func(n name) bool {
			return (!byID || string(n.id) == id) && (!byLabel || n.label == label)
		}) {
			meant = append(meant, k)
		}
	}
	if (byID || byLabel) && slices.ContainsFunc(meant, StoredKey.isThere) {
		meant = slices.DeleteFunc(meant, func(k StoredKey) bool { return !k.isThere() })
	}
	return meant
}

// isThere reports whether there is more of a key than a certificate.
func (k StoredKey) isThere() bool { return k.HasPublic || k.HasPrivate }

// Replacing is what the token shows after a key took the place of another.
func (c *Contents) Replacing(old, made StoredKey) *Contents {
	now := &Contents{Certificates: c.Certificates, Unread: c.Unread}
	made.names = []name{{made.ID, made.Label}}
	for _, k := range append(slices.Clone(c.Keys), made) {
		if !pubkey.Same(k.Public, old.Public) {
			k.Certificates = now.certificatesOf(&k)
			now.Keys = append(now.Keys, k)
		}
	}
	return now
}

// NamedCertificates are the certificates with the ID and the label that the URI
// has; none where it names only a token.
func (c *Contents) NamedCertificates(u URI) []StoredCertificate {
	var meant []StoredCertificate
	id, byID := u.Get(AttrID)
	label, byLabel := u.Get(AttrObject)
	for _, certificate := range c.Certificates {
		if (byID || byLabel) && (!byID || string(certificate.ID) == id) && (!byLabel || certificate.Label == label) {
			meant = append(meant, certificate)
		}
	}
	return meant
}

// NamesKey reports whether the URI means one key, and not only a token.
func (u URI) NamesKey() bool { return Wanted{URI: u}.namesKey() }

// URI names the key on its token by what it has, ID and label.
func (s *Session) URI(k StoredKey) URI {
	u := s.token.uri()
	if len(k.ID) > 0 {
		u.Path = append(u.Path, Attribute{AttrID, string(k.ID)})
	}
	if k.Label != "" {
		u.Path = append(u.Path, Attribute{AttrObject, k.Label})
	}
	if len(k.ID) == 0 && k.Label == "" { // what is empty matches what is empty
		u.Path = append(u.Path, Attribute{AttrID, ""}, Attribute{AttrObject, ""})
	}
	return u
}

// Matches reports whether the certificate is for the key.
func (c StoredCertificate) Matches(public crypto.PublicKey) bool {
	return c.parsed != nil && pubkey.Same(c.parsed.PublicKey, public)
}

// Parsed is the certificate, nil where the object holds none.
func (c StoredCertificate) Parsed() *cert.Certificate { return c.parsed }
