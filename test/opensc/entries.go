package opensc

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"math/bits"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// tlv is a data object of DER.
func tlv(tag iso7816.Tag, parts ...[]byte) []byte {
	return iso7816.AppendTLV(nil, tag, bytes.Join(parts, nil))
}

func number(n int) []byte {
	if n < 0x80 {
		return tlv(0x02, []byte{byte(n)})
	}
	return tlv(0x02, []byte{byte(n >> 8), byte(n)})
}

// flags is a BIT STRING; its first bit is the lowest.
func flags(set uint16) []byte {
	n := bits.Len16(set)
	reversed := bits.Reverse16(set)
	content := []byte{byte((8 - n%8) % 8), byte(reversed >> 8)}
	if n > 8 {
		content = append(content, byte(reversed))
	}
	return tlv(0x03, content)
}

func place(files ...int) []byte {
	var path []byte
	for _, f := range files {
		path = append(path, id(f)...)
	}
	return tlv(0x30, tlv(0x04, path))
}

// inDirectory is an entry of EF.ODF.
func inDirectory(kind iso7816.Tag, file int) []byte { return tlv(kind, place(0x3F00, fileDF, file)) }

// dirEntry is the entry of EF.DIR.
func dirEntry(label string) []byte {
	return tlv(0x61, tlv(0x4F, applicationID()), tlv(0x50, []byte(label)), tlv(0x51, id(0x3F00), id(fileDF)))
}

// pinEntry is an entry of EF.AOD.
func pinEntry(label string, pinID, pinFlags []byte, longest, reference, pad byte) []byte {
	return tlv(0x30,
		tlv(0x30, tlv(0x0C, []byte(label)), flags(0b11)),
		tlv(0x30, tlv(0x04, pinID)),
		tlv(0xA1, tlv(0x30, tlv(0x03, pinFlags), []byte{0x0A, 1, 1}, number(4), number(int(longest)), number(int(longest)),
			tlv(0x80, []byte{reference}), tlv(0x04, []byte{pad}))))
}

// newKey is a key that is entered into the directory.
type newKey struct {
	id, authID       []byte
	label            string
	private, public  uint16 // usage
	access           uint16
	reference        int
	file, publicFile int // file is the application itself where a key has none
	key              crypto.PublicKey
}

func keyOf(given options) newKey {
	k := newKey{label: given["--label"]}
	k.id, _ = hex.DecodeString(given["--id"])
	k.authID, _ = hex.DecodeString(given["--auth-id"])
	for _, usage := range strings.Split(given["--key-usage"], ",") {
		switch usage {
		case "sign":
			k.private, k.public = k.private|1<<2|1<<3, k.public|1<<6|1<<7
		case "decrypt":
			k.private, k.public = k.private|1<<1|1<<5, k.public|1<<0|1<<4
		case "keyAgreement":
			k.private, k.public = k.private|1<<8, k.public|1<<8
		}
	}
	return k
}

// Bits of accessFlags.
const (
	made   = 1<<0 | 1<<2 | 1<<3 | 1<<4 // sensitive, alwaysSensitive, neverExtractable, local
	stored = 1 << 0                    // sensitive
)

func (k newKey) tag() (iso7816.Tag, int) {
	switch public := k.key.(type) {
	case *rsa.PublicKey:
		return 0x30, public.N.BitLen()
	case *ecdsa.PublicKey:
		return 0xA0, public.Params().BitSize
	}
	return 0, 0
}

// privateEntry is an entry of EF.PrKD.
func (k newKey) privateEntry() []byte {
	tag, size := k.tag()
	at := place(0x3F00, fileDF)
	if k.file != 0 {
		at = place(0x3F00, fileDF, k.file)
	}
	return tlv(tag,
		tlv(0x30, tlv(0x0C, []byte(k.label)), flags(0b11), tlv(0x04, k.authID)),
		tlv(0x30, tlv(0x04, k.id), flags(k.private), flags(k.access), number(k.reference)),
		tlv(0xA1, tlv(0x30, at, number(size))))
}

// publicEntry is an entry of EF.PuKD.
func (k newKey) publicEntry() []byte {
	tag, size := k.tag()
	value := place(0x3F00, fileDF, k.publicFile)
	if tag == 0x30 {
		value = append(value, number(size)...)
	}
	return tlv(tag,
		tlv(0x30, tlv(0x0C, []byte(k.label)), flags(0b10)),
		tlv(0x30, tlv(0x04, k.id), flags(k.public), tlv(0x01, []byte{0}), number(0)),
		tlv(0xA1, tlv(0x30, value)))
}

// encoded is a public key as its file has it.
func encoded(public crypto.PublicKey) []byte {
	if key, ok := public.(*rsa.PublicKey); ok {
		return x509.MarshalPKCS1PublicKey(key)
	}
	raw, _ := x509.MarshalPKIXPublicKey(public) // the curves of the cards are known to it
	return raw
}

// entry is what there is to know of an entry of EF.PrKD or EF.PuKD.
type entry struct {
	id        []byte
	reference int
	file      int  // the last of its path
	pin       byte // the last of the ID of its PIN; 1 where it has none
}

func parseEntry(object []byte) (entry, bool) {
	whole, _, err := iso7816.ParseTLV(object)
	if err != nil {
		return entry{}, false
	}
	parts, err := iso7816.ParseTLVs(whole.Value)
	if err != nil || len(parts) < 3 {
		return entry{}, false
	}
	class, err := iso7816.ParseTLVs(parts[1].Value)
	path, ok := iso7816.FindTLV(whole.Value, 0xA1, 0x30, 0x30, 0x04)
	if err != nil || !ok || len(class) < 1 || len(path) < 2 {
		return entry{}, false
	}
	common, err := iso7816.ParseTLVs(parts[0].Value)
	if err != nil {
		return entry{}, false
	}
	e := entry{pin: 1, id: class[0].Value, reference: -1, file: int(path[len(path)-2])<<8 | int(path[len(path)-1])}
	for _, c := range common {
		if c.Tag == 0x04 && len(c.Value) > 0 {
			e.pin = c.Value[len(c.Value)-1]
		}
	}
	for _, c := range class {
		if c.Tag == 0x02 && len(c.Value) > 0 {
			e.reference = int(c.Value[0])
		}
	}
	return e, true
}

// entries are those of a directory file, none where there is no such file.
func entries(content []byte) []entry {
	var found []entry
	for _, object := range objects(content) {
		if e, ok := parseEntry(object); ok {
			found = append(found, e)
		}
	}
	return found
}

// without leaves out the entry with an ID.
func without(wanted []byte) func([][]byte) [][]byte {
	return func(all [][]byte) [][]byte {
		var left [][]byte
		for _, object := range all {
			if e, ok := parseEntry(object); !ok || !bytes.Equal(e.id, wanted) {
				left = append(left, object)
			}
		}
		return left
	}
}
