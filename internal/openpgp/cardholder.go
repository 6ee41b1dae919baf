package openpgp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// HolderField is a data object about the owner of the card (4.4.1).
type HolderField iso7816.Tag

// The fields. Name, language and sex are in the template 65 too.
const (
	HolderName     HolderField = 0x5B
	HolderLogin    HolderField = 0x5E
	HolderURL      HolderField = 0x5F50 // of the public key
	HolderLanguage HolderField = 0x5F2D
	HolderSex      HolderField = 0x5F35
)

// Greatest lengths in bytes (4.4.1). Login and URL have that of all other objects.
const (
	MaxHolderName     = 39
	MaxHolderLanguage = 8
)

const relatedData iso7816.Tag = 0x65 // the cardholder related data

// holderFields are the fields, those of the template first.
func holderFields() []HolderField {
	return []HolderField{HolderName, HolderLanguage, HolderSex, HolderLogin, HolderURL}
}

// inTemplate reports whether the field is a part of the cardholder related data.
func (f HolderField) inTemplate() bool { return f != HolderLogin && f != HolderURL }

// Cardholder reads all fields. One that the card does not have, or refuses, is empty.
func (c *Card) Cardholder(ctx context.Context) (map[HolderField][]byte, error) {
	related, err := c.optional(ctx, relatedData)
	if err != nil {
		return nil, err
	}
	holder := map[HolderField][]byte{}
	for _, field := range holderFields() {
		if field.inTemplate() {
			holder[field], _ = iso7816.FindTLV(template(related, relatedData), iso7816.Tag(field))
		} else if holder[field], err = c.optional(ctx, iso7816.Tag(field)); err != nil {
			return nil, err
		}
	}
	return holder, nil
}

// ReadCardholder reads some fields, and those of the template together. It fails where
// the card does not show one of them.
func (c *Card) ReadCardholder(ctx context.Context, fields ...HolderField) (map[HolderField][]byte, error) {
	holder := map[HolderField][]byte{}
	var related []byte
	for _, field := range fields {
		if field.inTemplate() && related == nil {
			var err error
			if related, err = c.optional(ctx, relatedData); err != nil {
				return nil, err
			}
		}
		if value, ok := iso7816.FindTLV(template(related, relatedData), iso7816.Tag(field)); field.inTemplate() && ok {
			holder[field] = value
			continue
		}
		value, err := c.GetData(ctx, iso7816.Tag(field))
		if err != nil {
			return nil, err
		}
		holder[field] = template(value, iso7816.Tag(field))
	}
	return holder, nil
}

// PutCardholder writes one field, after PW3 was verified.
func (c *Card) PutCardholder(ctx context.Context, field HolderField, value []byte) error {
	return c.PutData(ctx, iso7816.Tag(field), value)
}

// Errors of EncodeName.
var (
	ErrNameLetter = errors.New("a card stores only letters of ISO 8859-1 (Western European) in the name")
	ErrNameForm   = errors.New("the name may have < only as one <<, between surname and given names")
	ErrNameEmpty  = errors.New("the name has no letters")
	ErrNameUTF8   = errors.New("programs read these letters of the name as UTF-8, and show others")
)

// EncodeName is a name as DO 5B has it: in ISO 8859-1, the surname first, then << and
// the given names, and < between words (ISO/IEC 7501-1). The last word is the surname,
// unless the name has that form already.
func EncodeName(name string) ([]byte, error) {
	surname, given, both := strings.Cut(name, "<<")
	if !both {
		words := strings.Fields(name)
		last := max(len(words)-1, 0)
		given, surname = strings.Join(words[:last], " "), strings.Join(words[last:], " ")
	}
	if strings.Contains(surname+given, "<") {
		return nil, ErrNameForm
	}
	surname, given = strings.Join(strings.Fields(surname), "<"), strings.Join(strings.Fields(given), "<")
	if given != "" {
		surname += "<<" + given
	}
	var value []byte
	ascii := true
	for _, letter := range surname {
		ascii = ascii && letter <= unicode.MaxASCII
		if letter > unicode.MaxLatin1 {
			return nil, fmt.Errorf("%w, and %q is another", ErrNameLetter, letter)
		}
		value = append(value, byte(letter))
	}
	switch {
	case len(value) == 0 && name != "":
		return nil, ErrNameEmpty
	case !ascii && utf8.Valid(value):
		return nil, fmt.Errorf("%w: %q", ErrNameUTF8, DecodeName(value))
	}
	return value, nil
}

// DecodeName is the content of DO 5B as people write a name. Other programs are known
// to write UTF-8.
func DecodeName(value []byte) string {
	name := string(value)
	if !utf8.Valid(value) {
		name = ""
		for _, b := range value {
			name += string(rune(b))
		}
	}
	surname, given, both := strings.Cut(name, "<<")
	if both {
		surname = given + " " + surname
	}
	return strings.TrimSpace(strings.ReplaceAll(surname, "<", " "))
}

// SignatureCount is the digital signature counter: the signatures made with the signature
// key since it was made.
func (c *Card) SignatureCount(ctx context.Context) (int, error) {
	counter, err := c.signatureCounter(ctx)
	n := 0
	for _, b := range counter {
		n = n<<8 | int(b)
	}
	return n, err
}

// signatureCounter is DO 93 in 7A (4.4.1), 3 bytes.
func (c *Card) signatureCounter(ctx context.Context) ([]byte, error) {
	support, err := c.optional(ctx, 0x7A)
	counter, _ := iso7816.FindTLV(template(support, 0x7A), 0x93)
	return counter[:min(len(counter), 3)], err
}

// Objects are the data objects that programs show beside the keys, by their tags and as they
// are on the card: the cardholder, the signature counter, the user interaction flags and the
// KDF. Those that the card does not have are not there, nor a login or URL that is empty: a
// card says so of one that was never written.
func (c *Card) Objects(ctx context.Context) (map[uint32][]byte, error) {
	data, err := c.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, err
	}
	holder, err := c.Cardholder(ctx)
	if err != nil {
		return nil, err
	}
	objects := map[uint32][]byte{}
	keep := func(tag iso7816.Tag, value []byte) {
		if value != nil {
			objects[uint32(tag)] = value
		}
	}
	for field, value := range holder {
		if field.inTemplate() || len(value) > 0 {
			keep(iso7816.Tag(field), value)
		}
	}
	counter, err := c.signatureCounter(ctx)
	if err != nil {
		return nil, err
	}
	keep(0x93, counter)
	for _, slot := range Slots() {
		flag, err := c.Interaction(ctx, slot)
		if err != nil {
			return nil, err
		}
		if flag != nil {
			keep(slot.interactionTag(), []byte{byte(flag.Flag), flag.Features})
		}
	}
	if data.Extended.KDF {
		kdf, err := c.optional(ctx, kdfObject)
		if err != nil {
			return nil, err
		}
		keep(kdfObject, template(kdf, kdfObject))
	}
	return objects, nil
}

// optional reads a data object; one that the card refuses is empty.
func (c *Card) optional(ctx context.Context, tag iso7816.Tag) ([]byte, error) {
	value, err := c.GetData(ctx, tag)
	if iso7816.StatusOf(err) != 0 {
		return nil, nil
	}
	return value, err
}
