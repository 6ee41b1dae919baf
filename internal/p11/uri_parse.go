package p11

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

const scheme = "pkcs11:"

// Besides the unreserved characters, these stand for themselves in a value
// (RFC 7512, 2.3: pk11-path-res-avail and pk11-query-res-avail).
const (
	pathCharacters  = ":[]@!$'()*+,=&"
	queryCharacters = ":[]@!$'()*+,=/?|"
)

func isPathAttribute(name string) bool {
	switch name {
	case AttrToken, AttrManufacturer, AttrSerial, AttrModel,
		AttrLibraryManufacturer, AttrLibraryDescription, AttrLibraryVersion,
		AttrObject, AttrType, AttrID,
		AttrSlotManufacturer, AttrSlotDescription, AttrSlotID:
		return true
	}
	return false
}

func isQueryAttribute(name string) bool {
	switch name {
	case AttrPINSource, AttrPINValue, AttrModuleName, AttrModulePath:
		return true
	}
	return false
}

// ParseURI reads a PKCS#11 URI. An error is a problem.Usage that shows the
// position, counted from 1, and never a value, for one of them may be a PIN.
// A pin-value is refused: what stands in a URI stands in the process list and
// in the shell's history.
func ParseURI(s string) (URI, error) {
	if len(s) < len(scheme) || !strings.EqualFold(s[:len(scheme)], scheme) {
		return URI{}, problem.New(problem.Usage, "this is not a PKCS#11 URI").
			Because("A PKCS#11 URI begins with %q (RFC 7512).", scheme).
			Advise(advice.Do(advice.ListTokens))
	}
	path, query, hasQuery := strings.Cut(s[len(scheme):], "?")
	var (
		u   URI
		err error
	)
	at := len(scheme)
	if path != "" {
		if u.Path, err = parseAttributes(path, at, ';', pathCharacters); err != nil {
			return URI{}, err
		}
	}
	if hasQuery {
		at += len(path) + len("?")
		if u.Query, err = parseAttributes(query, at, '&', queryCharacters); err != nil {
			return URI{}, err
		}
	}
	if err := u.check(); err != nil {
		return URI{}, err
	}
	return u, nil
}

// parseAttributes reads name=value pairs. at is where text begins in the URI.
func parseAttributes(text string, at int, separator byte, allowed string) ([]Attribute, error) {
	var attributes []Attribute
	for _, pair := range strings.Split(text, string(separator)) {
		name, raw, found := strings.Cut(pair, "=")
		if !found {
			return nil, syntaxError(at, "an attribute has the form name=value")
		}
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isNameCharacter(r) }) {
			return nil, syntaxError(at, "the name of an attribute consists of letters, digits, '-' and '_'")
		}
		value, err := decode(raw, at+len(name)+1, allowed)
		if err != nil {
			return nil, err
		}
		attributes = append(attributes, Attribute{name, value})
		at += len(pair) + 1
	}
	return attributes, nil
}

func decode(raw string, at int, allowed string) (string, error) {
	value := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '%':
			if i+2 >= len(raw) {
				return "", syntaxError(at+i, "'%' must be followed by two hex digits")
			}
			high, okHigh := hexDigit(raw[i+1])
			low, okLow := hexDigit(raw[i+2])
			if !okHigh || !okLow {
				return "", syntaxError(at+i, "'%' must be followed by two hex digits")
			}
			value = append(value, high<<4|low)
			i += 2
		case isUnreserved(c) || strings.IndexByte(allowed, c) >= 0:
			value = append(value, c)
		default:
			return "", syntaxError(at+i, fmt.Sprintf("this character must be written as %%%02X", c))
		}
	}
	return string(value), nil
}

// check holds what RFC 7512 says of attributes in their own terms.
func (u URI) check() error {
	if name, ok := repeated(u.Path, func(string) bool { return true }); ok {
		return problem.New(problem.Usage, "PKCS#11 URI: %s occurs twice", name).
			Because("An attribute may occur only once (RFC 7512, 2.3).")
	}
	if name, ok := repeated(u.Query, isQueryAttribute); ok {
		return problem.New(problem.Usage, "PKCS#11 URI: %s occurs twice", name).
			Because("An attribute may occur only once (RFC 7512, 2.3).")
	}
	for _, attributes := range [][]Attribute{u.Path, u.Query} {
		if _, ok := lookUp(attributes, AttrPINValue); ok {
			return problem.New(problem.Usage, "PKCS#11 URI: pin-value is not accepted").
				Because("Every program that lists processes can see it, and the shell keeps it in its history.").
				Advise(advice.Repeat(advice.Ask(secret.PIN)))
		}
	}
	if kind, ok := u.Get(AttrType); ok && !slices.Contains(objectTypes, kind) {
		return problem.New(problem.Usage, "PKCS#11 URI: unknown type of object").
			Because("Valid types: %s.", strings.Join(objectTypes, ", "))
	}
	if slot, ok := u.Get(AttrSlotID); ok && !isNumber(slot) {
		return problem.New(problem.Usage, "PKCS#11 URI: slot-id is not a decimal number").
			Advise(advice.Do(advice.ListTokens))
	}
	if version, ok := u.Get(AttrLibraryVersion); ok {
		major, minor, hasMinor := strings.Cut(version, ".")
		if !isNumber(major) || hasMinor && !isNumber(minor) {
			return problem.New(problem.Usage, "PKCS#11 URI: library-version is not a version").
				Because("A version is one number, or two such as 2.40 (RFC 7512, 2.3).")
		}
	}
	return nil
}

var objectTypes = []string{"public", "private", "cert", "secret-key", "data"}

func repeated(attributes []Attribute, counts func(name string) bool) (string, bool) {
	seen := make(map[string]bool)
	for _, a := range attributes {
		if seen[a.Name] && counts(a.Name) {
			return a.Name, true
		}
		seen[a.Name] = true
	}
	return "", false
}

func syntaxError(at int, reason string) error {
	return problem.New(problem.Usage, "PKCS#11 URI: character %d is not valid", at+1).
		Because("%s (RFC 7512, 2.3).", strings.ToUpper(reason[:1])+reason[1:])
}

func isUnreserved(c byte) bool {
	return isNameCharacter(rune(c)) || c == '.' || c == '~'
}

func isNameCharacter(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
