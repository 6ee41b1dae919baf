// Package ber reads the Basic Encoding Rules (X.690, 8): lengths that are left open,
// lengths with more octets than needed, strings in segments. It finds the elements of
// a structure in place and never builds a tree, so hostile nesting costs nothing. What
// the elements mean is left to its callers.
package ber

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// MaxDepth is how deep elements of open length may be nested in each other. NSS and
// Java nest fewer than 16.
const MaxDepth = 64

// The errors of Read. Malformed is data that is not BER, Truncated is BER that ends too
// early, TooDeep is nested deeper than MaxDepth.
var (
	ErrMalformed = errors.New("malformed BER")
	ErrTruncated = fmt.Errorf("%w: it ends too early", ErrMalformed)
	ErrTooDeep   = fmt.Errorf("%w: it is nested too deep", ErrMalformed)
)

// The universal tags that callers ask for (X.680, 8.4).
const (
	Boolean         = 1
	Integer         = 2
	BitString       = 3
	OctetString     = 4
	Null            = 5
	OID             = 6
	UTF8String      = 12
	Sequence        = 16
	Set             = 17
	NumericString   = 18
	PrintableString = 19
	TeletexString   = 20
	IA5String       = 22
	UTCTime         = 23
	GeneralizedTime = 24
	VisibleString   = 26
	UniversalString = 28
	BMPString       = 30
)

// The classes of tags (X.690, 8.1.2.2).
const (
	Universal = 0
	Context   = 2
)

// Element is one encoding. Its slices are parts of the data that it was read from.
type Element struct {
	Class       int
	Tag         int
	Constructed bool
	// Raw is the whole encoding, Content what is between its header and its end.
	Raw, Content []byte
	// NotDER says that the header is not the one that DER asks for (X.690, 10.1).
	NotDER bool
}

// Is reports whether the element has this universal tag.
func (e Element) Is(tag int) bool { return e.Class == Universal && e.Tag == tag }

// IsContext reports whether the element has this context-specific tag.
func (e Element) IsContext(tag int) bool { return e.Class == Context && e.Tag == tag }

// header is what precedes the content of an element.
type header struct {
	Element
	size, length int
	open         bool
}

// maxTag bounds the tags that are read; real ones are below 31.
const maxTag = 1 << 20

func readHeader(data []byte) (h header, err error) {
	if len(data) < 2 {
		return h, ErrTruncated
	}
	h.Class, h.Constructed, h.Tag = int(data[0]>>6), data[0]&0x20 != 0, int(data[0]&0x1F)
	i := 1
	if h.Tag == 0x1F {
		h.Tag = 0
		for more := true; more; i++ {
			if i >= len(data) {
				return h, ErrTruncated
			}
			if h.Tag > maxTag {
				return h, ErrMalformed
			}
			h.Tag, more = h.Tag<<7|int(data[i]&0x7F), data[i]&0x80 != 0
		}
		h.NotDER = h.Tag < 0x1F
	}
	if i >= len(data) {
		return h, ErrTruncated
	}
	first := int(data[i])
	i++
	switch {
	case first == 0x80:
		if !h.Constructed {
			return h, ErrMalformed
		}
		h.open, h.NotDER = true, true
	case first == 0xFF:
		return h, ErrMalformed
	case first > 0x80:
		octets := first & 0x7F
		if len(data)-i < octets {
			return h, ErrTruncated
		}
		for _, b := range data[i : i+octets] {
			if h.length > len(data) {
				return h, ErrTruncated
			}
			h.length = h.length<<8 | int(b)
		}
		h.NotDER = h.NotDER || data[i] == 0 || h.length < 0x80
		i += octets
	default:
		h.length = first
	}
	h.size = i
	if !h.open && h.length > len(data)-i {
		return h, ErrTruncated
	}
	return h, nil
}

// Read reads the first element of data, and returns what follows it.
func Read(data []byte) (e Element, rest []byte, err error) {
	h, err := readHeader(data)
	if err != nil {
		return e, nil, err
	}
	e = h.Element
	if !h.open {
		end := h.size + h.length
		e.Raw, e.Content = data[:end], data[h.size:end]
		return e, data[end:], nil
	}
	length, err := openLength(data[h.size:])
	if err != nil {
		return e, nil, err
	}
	end := h.size + length
	e.Content, e.Raw = data[h.size:end], data[:end+len(endOfContents)]
	return e, data[len(e.Raw):], nil
}

