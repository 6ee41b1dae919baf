// Package cert reads X.509 certificates (RFC 5280) as the world makes them. It keeps the
// bytes, reads what cardctl needs of them (names, public key, dates, extensions), and
// lists what strict software will reject. It refuses only what is not a certificate at
// all. Whether a certificate is good for something is left to package chain.
package cert

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Certificate is what there is in a certificate. Fields with the names of those of
// x509.Certificate hold the same.
type Certificate struct {
	// Raw is the certificate as it was read, without what followed it.
	Raw                     []byte
	RawTBSCertificate       []byte
	RawSubjectPublicKeyInfo []byte
	RawSubject, RawIssuer   []byte

	Version             int
	SerialNumber        *big.Int
	Subject, Issuer     Name
	NotBefore, NotAfter time.Time
	// PublicKey is never nil: a *pubkey.Other where the standard library has no type.
	PublicKey crypto.PublicKey

	// SignatureAlgorithm is the OID, SignatureParameters the DER of its parameters, nil
	// where there are none.
	SignatureAlgorithm  asn1.ObjectIdentifier
	SignatureParameters []byte
	Signature           []byte

	Extensions []Extension
	Extended

	// Odd says what is unusual, a sentence without its end for each: what strict
	// software will reject.
	Odd []string
}

// Extension is RFC 5280, 4.1.2.9.
type Extension struct {
	ID       asn1.ObjectIdentifier
	Critical bool
	Value    []byte
}

// errNone is data that is not a certificate.
var errNone = errors.New("not a certificate")

// The most elements of a structure that are looked at.
const (
	maxExtensions = 256
	maxNames      = 1024
)

// Parse reads the certificate at the beginning of data. What follows it is odd.
func Parse(data []byte) (*Certificate, error) {
	c, rest, err := ParseNext(data)
	if err == nil && len(rest) > 0 {
		c.odd("%d bytes follow the certificate", len(rest))
	}
	return c, err
}

// ParseStored is Parse for what a card holds, which may be padded with zeros or FF.
func ParseStored(data []byte) (*Certificate, error) {
	c, rest, err := ParseNext(data)
	if err == nil && len(bytes.Trim(rest, "\x00\xFF")) > 0 {
		return Parse(data)
	}
	return c, err
}

// ParseNext reads the certificate at the beginning of data, and returns what follows.
func ParseNext(data []byte) (*Certificate, []byte, error) {
	outer, rest, err := ber.Read(data)
	if err != nil {
		return nil, nil, err
	}
	c := &Certificate{Raw: outer.Raw}
	if err := c.parse(outer); err != nil {
		return nil, nil, err
	}
	c.compare()
	return c, rest, nil
}

// Standard is the certificate as crypto/x509 reads it, nil where it refuses. It is read
// again each time: most callers never ask.
func (c *Certificate) Standard() *x509.Certificate {
	standard, err := x509.ParseCertificate(c.Raw)
	if err != nil {
		return nil
	}
	return standard
}

// Equal compares the bytes.
func (c *Certificate) Equal(other *Certificate) bool { return bytes.Equal(c.Raw, other.Raw) }

// Of reads a certificate that crypto/x509 has read.
func Of(standard *x509.Certificate) (*Certificate, error) { return Parse(standard.Raw) }

func (c *Certificate) odd(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, known := range c.Odd {
		if known == text {
			return
		}
	}
	c.Odd = append(c.Odd, text)
}

// compare asks crypto/x509, which is strict, and keeps its reason for what is not in our
// list.
func (c *Certificate) compare() {
	if len(c.Odd) > 0 {
		return
	}
	if _, err := x509.ParseCertificate(c.Raw); err != nil {
		c.odd("strict software rejects it: %s", strings.TrimPrefix(strings.TrimPrefix(err.Error(), "x509: "), "asn1: "))
	}
}

func (c *Certificate) parse(outer ber.Element) error {
	const parts = 3
	list, err := c.elements(outer, parts)
	if !outer.Is(ber.Sequence) || len(list) != parts || !list[0].Is(ber.Sequence) || !list[1].Is(ber.Sequence) || !list[2].Is(ber.BitString) {
		return fmt.Errorf("%w: %w", errNone, orNone(err))
	}
	if outer.NotDER || list[0].NotDER || list[1].NotDER || list[2].NotDER {
		c.odd("its lengths are not encoded as DER requires")
	}
	c.RawTBSCertificate = list[0].Raw
	if c.SignatureAlgorithm, c.SignatureParameters, err = algorithmOf(list[1]); err != nil {
		return err
	}
	if c.Signature, err = bitsOf(list[2]); err != nil {
		return err
	}
	return c.parseTBS(list[0], list[1])
}

// elements are the first of a structure. What follows them is odd.
func (c *Certificate) elements(e ber.Element, limit int) ([]ber.Element, error) {
	list, err := e.Elements(limit)
	if err != nil && len(list) > 0 {
		c.odd("it has data behind one of its structures")
	}
	return list, err
}

func orNone(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

// algorithmOf reads an AlgorithmIdentifier (RFC 5280, 4.1.1.2).
func algorithmOf(e ber.Element) (oid asn1.ObjectIdentifier, parameters []byte, err error) {
	list, err := e.Elements(2)
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("%w: %w", errNone, orNone(err))
	}
	if oid, err = list[0].ObjectIdentifier(); err != nil {
		return nil, nil, err
	}
	if len(list) > 1 {
		parameters = list[1].Raw
	}
	return oid, parameters, nil
}

// bitsOf is the value of a BIT STRING, right-aligned.
func bitsOf(e ber.Element) ([]byte, error) {
	value, err := e.Octets()
	if err != nil || len(value) == 0 || value[0] > 7 {
		return nil, errNone
	}
	bits := asn1.BitString{Bytes: value[1:], BitLength: (len(value)-1)*8 - int(value[0])}
	if bits.BitLength < 0 {
		return nil, errNone
	}
	return bits.RightAlign(), nil
}

