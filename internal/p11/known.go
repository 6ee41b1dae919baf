package p11

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"slices"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// KnownAs is what programs that use a module call a key. A name that is not known, or
// that would mean another key too, is empty or nil.
type KnownAs struct {
	// Module is the file of the module that was asked; empty if none could be.
	Module string `json:"module,omitempty"`
	// URI names the private key, and nothing else that the module shows (RFC 7512).
	URI string `json:"uri,omitempty"`
	// Unnamed is why there is no URI.
	Unnamed string `json:"unnamed,omitempty"`
	// KeyLabel is that of the private key, or of the public one while that is hidden.
	KeyLabel         *string `json:"objectLabel,omitempty"`
	CertificateLabel *string `json:"certificateLabel,omitempty"`
	// SerializedID names the certificate of the key to OpenVPN.
	SerializedID string `json:"serializedId,omitempty"`
	// Handle is the ID in hex, as strongSwan's swanctl.conf has it.
	Handle string `json:"handle,omitempty"`
}

// Why a key has no URI.
const (
	notShown   = "The module does not show the key."
	onSeveral  = "Several tokens of the module have the key."
	noPrivate  = "The token has no private key for the public key."
	tooMany    = "The token has more objects than cardctl reads."
	severalIDs = "The public key is on the token with several IDs, and the private key is hidden."
	otherToken = "Another token of the module has the same label and serial number."
	otherKey   = "Another private key on the token has the same ID and label."
)

// KnownAs is what programs call the key with this public half.
func (v *View) KnownAs(public crypto.PublicKey) KnownAs {
	if k := v.key(public); k != nil {
		return v.knownAs(k)
	}
	return KnownAs{Module: v.module.path, Unnamed: notShown}
}

// key is the key with this public half, or with a certificate for it; nil where the
// token shows neither.
func (v *View) key(public crypto.PublicKey) *StoredKey {
	if public == nil {
		return nil
	}
	for i := range v.contents.Keys {
		if k := &v.contents.Keys[i]; pubkey.Same(k.Public, public) {
			return k
		}
	}
	for _, c := range v.contents.Certificates {
		if c.Matches(public) {
			k := &StoredKey{ID: c.ID, Public: public, names: []name{{id: c.ID}}}
			k.Certificates = v.contents.certificatesOf(k)
			return k
		}
	}
	return nil
}

func (v *View) knownAs(k *StoredKey) KnownAs {
	known := KnownAs{Module: v.module.path, KeyLabel: k.ownLabel(), CertificateLabel: k.certificateLabel()}
	names := v.privateNames(k)
	if known.Unnamed = v.uncertain(k, names); known.Unnamed != "" {
		return known
	}
	known.URI, known.Unnamed = v.uri(k, names[0])
	if id := names[0].id; len(id) > 0 && v.matching(part{id: id, byID: true}, k) == 1 {
		known.Handle = hex.EncodeToString(id)
		known.SerializedID = v.serializedID(id, k.Public)
	}
	return known
}

// uncertain is why it is not known what the private key is called.
func (v *View) uncertain(k *StoredKey, names []name) string {
	switch {
	case len(names) == 0:
		return noPrivate
	case v.contents.Unread > 0:
		return tooMany
	case !k.HasPrivate && slices.ContainsFunc(names, func(n name) bool { return !bytes.Equal(n.id, names[0].id) }):
		return severalIDs
	}
	return ""
}

// uri names the private key by its token and its ID, with the label only where another
// key has that ID too. It says why where that does not name it.
func (v *View) uri(k *StoredKey, own name) (uri, why string) {
	if len(v.alone.Path) == 0 {
		return "", otherToken
	}
	u, named := URI{Path: slices.Clone(v.alone.Path)}, part{id: own.id, byID: len(own.id) > 0}
	if named.byID {
		u.Path = append(u.Path, Attribute{AttrID, string(own.id)})
	}
	if v.matching(named, k) != 1 && k.isThere() && own.label != "" {
		named.label, named.byLabel = own.label, true
		u.Path = append(u.Path, Attribute{AttrObject, own.label})
	}
	if v.matching(named, k) != 1 {
		return "", otherKey
	}
	u.Path = append(u.Path, Attribute{AttrType, "private"})
	return u.Plain(), ""
}

// part is what a URI has of a name.
type part struct {
	id            []byte
	label         string
	byID, byLabel bool
}

func (p part) isOf(n name) bool {
	return (!p.byID || bytes.Equal(n.id, p.id)) && (!p.byLabel || n.label == p.label)
}

// matching is how many private keys on the token have part of a name, this one and
// others.
func (v *View) matching(p part, k *StoredKey) int {
	n := v.hits(p, k)
	for i := range v.contents.Keys {
		if other := &v.contents.Keys[i]; other != k {
			n += v.hits(p, other)
		}
	}
	return n
}

// hits is how many private keys with one public half have part of a name: at most one
// of those that the token hides.
func (v *View) hits(p part, k *StoredKey) int {
	n := 0
	for _, own := range v.privateNames(k) {
		if p.isOf(own) {
			n++
		}
	}
	if !k.HasPrivate {
		n = min(n, 1)
	}
	return n
}

// privateNames are those of the private keys with one public half. One that the token
// hides has those of the public key, or of the certificate.
func (v *View) privateNames(k *StoredKey) []name {
	if k.HasPrivate || !v.hides {
		return k.privateNames
	}
	return k.names
}

// ownLabel is the label of the private key, or of the public one; nil where there is
// but a certificate.
func (k *StoredKey) ownLabel() *string {
	switch {
	case k.HasPrivate:
		return &k.privateNames[0].label
	case k.HasPublic:
		return &k.names[0].label
	}
	return nil
}

// certificateLabel is the label of a certificate for the key, of several one with its
// ID; nil where there is none.
func (k *StoredKey) certificateLabel() *string {
	var label *string
	for i := range k.Certificates {
		if c := &k.Certificates[i]; c.Matches(k.Public) && (label == nil || bytes.Equal(c.ID, k.ID)) {
			label = &c.Label
		}
	}
	return label
}

// serializedID names the certificates with an ID to OpenVPN, if all of them are for one
// key.
func (v *View) serializedID(id []byte, public crypto.PublicKey) string {
	found := false
	for _, c := range v.contents.Certificates {
		if !bytes.Equal(c.ID, id) {
			continue
		}
		if !c.Matches(public) {
			return ""
		}
		found = true
	}
	if !found || len(v.alone.Path) == 0 {
		return ""
	}
	return v.token.SerializedID(id)
}

// SerializedID names a certificate to OpenVPN, empty where that could mean that of
// another key.
func (v *View) SerializedID(c *StoredCertificate) string {
	if c.parsed == nil || len(c.ID) == 0 {
		return ""
	}
	return v.serializedID(c.ID, c.parsed.PublicKey)
}
