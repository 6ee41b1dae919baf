package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
)

// check is what the schema does not say.
func (p *Plan) check() error {
	for _, check := range []func() error{p.checkColumns, p.checkTemplates, p.checkPerson, p.checkSecrets, p.checkCard, p.checkIssuers, p.checkKeys, p.checkSmokeTest} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// at is a mistake in a field.
func (p *Plan) at(path, format string, args ...any) *problem.Error {
	return mistake(p.Place(path), format, args...)
}

func certificateOf(i int) string { return fmt.Sprintf("keys[%d].certificate", i) }

// checkColumns refuses names that lead to one another.
func (p *Plan) checkColumns() error {
	for name, header := range p.Columns {
		seen := []string{name}
		for next, ok := header, true; ok; next, ok = p.Columns[next] {
			if slices.Contains(seen, next) {
				return p.at("columns."+name, "a cycle of names: %s", strings.Join(append(seen, next), " is "))
			}
			seen = append(seen, next)
		}
	}
	for name, header := range p.Columns {
		for other, same := range p.Columns {
			if other != name && same == header {
				return p.at("columns."+max(name, other), "%s and %s are the same column", min(name, other), max(name, other))
			}
		}
	}
	return nil
}

// checkTemplates finds the columns that are used, and refuses what is in other braces.
func (p *Plan) checkTemplates() error {
	p.templates = map[string]template{}
	if err := p.eachText(reflect.ValueOf(p).Elem(), "", "", p.checkTemplate); err != nil {
		return err
	}
	for _, t := range p.templates {
		p.used = append(p.used, t.columns()...)
	}
	slices.Sort(p.used)
	p.used = slices.Compact(p.used)
	return nil
}

// eachText calls f for each text of the plan.
func (p *Plan) eachText(v reflect.Value, kind, path string, f func(path, kind, text string) error) error {
	if v.Type() == typeSource() {
		if strings.Contains(p.sources[path], opening) {
			return misplaced(p.Place(path), path).Because("A command gets the columns as variables, such as $%sMAIL; or give the secret a file.", environment)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		return f(path, kind, v.String())
	case reflect.Pointer:
		if !v.IsNil() {
			return p.eachText(v.Elem(), kind, path, f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := p.eachText(v.Index(i), kind, fmt.Sprintf("%s[%d]", path, i), f); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, name := range v.MapKeys() {
			if err := p.eachText(v.MapIndex(name), kind, join(path, name.String()), f); err != nil {
				return err
			}
		}
	case reflect.Struct:
		t := v.Type()
		for i := range t.NumField() {
			tag := t.Field(i).Tag
			if name := tag.Get("yaml"); name != "" {
				if err := p.eachText(v.Field(i), tag.Get("row"), join(path, name), f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (p *Plan) checkTemplate(path, kind, text string) error {
	if !strings.Contains(text, opening) {
		if kind == rowName {
			if _, err := csr.ParseName(text); err != nil {
				return p.at(path, "%s is not a distinguished name", path).Because("%s", reason(err))
			}
		}
		return nil
	}
	if kind == "" {
		return misplaced(p.Place(path), path)
	}
	t, err := parseTemplate(text)
	if err != nil {
		return p.at(path, "%s cannot be filled from a row", path).Because("%s", reason(err))
	}
	if kind == rowName {
		if _, err := nameShape(t); err != nil {
			return p.at(path, "%s is not a distinguished name with columns in its values", path).Because("%s", reason(err))
		}
	}
	p.templates[text] = t
	return nil
}

func (p *Plan) checkPerson() error {
	switch {
	case p.Person.ID == "" && p.Person.Name != "":
		return p.at("person", "person has no field id")
	case len(p.used) > 0 && len(p.templates[p.Person.ID].columns()) == 0:
		return p.at("person.id", "person.id has no column").Because("The plan uses columns of a row, so it has to name a person for each row.")
	}
	return nil
}

func (p *Plan) checkSecrets() error   { return nil }
func (p *Plan) checkCard() error      { return nil }
func (p *Plan) checkIssuers() error   { return nil }
func (p *Plan) checkKeys() error      { return nil }
func (p *Plan) checkSmokeTest() error { return nil }

// Names are what is asked for of an issuer.
func (c *Certificate) Names() csr.Options {
	return csr.Options{
		Subject: c.Subject, Emails: c.Emails, DNS: c.DNS, IPs: c.IPs, URIs: c.URIs, UPNs: c.UPNs,
		KeyUsage: c.KeyUsage, ExtKeyUsage: c.ExtKeyUsage, Extensions: c.Extensions, Digest: c.Digest, PSS: c.PSS,
	}
}

// check is what can be known of names without a key.
func (c *Certificate) check() error {
	if c == nil {
		return nil
	}
	_, err := csr.Parse(c.Names())
	return err
}

// References are those of all keys that the plan names.
func (p *Plan) References() []string {
	var all []string
	for _, k := range p.Keys {
		all = append(all, k.Ref)
		if k.Certificate != nil && k.Certificate.AuthKey != "" {
			all = append(all, k.Certificate.AuthKey)
		}
	}
	for _, i := range p.Issuers {
		if i.Key != "" {
			all = append(all, i.Key)
		}
	}
	if p.SmokeTest != nil {
		all = append(all, p.SmokeTest.Keys...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Used are the columns that the plan uses, in alphabetical order.
func (p *Plan) Used() []string { return slices.Clone(p.used) }

// Hash names the plan: the SHA-256, in upper-case hex, of what it says. Comments, the order
// of fields and the way values are written do not count.
func (p *Plan) Hash() string {
	sum := sha256.Sum256(p.content)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