var endOfContents = [2]byte{}

// openLength is the length in bytes of a content that ends with end-of-contents octets
// (X.690, 8.1.5). It goes through the elements once, whatever their nesting.
func openLength(data []byte) (int, error) {
	depth := 1
	for at := 0; ; {
		h, err := readHeader(data[at:])
		switch {
		case err != nil:
			return 0, err
		case h.Class == Universal && h.Tag == 0 && !h.Constructed && h.length == 0:
			if depth--; depth == 0 {
				return at, nil
			}
			at += h.size
		case h.open:
			if depth++; depth > MaxDepth {
				return 0, ErrTooDeep
			}
			at += h.size
		default:
			at += h.size + h.length
		}
	}
}

// Elements are the elements in the content of a constructed one, at most limit of them.
// With an error they are those before it.
func (e Element) Elements(limit int) ([]Element, error) {
	if !e.Constructed {
		return nil, ErrMalformed
	}
	var list []Element
	for rest := e.Content; len(rest) > 0; {
		var (
			child Element
			err   error
		)
		if child, rest, err = Read(rest); err != nil {
			return list, err
		}
		if len(list) == limit {
			return list, fmt.Errorf("%w: it has more than %d elements", ErrMalformed, limit)
		}
		list = append(list, child)
	}
	return list, nil
}

// maxSegments is how deep the segments of a string may be nested (X.690, 8.7.3).
const maxSegments = 8

// Octets is the value of a string: its content, or that of its segments joined.
func (e Element) Octets() ([]byte, error) { return e.octets(maxSegments) }

func (e Element) octets(depth int) ([]byte, error) {
	if !e.Constructed {
		return e.Content, nil
	}
	if depth == 0 {
		return nil, ErrTooDeep
	}
	var joined []byte
	for rest := e.Content; len(rest) > 0; {
		var (
			segment Element
			err     error
		)
		if segment, rest, err = Read(rest); err != nil {
			return nil, err
		}
		value, err := segment.octets(depth - 1)
		if err != nil {
			return nil, err
		}
		joined = append(joined, value...)
	}
	return joined, nil
}

// ObjectIdentifier is the value of an OBJECT IDENTIFIER.
func (e Element) ObjectIdentifier() (asn1.ObjectIdentifier, error) {
	if !e.Is(OID) || e.Constructed || len(e.Content) > 0x7F {
		return nil, ErrMalformed
	}
	var oid asn1.ObjectIdentifier
	header := []byte{OID, byte(len(e.Content))}
	if _, err := asn1.Unmarshal(append(header, e.Content...), &oid); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return oid, nil
}

// Algorithm is an AlgorithmIdentifier (RFC 5280, 4.1.1.2). Parameters is the zero Element
// where there are none.
func (e Element) Algorithm() (oid asn1.ObjectIdentifier, parameters Element, err error) {
	list, err := e.Elements(2)
	if err != nil {
		return nil, parameters, err
	}
	if len(list) == 0 {
		return nil, parameters, ErrMalformed
	}
	if len(list) == 2 {
		parameters = list[1]
	}
	oid, err = list[0].ObjectIdentifier()
	return oid, parameters, err
}

// Int is the value of an INTEGER, negative ones too, and also one with more octets than
// needed.
func (e Element) Int() (*big.Int, error) {
	if !e.Is(Integer) || e.Constructed || len(e.Content) == 0 {
		return nil, ErrMalformed
	}
	value := new(big.Int).SetBytes(e.Content)
	if e.Content[0]&0x80 != 0 {
		value.Sub(value, new(big.Int).Lsh(big.NewInt(1), uint(len(e.Content))*8))
	}
	return value, nil
}

// SmallInt is an INTEGER from 0 to the greatest int32; -1 for another element.
func (e Element) SmallInt() int {
	const octets = 8
	if len(e.Content) > octets {
		return -1
	}
	value, err := e.Int()
	if err != nil || value.Sign() < 0 || value.BitLen() > 31 {
		return -1
	}
	return int(value.Int64())
}
