package pkcs15

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// errMalformed is a directory that is not ISO/IEC 7816-15.
var errMalformed = errors.New("malformed PKCS#15 directory")

// Tags of the DER in the directory files.
const (
	tagBoolean    iso7816.Tag = 0x01
	tagInteger    iso7816.Tag = 0x02
	tagBitString  iso7816.Tag = 0x03
	tagOctets     iso7816.Tag = 0x04
	tagEnumerated iso7816.Tag = 0x0A
	tagUTF8       iso7816.Tag = 0x0C
	tagSequence   iso7816.Tag = 0x30

	tagEC          iso7816.Tag = 0xA0 // alternative of PrivateKeyType, PublicKeyType
	tagType        iso7816.Tag = 0xA1 // typeAttributes
	tagDirectValue iso7816.Tag = 0xA0
)

// kinds of directory files, by their tag in EF.ODF (ISO/IEC 7816-15, 8.3).
const (
	dfPrivateKeys         iso7816.Tag = 0xA0
	dfPublicKeys          iso7816.Tag = 0xA1
	dfTrustedPublicKeys   iso7816.Tag = 0xA2
	dfCertificates        iso7816.Tag = 0xA4
	dfTrustedCertificates iso7816.Tag = 0xA5
	dfUsefulCertificates  iso7816.Tag = 0xA6
	dfAuthentication      iso7816.Tag = 0xA8
)

// directoryFile is an entry of EF.ODF.
type directoryFile struct {
	kind iso7816.Tag
	path []byte
}

func (f directoryFile) isPublicKeys() bool {
	return f.kind == dfPublicKeys || f.kind == dfTrustedPublicKeys
}

func (f directoryFile) isCertificates() bool {
	return f.kind == dfCertificates || f.kind == dfTrustedCertificates || f.kind == dfUsefulCertificates
}

