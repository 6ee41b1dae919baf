package csr

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// ParseName reads a distinguished name. What begins with a slash is in
// OpenSSL's form, /C=AT/O=example.com/CN=client, in the order of the DER;
// everything else is RFC 4514, with the quoted values and the semicolons of
// RFC 2253: CN=client,O="Snake Oil, Ltd",C=AT, the last RDN first in the DER.
// An empty text is the empty name. The problem names the column.
func ParseName(s string) (Name, error) {
	if at := invalidUTF8(s); at >= 0 {
		return Name{}, problem.New(problem.Usage, "the subject is not a distinguished name: byte %d is not UTF-8", at+1)
	}
	p := &nameParser{text: []rune(s)}
	var rdns []rdn
	var err error
	if strings.HasPrefix(s, "/") {
		rdns, err = p.openSSLName()
	} else {
		rdns, err = p.rfc4514Name()
		slices.Reverse(rdns)
	}
	if err != nil {
		return Name{}, err
	}
	return Name{rdns}, nil
}

func invalidUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}

// nameParser walks through a name, one character at a time.
type nameParser struct {
	text []rune
	at   int
}

// endOfText is what peek returns after the last character. It cannot be in the
// text, which is valid UTF-8.
const endOfText rune = -1

func (p *nameParser) peek() rune {
	if p.at == len(p.text) {
		return endOfText
	}
	return p.text[p.at]
}

func (p *nameParser) next() rune {
	r := p.peek()
	if r != endOfText {
		p.at++
	}
	return r
}

func (p *nameParser) skipSpaces() {
	for p.peek() == ' ' {
		p.at++
	}
}

// problemAt points at a character, counted from 0: with its column, and with the
// text that begins there.
func (p *nameParser) problemAt(at int, format string, args ...any) error {
	return problem.New(problem.Usage, "the subject is not a distinguished name: column %d", at+1).
		Because("%s. The mistake is %s.", fmt.Sprintf(format, args...), p.place(at)).
		Advise(advice.Repeat(advice.Set(advice.Subject, `CN=Floppy Head,O="Snake Oil, Ltd",C=XY`)))
}

// place is where a character stands, in words.
func (p *nameParser) place(at int) string {
	const shown = 30 // characters
	before, after := p.text[:at], p.text[at:]
	switch {
	case len(after) > shown:
		return `at "` + string(after[:shown]) + `…"`
	case len(after) > 0:
		return `at "` + string(after) + `"`
	case len(before) > shown:
		return `at the end of "…` + string(before[len(before)-shown:]) + `"`
	}
	return `at the end of "` + string(before) + `"`
}

// rfc4514Name reads the whole text, RFC 4514, 3, in the order written.
func (p *nameParser) rfc4514Name() ([]rdn, error) {
	p.skipSpaces()
	if p.peek() == endOfText {
		return nil, nil
	}
	var rdns []rdn
	for {
		rdn, err := p.rdn(p.rfc4514Value)
		if err != nil {
			return nil, err
		}
		rdns = append(rdns, rdn)
		switch p.next() {
		case endOfText:
			return rdns, nil
		case ',', ';':
		}
	}
}

// openSSLName reads the whole text in the form of openssl req -subj.
func (p *nameParser) openSSLName() ([]rdn, error) {
	var rdns []rdn
	for p.next() == '/' {
		if p.peek() == endOfText {
			break
		}
		rdn, err := p.rdn(p.openSSLValue)
		if err != nil {
			return nil, err
		}
		rdns = append(rdns, rdn)
	}
	return rdns, nil
}

// rdn reads attributes up to one that no plus sign follows; value reads the
// value of one.
func (p *nameParser) rdn(value func(attributeType) ([]byte, error)) (rdn, error) {
	var list rdn
	for {
		p.skipSpaces()
		start := p.at
		t, err := p.attributeType()
		if err != nil {
			return nil, err
		}
		for _, a := range list {
			if a.oid.Equal(t.oid) {
				return nil, p.problemAt(start, "%s occurs twice in one RDN", t)
			}
		}
		der, err := value(t)
		if err != nil {
			return nil, err
		}
		list = append(list, attribute{t.oid, der})
		if p.peek() != '+' {
			list.sort()
			return list, nil
		}
		p.next()
	}
}

// attributeType reads up to and with the equals sign.
func (p *nameParser) attributeType() (attributeType, error) {
	start := p.at
	for r := p.peek(); isLetter(r) || isDigit(r) || r == '.' || r == '-'; r = p.peek() {
		p.next()
	}
	name := string(p.text[start:p.at])
	p.skipSpaces()
	switch {
	case name == "":
		return attributeType{}, p.problemAt(p.at, "an attribute such as CN= is expected here")
	case p.peek() != '=':
		return attributeType{}, p.problemAt(p.at, "an equals sign is expected after %q; a comma, plus sign or slash inside a value needs a backslash in front", name)
	}
	t, err := attributeTypeNamed(name)
	if errors.Is(err, errChallenge) { // what follows is a secret
		return attributeType{}, problem.New(problem.Usage, "the subject is not a distinguished name: column %d", start+1).
			Because("%s", problem.Sentence(err.Error())).
			Advise(advice.Repeat(advice.Fill(advice.Subject), advice.Ask(secret.ChallengePassword)))
	}
	if err != nil {
		return attributeType{}, p.problemAt(start, "%v", err)
	}
	p.next()
	return t, nil
}

