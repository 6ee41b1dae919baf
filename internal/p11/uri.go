package p11

import (
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// URI is a PKCS#11 URI of RFC 7512, with values percent-decoded. The zero URI
// names everything.
type URI struct {
	// Path says what is named: a library, slot, token or object.
	Path []Attribute
	// Query says how it is reached.
	Query []Attribute
}

// Attribute is one attribute of a URI. The value of id is bytes, every other one is
// UTF-8 text by RFC 7512; tokens have labels in other encodings too, and padded with
// NUL, whose bytes stand for themselves here.
type Attribute struct {
	Name  string
	Value string
}

// The attributes of RFC 7512, 2.3.
const (
	AttrToken               = "token"
	AttrManufacturer        = "manufacturer"
	AttrSerial              = "serial"
	AttrModel               = "model"
	AttrLibraryManufacturer = "library-manufacturer"
	AttrLibraryDescription  = "library-description"
	AttrLibraryVersion      = "library-version"
	AttrObject              = "object"
	AttrType                = "type"
	AttrID                  = "id"
	AttrSlotManufacturer    = "slot-manufacturer"
	AttrSlotDescription     = "slot-description"
	AttrSlotID              = "slot-id"

	AttrPINSource  = "pin-source"
	AttrPINValue   = "pin-value"
	AttrModuleName = "module-name"
	AttrModulePath = "module-path"
)

// Get is the value of a path attribute. An attribute that is absent matches
// everything, one that is empty matches only what is empty.
func (u URI) Get(name string) (string, bool) { return lookUp(u.Path, name) }

// GetQuery is the value of a query attribute, the first one where a vendor's
// attribute stands there more than once.
func (u URI) GetQuery(name string) (string, bool) { return lookUp(u.Query, name) }

func lookUp(attributes []Attribute, name string) (string, bool) {
	for _, a := range attributes {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// Module is what the URI says of the module: module-path, else module-name,
// else nothing.
func (u URI) Module() string {
	if path, ok := u.GetQuery(AttrModulePath); ok {
		return path
	}
	name, _ := u.GetQuery(AttrModuleName)
	return name
}

// unknown is the first path attribute that RFC 7512 does not define. A URI
// that has one matches nothing (RFC 7512, 2.5).
func (u URI) unknown() (string, bool) {
	for _, a := range u.Path {
		if !isPathAttribute(a.Name) {
			return a.Name, true
		}
	}
	return "", false
}

// String is the URI in its printed form: the value of id percent-encoded
// throughout, as RFC 7512, 2.3 advises, the others where they must be.
func (u URI) String() string { return u.write(pathCharacters, queryCharacters) }

// Plain is the URI with only letters, digits, '-', '_', '.' and '~' in its values, as
// p11tool writes it: to shells and configuration files the others may mean something.
func (u URI) Plain() string { return u.write("", "") }

// write leaves these characters of a value as they are.
func (u URI) write(inPath, inQuery string) string {
	var b strings.Builder
	b.WriteString(scheme)
	for i, a := range u.Path {
		if i > 0 {
			b.WriteByte(';')
		}
		writeAttribute(&b, a, inPath)
	}
	for i, a := range u.Query {
		if i == 0 {
			b.WriteByte('?')
		} else {
			b.WriteByte('&')
		}
		writeAttribute(&b, a, inQuery)
	}
	return b.String()
}

func writeAttribute(b *strings.Builder, a Attribute, allowed string) {
	const hex = "0123456789ABCDEF"
	b.WriteString(a.Name)
	b.WriteByte('=')
	for i := 0; i < len(a.Value); i++ {
		c := a.Value[i]
		if a.Name != AttrID && (isUnreserved(c) || strings.IndexByte(allowed, c) >= 0) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&0xF])
	}
}

// IsURI reports whether a word is meant as a URI of RFC 7512.
func IsURI(word string) bool { return strings.HasPrefix(word, "pkcs11:") }

// With is the URI with another value of a path attribute.
func (u URI) With(name, value string) URI {
	path := slices.Clone(u.Path)
	for i := range path {
		if path[i].Name == name {
			path[i].Value = value
			return URI{Path: path, Query: u.Query}
		}
	}
	return URI{Path: append(path, Attribute{name, value}), Query: u.Query}
}

// PINSource is the source of the PIN that pin-source names (RFC 7512, 2.4): a file, as
// a source is written, empty where there is none. Others than files are refused: a
// program to run, or a place on a network, comes with the URI from somebody else.
func (u URI) PINSource() (string, error) {
	value, has := u.GetQuery(AttrPINSource)
	if !has {
		return "", nil
	}
	path, isFile := strings.CutPrefix(value, "file:")
	if strings.HasPrefix(path, "//") {
		host, rest, _ := strings.Cut(path[2:], "/")
		path, isFile = "/"+rest, isFile && (host == "" || host == "localhost")
	}
	if !isFile && strings.HasPrefix(value, "/") {
		path, isFile = value, true
	}
	if !isFile || path == "" {
		return "", problem.New(problem.Usage, "PKCS#11 URI: this pin-source is not accepted").
			Because("Only a file is: pin-source=file:PATH.").
			Advise(advice.Repeat(advice.Ask(secret.PIN)))
	}
	return "file:" + path, nil
}