// parseODF reads EF.ODF, ISO/IEC 7816-15, 8.3.
func parseODF(raw []byte) ([]directoryFile, error) {
	entries, err := iso7816.ParseTLVs(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	var files []directoryFile
	for _, entry := range entries {
		path, ok := iso7816.FindTLV(entry.Value, tagSequence, tagOctets)
		if !ok || entry.Tag < dfPrivateKeys || entry.Tag > dfAuthentication {
			return nil, fmt.Errorf("%w: EF.ODF", errMalformed)
		}
		files = append(files, directoryFile{entry.Tag, path})
	}
	return files, nil
}

// entry is an object of a directory file (ISO/IEC 7816-15, 8.2.1).
type entry struct {
	tag    iso7816.Tag
	raw    []byte
	label  string
	authID string
	class  []iso7816.TLV // the class's attributes
	typed  []iso7816.TLV // the type's attributes
}

// parseEntries reads a directory file.
func parseEntries(raw []byte) ([]entry, error) {
	objects, err := iso7816.ParseTLVs(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	var entries []entry
	for _, object := range objects {
		e, err := parseEntry(object)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func parseEntry(object iso7816.TLV) (entry, error) {
	e := entry{tag: object.Tag, raw: iso7816.AppendTLV(nil, object.Tag, object.Value)}
	parts, err := iso7816.ParseTLVs(object.Value)
	if err != nil || len(parts) < 3 || parts[0].Tag != tagSequence || parts[1].Tag != tagSequence {
		return e, fmt.Errorf("%w: an object of %d bytes", errMalformed, len(object.Value))
	}
	common, err := iso7816.ParseTLVs(parts[0].Value)
	if err != nil {
		return e, fmt.Errorf("%w: %w", errMalformed, err)
	}
	for _, attribute := range common {
		switch attribute.Tag {
		case tagUTF8:
			e.label = printable(attribute.Value)
		case tagOctets:
			e.authID = fmt.Sprintf("%X", attribute.Value)
		}
	}
	if e.class, err = iso7816.ParseTLVs(parts[1].Value); err != nil {
		return e, fmt.Errorf("%w: %w", errMalformed, err)
	}
	value, ok := iso7816.FindTLV(object.Value, tagType, tagSequence)
	if !ok {
		return e, fmt.Errorf("%w: an object without a value", errMalformed)
	}
	if e.typed, err = iso7816.ParseTLVs(value); err != nil {
		return e, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return e, nil
}

// printable is text of a card that a terminal may show.
func printable(text []byte) string {
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("?"))
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r < 0xA0 {
			return '?'
		}
		return r
	}, string(text))
}

// first is the value of the first attribute with a tag, nil where there is none.
func first(attributes []iso7816.TLV, tag iso7816.Tag) []byte {
	for _, a := range attributes {
		if a.Tag == tag {
			return a.Value
		}
	}
	return nil
}

// number is a small INTEGER that is not negative; -1 for others.
func number(value []byte) int {
	n := 0
	for _, b := range value {
		if n = n<<8 | int(b); n > 1<<16 {
			return -1
		}
	}
	if len(value) == 0 || value[0]&0x80 != 0 {
		return -1
	}
	return n
}

// bits is a BIT STRING, its first bit lowest.
func bits(value []byte) uint32 {
	var set uint32
	for i := 0; i+1 < len(value) && i < 4; i++ {
		for bit := range 8 {
			if value[i+1]&(0x80>>bit) != 0 {
				set |= 1 << (8*i + bit)
			}
		}
	}
	return set
}

// place reads ObjectValue, ISO/IEC 7816-15, 8.2.4: a path or the value itself.
func place(typed []iso7816.TLV) (location, error) {
	if len(typed) == 0 {
		return location{}, fmt.Errorf("%w: an object without a value", errMalformed)
	}
	if typed[0].Tag == tagDirectValue {
		return location{value: typed[0].Value}, nil
	}
	parts, err := iso7816.ParseTLVs(typed[0].Value)
	if typed[0].Tag != tagSequence || err != nil {
		return location{}, fmt.Errorf("%w: a path", errMalformed)
	}
	at := location{path: first(parts, tagOctets)}
	if len(at.path) == 0 || len(at.path)%2 != 0 {
		return location{}, fmt.Errorf("%w: a path of %d bytes", errMalformed, len(at.path))
	}
	const tagLength = 0x80
	if index, length := number(first(parts, tagInteger)), number(first(parts, tagLength)); index >= 0 && length > 0 {
		at.index, at.length = index, length
	}
	return at, nil
}

// parsePrivateKeys reads EF.PrKD, ISO/IEC 7816-15, 8.4.
func parsePrivateKeys(raw []byte) ([]PrivateKey, error) {
	entries, err := parseEntries(raw)
	if err != nil {
		return nil, err
	}
	var keys []PrivateKey
	for _, e := range entries {
		k := PrivateKey{
			ID: first(e.class, tagOctets), Label: e.label, AuthID: e.authID, EC: e.tag == tagEC, Raw: e.raw,
			Usage: Usage(bits(first(e.class, tagBitString))), Reference: max(number(first(e.class, tagInteger)), 0),
			Bits: max(number(first(e.typed, tagInteger)), 0),
		}
		if len(k.ID) == 0 {
			return nil, fmt.Errorf("%w: a key without an ID", errMalformed)
		}
		if at, err := place(e.typed); err == nil {
			k.path = at.path
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// parsePublicKeys reads EF.PuKD, ISO/IEC 7816-15, 8.5.
func parsePublicKeys(raw []byte) ([]PublicKey, error) {
	entries, err := parseEntries(raw)
	if err != nil {
		return nil, err
	}
	var keys []PublicKey
	for _, e := range entries {
		at, err := place(e.typed)
		if err != nil {
			return nil, err
		}
		keys = append(keys, PublicKey{ID: first(e.class, tagOctets), Label: e.label, location: at})
	}
	return keys, nil
}

// parseCertificates reads EF.CD, ISO/IEC 7816-15, 8.6.
func parseCertificates(raw []byte) ([]Certificate, error) {
	entries, err := parseEntries(raw)
	if err != nil {
		return nil, err
	}
	var certificates []Certificate
	for _, e := range entries {
		at, err := place(e.typed)
		if err != nil {
			return nil, err
		}
		authority := first(e.class, tagBoolean)
		certificates = append(certificates, Certificate{
			ID: first(e.class, tagOctets), Label: e.label, Authority: len(authority) == 1 && authority[0] != 0, location: at,
		})
	}
	return certificates, nil
}

// parsePINs reads EF.AOD, ISO/IEC 7816-15, 8.9. Objects that are no PINs are
// left out.
func parsePINs(raw []byte) ([]PIN, error) {
	entries, err := parseEntries(raw)
	if err != nil {
		return nil, err
	}
	const (
		tagReference  = 0x80
		flagUnblocks  = 1 << 6
		flagSO        = 1 << 7
		minLengthAt   = 0
		maxLengthAt   = 2
		lengthNumbers = 3
	)
	var pins []PIN
	for _, e := range entries {
		if e.tag != tagSequence {
			continue
		}
		flags := bits(first(e.typed, tagBitString))
		p := PIN{
			ID: fmt.Sprintf("%X", first(e.class, tagOctets)), Label: e.label, TriesLeft: -1,
			Reference: max(number(first(e.typed, tagReference)), 0),
			SO:        flags&flagSO != 0, Unblocking: flags&flagUnblocks != 0,
		}
		var lengths []int
		for _, a := range e.typed {
			if a.Tag == tagInteger {
				lengths = append(lengths, max(number(a.Value), 0))
			}
		}
		if len(lengths) == 0 || first(e.typed, tagEnumerated) == nil {
			return nil, fmt.Errorf("%w: a PIN without lengths", errMalformed)
		}
		p.Min, p.Max = lengths[minLengthAt], lengths[len(lengths)-1]
		if len(lengths) >= lengthNumbers {
			p.Max = lengths[maxLengthAt]
		}
		pins = append(pins, p)
	}
	return pins, nil
}

// parseTokenInfo reads EF.TokenInfo, ISO/IEC 7816-15, 8.10.
func parseTokenInfo(raw []byte, d *Directory) error {
	const tagLabel = 0x80
	content, ok := iso7816.FindTLV(raw, tagSequence)
	if !ok {
		return fmt.Errorf("%w: EF.TokenInfo", errMalformed)
	}
	parts, err := iso7816.ParseTLVs(content)
	if err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	d.Serial = fmt.Sprintf("%X", first(parts, tagOctets))
	d.Manufacturer = printable(first(parts, tagUTF8))
	d.Label = strings.TrimRight(printable(first(parts, tagLabel)), " ")
	return nil
}

// pointOf is the point in an OCTET STRING.
func pointOf(raw []byte) ([]byte, bool) {
	object, rest, err := iso7816.ParseTLV(raw)
	return object.Value, err == nil && object.Tag == tagOctets && len(rest) == 0
}
