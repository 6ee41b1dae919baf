package cmp

import (
	"bytes"
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
)

// ErrDamaged is what is not a message that can be used.
var ErrDamaged = errors.New("not a CMP message")

// Limits of what an answer may hold.
const (
	maxCertificates = 32
	maxTexts        = 16
	maxInfos        = 64
)

// Message is a PKIMessage (RFC 9810, 5.1) that was read. None of it is to be believed before
// its protection is verified.
type Message struct {
	Version int
	// Sender is empty where the sender has no name, or one of another kind.
	Sender                                 cert.Name
	KeyID                                  []byte
	TransactionID, SenderNonce, RecipNonce []byte
	// ImplicitConfirm says that no confirmation is expected (RFC 9810, 5.1.1.1).
	ImplicitConfirm bool

	Kind Kind
	// Extra are the certificates that came with it, as far as they can be read.
	Extra []*cert.Certificate

	content    ber.Element
	part       []byte // ProtectedPart
	algorithm  asn1.ObjectIdentifier
	parameters ber.Element
	protection []byte
}

// Parse reads a message.
func Parse(der []byte) (*Message, error) {
	const most = 4
	outer, rest, err := ber.Read(der)
	if err != nil || len(rest) > 0 || !outer.Is(ber.Sequence) {
		return nil, ErrDamaged
	}
	parts, err := outer.Elements(most)
	if err != nil || len(parts) < 2 || !parts[0].Is(ber.Sequence) || parts[1].Class != ber.Context {
		return nil, ErrDamaged
	}
	m := &Message{Kind: Kind(parts[1].Tag)}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(parts[0].Raw)
		b.AddBytes(parts[1].Raw)
	})
	if m.part, err = b.Bytes(); err != nil {
		return nil, ErrDamaged
	}
	if m.content, err = only(parts[1]); err != nil {
		return nil, err
	}
	if err := m.readHeader(parts[0]); err != nil {
		return nil, err
	}
	for _, part := range parts[2:] {
		switch {
		case part.IsContext(0):
			err = m.readProtection(part)
		case part.IsContext(1):
			err = m.readExtra(part)
		default:
			err = ErrDamaged
		}
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// only is the one element in another.
func only(e ber.Element) (ber.Element, error) {
	list, err := e.Elements(1)
	if err != nil || len(list) != 1 {
		return ber.Element{}, ErrDamaged
	}
	return list[0], nil
}

// readHeader reads PKIHeader (RFC 9810, 5.1.1).
func (m *Message) readHeader(header ber.Element) error {
	const fixed, most = 3, 12
	list, err := header.Elements(most)
	if err != nil || len(list) < fixed {
		return ErrDamaged
	}
	m.Version = list[0].SmallInt()
	if list[1].IsContext(directoryName) {
		name, err := only(list[1])
		if err != nil {
			return err
		}
		if m.Sender, _, err = cert.ParseName(name.Raw); err != nil {
			return ErrDamaged
		}
	}
	seen := -1
	for _, field := range list[fixed:] {
		if field.Class != ber.Context || field.Tag <= seen {
			return ErrDamaged
		}
		seen = field.Tag
		if err := m.readField(field); err != nil {
			return err
		}
	}
	return nil
}

func (m *Message) readField(field ber.Element) (err error) {
	const algorithm, keyID, transaction, senderNonce, recipNonce, info = 1, 2, 4, 5, 6, 8
	value, err := only(field)
	if err != nil {
		return err
	}
	switch field.Tag {
	case algorithm:
		m.algorithm, m.parameters, err = algorithmOf(value)
	case keyID:
		m.KeyID, err = octetsOf(value)
	case transaction:
		m.TransactionID, err = octetsOf(value)
	case senderNonce:
		m.SenderNonce, err = octetsOf(value)
	case recipNonce:
		m.RecipNonce, err = octetsOf(value)
	case info:
		err = m.readInfo(value)
	}
	return err
}

// oidImplicitConfirm is RFC 9810, 5.1.1.1.
const oidImplicitConfirm = "1.3.6.1.5.5.7.4.13"

func (m *Message) readInfo(list ber.Element) error {
	infos, err := list.Elements(maxInfos)
	if err != nil {
		return ErrDamaged
	}
	for _, info := range infos {
		oid, _, err := algorithmOf(info) // InfoTypeAndValue has the same form
		if err != nil {
			return err
		}
		m.ImplicitConfirm = m.ImplicitConfirm || oid.String() == oidImplicitConfirm
	}
	return nil
}

// octetsOf is an OCTET STRING.
func octetsOf(e ber.Element) ([]byte, error) {
	value, err := e.Octets()
	if err != nil || !e.Is(ber.OctetString) {
		return nil, ErrDamaged
	}
	return value, nil
}

// algorithmOf reads an AlgorithmIdentifier.
func algorithmOf(e ber.Element) (oid asn1.ObjectIdentifier, parameters ber.Element, err error) {
	if oid, parameters, err = e.Algorithm(); err != nil {
		return nil, parameters, ErrDamaged
	}
	return oid, parameters, nil
}

func (m *Message) readProtection(part ber.Element) error {
	bits, err := only(part)
	if err != nil || !bits.Is(ber.BitString) {
		return ErrDamaged
	}
	value, err := bits.Octets()
	if err != nil || len(value) < 2 || value[0] != 0 {
		return ErrDamaged
	}
	m.protection = value[1:]
	return nil
}

func (m *Message) readExtra(part ber.Element) error {
	list, err := only(part)
	if err != nil {
		return err
	}
	m.Extra, err = certificates(list)
	return err
}

// certificates reads those of a SEQUENCE OF CMPCertificate. Others than those of X.509,
// and damaged ones, are left out: nothing depends on them.
func certificates(list ber.Element) (all []*cert.Certificate, err error) {
	elements, err := list.Elements(maxCertificates)
	if err != nil {
		return nil, ErrDamaged
	}
	for _, e := range elements {
		c, err := cert.Parse(e.Raw)
		if err == nil && !hasEqual(all, c) {
			all = append(all, c)
		}
	}
	return all, nil
}

func hasEqual(list []*cert.Certificate, c *cert.Certificate) bool {
	for _, other := range list {
		if bytes.Equal(other.Raw, c.Raw) {
			return true
		}
	}
	return false
}