// parseTBS reads TBSCertificate, RFC 5280, 4.1.
func (c *Certificate) parseTBS(tbs, outerAlgorithm ber.Element) error {
	const fewest, most = 6, 10
	list, surplus := c.elements(tbs, most)
	c.Version = 1
	if len(list) > 0 && list[0].IsContext(0) {
		c.version(list[0])
		list = list[1:]
	}
	if len(list) < fewest {
		return fmt.Errorf("%w: %w", errNone, orNone(surplus))
	}
	var err error
	serial, signature, issuer, validity, subject, info := list[0], list[1], list[2], list[3], list[4], list[5]
	if c.SerialNumber, err = serial.Int(); err != nil || !signature.Is(ber.Sequence) ||
		!issuer.Is(ber.Sequence) || !validity.Is(ber.Sequence) || !subject.Is(ber.Sequence) || !info.Is(ber.Sequence) {
		return errNone
	}
	c.checkSerial(serial)
	if !bytes.Equal(signature.Raw, outerAlgorithm.Raw) {
		c.odd("its two signature algorithms differ")
	}
	c.RawIssuer, c.RawSubject, c.RawSubjectPublicKeyInfo = issuer.Raw, subject.Raw, info.Raw
	if c.Issuer, err = c.parseName(issuer, "issuer"); err != nil {
		return err
	}
	if c.Subject, err = c.parseName(subject, "subject"); err != nil {
		return err
	}
	if err := c.parseValidity(validity); err != nil {
		return err
	}
	if c.PublicKey, err = pubkey.Parse(info.Raw); err != nil {
		return fmt.Errorf("%w: its public key cannot be read: %w", errNone, err)
	}
	if other, ok := c.PublicKey.(*pubkey.Other); ok {
		c.odd("many programs do not support its key, which is %s", other.Name())
	}
	return c.parseRest(list[fewest:])
}

func (c *Certificate) version(e ber.Element) {
	list, _ := c.elements(e, 1)
	if len(list) != 1 || list[0].SmallInt() < 0 || list[0].SmallInt() > 2 {
		c.odd("its version is unknown")
		return
	}
	c.Version = list[0].SmallInt() + 1
}

// mostSerial is the length in bytes of a serial number, RFC 5280, 4.1.2.2.
const mostSerial = 20

func (c *Certificate) checkSerial(e ber.Element) {
	switch b := e.Content; {
	case c.SerialNumber.Sign() < 0:
		c.odd("its serial number is negative")
	case len(b) > mostSerial+1 || len(b) == mostSerial+1 && b[0] != 0:
		c.odd("its serial number is longer than 20 bytes")
	case len(b) > 1 && b[0] == 0 && b[1]&0x80 == 0:
		c.odd("its serial number has more bytes than needed")
	}
}

// parseRest reads the unique identifiers, which nobody uses, and the extensions.
func (c *Certificate) parseRest(list []ber.Element) error {
	const extensions = 3
	for _, e := range list {
		if !e.IsContext(extensions) {
			continue
		}
		wrapped, _ := c.elements(e, 1)
		if len(wrapped) != 1 || !wrapped[0].Is(ber.Sequence) {
			return errNone
		}
		if c.Version != 3 {
			c.odd("it has extensions and is not of version 3")
		}
		if err := c.parseExtensions(wrapped[0]); err != nil {
			return err
		}
	}
	c.readExtensions()
	return nil
}

func (c *Certificate) parseExtensions(list ber.Element) error {
	entries, err := list.Elements(maxExtensions)
	if err != nil {
		return fmt.Errorf("%w: %w", errNone, err)
	}
	for _, entry := range entries {
		if err := c.parseExtension(entry); err != nil {
			return err
		}
	}
	return nil
}

// ParseExtensions reads Extensions (RFC 5280, 4.1.2.9) of something else than a
// certificate, and refuses what is odd.
func ParseExtensions(list ber.Element) ([]Extension, error) {
	c := &Certificate{}
	if err := c.parseExtensions(list); err != nil {
		return nil, err
	}
	if len(c.Odd) > 0 {
		return nil, errors.New(c.Odd[0])
	}
	return c.Extensions, nil
}

func (c *Certificate) parseExtension(entry ber.Element) error {
	const most = 3
	list, err := c.elements(entry, most)
	if len(list) < 2 {
		return fmt.Errorf("%w: %w", errNone, orNone(err))
	}
	x := Extension{}
	if x.ID, err = list[0].ObjectIdentifier(); err != nil {
		return err
	}
	last := list[1]
	if last.Is(ber.Boolean) && len(list) == most {
		x.Critical = len(last.Content) == 1 && last.Content[0] != 0
		last = list[most-1]
	}
	if !last.Is(ber.OctetString) {
		return errNone
	}
	if x.Value, err = last.Octets(); err != nil {
		return err
	}
	for _, other := range c.Extensions {
		if other.ID.Equal(x.ID) {
			c.odd("it has the extension %s twice", x.ID)
		}
	}
	c.Extensions = append(c.Extensions, x)
	return nil
}

// Serial is the serial number in hex, upper case, in whole bytes, a negative one with
// its sign.
func (c *Certificate) Serial() string { return Hex(c.SerialNumber) }

// Hex is a number in hex, upper case, in whole bytes, a negative one with its sign.
func Hex(number *big.Int) string {
	digits := fmt.Sprintf("%X", new(big.Int).Abs(number))
	if len(digits)%2 != 0 {
		digits = "0" + digits
	}
	if number.Sign() < 0 {
		return "-" + digits
	}
	return digits
}