// rfc4514Value reads a value and the spaces after it: RFC 4514, 2.4, and the
// quotation of RFC 2253, 4.
func (p *nameParser) rfc4514Value(t attributeType) ([]byte, error) {
	p.skipSpaces()
	start := p.at
	var text []byte
	var err error
	switch p.peek() {
	case '#':
		return p.hexValue(t)
	case '"':
		text, err = p.quotedValue()
	default:
		text, err = p.plainValue()
	}
	if err != nil {
		return nil, err
	}
	return p.encode(t, text, start)
}

func (p *nameParser) encode(t attributeType, text []byte, start int) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, p.problemAt(start, "the escapes of this value are not UTF-8")
	}
	der, err := t.encode(string(text))
	if err != nil {
		return nil, p.problemAt(start, "%v", err)
	}
	return der, nil
}

func (p *nameParser) plainValue() ([]byte, error) {
	var text []byte
	length := 0 // without trailing spaces that are not escaped
	for {
		switch r := p.peek(); {
		case r == endOfText || r == ',' || r == ';' || r == '+':
			return text[:length], nil
		case r == '\\':
			b, err := p.escape()
			if err != nil {
				return nil, err
			}
			text = append(text, b...)
			length = len(text)
		case r == '"':
			return nil, p.problemAt(p.at, `a quotation mark inside a value is written \"`)
		case isControl(r):
			return nil, p.problemAt(p.at, `the control character %U is written \%02X`, r, r)
		default:
			text = utf8.AppendRune(text, p.next())
			if r != ' ' {
				length = len(text)
			}
		}
	}
}

func (p *nameParser) quotedValue() ([]byte, error) {
	start := p.at
	p.next()
	var text []byte
	for {
		switch r := p.peek(); {
		case r == endOfText:
			return nil, p.problemAt(start, "the quotation that begins here does not end")
		case r == '"':
			p.next()
			p.skipSpaces()
			return text, p.expectEndOfValue("the quoted value")
		case r == '\\':
			b, err := p.escape()
			if err != nil {
				return nil, err
			}
			text = append(text, b...)
		case isControl(r):
			return nil, p.problemAt(p.at, `the control character %U is written \%02X`, r, r)
		default:
			text = utf8.AppendRune(text, p.next())
		}
	}
}

func (p *nameParser) expectEndOfValue(what string) error {
	switch p.peek() {
	case endOfText, ',', ';', '+':
		return nil
	}
	return p.problemAt(p.at, "a comma or a plus sign is expected after %s", what)
}

// escape reads a backslash and what it stands for: a special character, or one
// byte in two hex digits (RFC 4514, 3, pair).
func (p *nameParser) escape() ([]byte, error) {
	start := p.at
	p.next()
	if r := p.peek(); r != endOfText && strings.ContainsRune(`\"+,;<>=# `, r) {
		p.next()
		return []byte{byte(r)}, nil
	}
	digits := string(p.text[p.at:min(p.at+2, len(p.text))])
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 1 {
		return nil, p.problemAt(start, `a backslash must be followed by one of \ " + , ; < > = # and space, or by two hex digits`)
	}
	p.at += 2
	return b, nil
}

// hexValue reads the DER of a value in hex (RFC 4514, 2.4, hexstring). One of a type that
// has a name is a character string, as RFC 5280, appendix A.1, has them all.
func (p *nameParser) hexValue(t attributeType) ([]byte, error) {
	start := p.at
	p.next()
	digits := p.at
	for r := p.peek(); isDigit(r) || isLetter(r); r = p.peek() {
		p.next()
	}
	der, err := hex.DecodeString(string(p.text[digits:p.at]))
	if err != nil {
		return nil, p.problemAt(start, "# must be followed by pairs of hex digits; a value that begins with # needs a backslash in front")
	}
	if !isDER(der) {
		return nil, p.problemAt(start, "# must be followed by one ASN.1 value in DER, with its tag and length")
	}
	if len(t.names) > 0 && !isString(der[0]) {
		return nil, p.problemAt(start, "the value of %s is not a character string", t.names[0])
	}
	p.skipSpaces()
	return der, p.expectEndOfValue("the hex value")
}

// isString reports whether a tag is that of a string of DirectoryString (RFC 5280, 4.1.2.4),
// or an IA5String.
func isString(tag byte) bool {
	const universal = 28
	return slices.Contains([]byte{asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagT61String, asn1.TagIA5String, asn1.TagBMPString, asn1.TagNumericString, universal}, tag)
}

// isDER reports whether der is one value and, where it is a string, one whose
// characters its type allows.
func isDER(der []byte) bool {
	var value any
	rest, err := asn1.Unmarshal(der, &value)
	if err != nil || len(rest) > 0 {
		return false
	}
	var raw asn1.RawValue
	if _, err := asn1.Unmarshal(der, &raw); err != nil {
		return false
	}
	again, err := asn1.Marshal(asn1.RawValue{Class: raw.Class, Tag: raw.Tag, IsCompound: raw.IsCompound, Bytes: raw.Bytes})
	return err == nil && bytes.Equal(again, der)
}

// openSSLValue reads a value up to the next slash or plus sign. A backslash
// takes the meaning from any character; spaces count.
func (p *nameParser) openSSLValue(t attributeType) ([]byte, error) {
	start := p.at
	var text []byte
	for {
		r := p.peek()
		if r == endOfText || r == '/' || r == '+' {
			return p.encode(t, text, start)
		}
		if isControl(r) {
			return nil, p.problemAt(p.at, "this form of a name cannot contain the control character %U", r)
		}
		if r == '\\' {
			p.next()
			if p.peek() == endOfText {
				return nil, p.problemAt(p.at-1, "the backslash must be followed by a character")
			}
		}
		text = utf8.AppendRune(text, p.next())
	}
}
