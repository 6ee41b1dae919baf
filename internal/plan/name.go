package plan

import (
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
)

// A column goes into the value of one attribute of a name. It is escaped whole, and the
// name has the same attributes afterwards, whatever is in the column.

// sample stands for any column: as a value, each attribute takes it; in the type of an
// attribute, after a number sign or a backslash it is a mistake.
const sample = "XY"

// fillName puts the columns of a row into a distinguished name, whose nameShape is shaped.
func fillName(t template, shaped []string, values map[string]string) (string, error) {
	name, err := csr.ParseName(t.fill(values, nameEscape(t)))
	if err != nil {
		return "", err
	}
	shape, err := attributesOf(name)
	if err != nil || !slices.Equal(shape, shaped) {
		return "", problem.New(problem.Usage, "a column changes the parts of the name")
	}
	return name.String(), nil
}

// nameShape is what a name with columns has as attributes.
func nameShape(t template) ([]string, error) {
	written := ""
	for _, p := range t {
		if p.column != "" && (len(written)-len(strings.TrimRight(written, `\`)))%2 == 1 {
			return nil, problem.New(problem.Usage, "a backslash stands before a column")
		}
		if written += p.text; p.column != "" {
			written += sample
		}
	}
	name, err := csr.ParseName(written)
	if err != nil {
		return nil, err
	}
	return attributesOf(name)
}

// attributesOf are the types of each RDN.
func attributesOf(n csr.Name) ([]string, error) {
	der, err := n.DER()
	if err != nil {
		return nil, err
	}
	var rdns []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &rdns); err != nil {
		return nil, err
	}
	var shape []string
	for _, raw := range rdns {
		var rdn []struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		if _, err := asn1.UnmarshalWithParams(raw.FullBytes, &rdn, "set"); err != nil {
			return nil, err
		}
		var types []string
		for _, a := range rdn {
			types = append(types, a.Type.String())
		}
		slices.Sort(types)
		shape = append(shape, strings.Join(types, "+"))
	}
	return shape, nil
}

// nameEscape takes its meaning from each character of a value, in the form that the
// template is written in: RFC 4514, 3 (hexpair), or OpenSSL's.
func nameEscape(t template) func(string) string {
	openSSL := strings.HasPrefix(t[0].text, "/")
	return func(value string) string {
		var b strings.Builder
		for _, r := range value {
			switch plain := r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'; {
			case plain:
				b.WriteRune(r)
			case openSSL:
				b.WriteString(`\` + string(r))
			default:
				for _, c := range []byte(string(r)) {
					fmt.Fprintf(&b, `\%02X`, c)
				}
			}
		}
		return b.String()
	}
}
