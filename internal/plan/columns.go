package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/csr"
)

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
	p.templates, p.shapes = map[string]template{}, map[string][]string{}
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
			return misplaced(p.Place(path), path).Because("A command gets the columns as variables, such as $%sMAIL.", environment)
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
		shape, err := nameShape(t)
		if err != nil {
			return p.at(path, "%s is not a distinguished name with columns in its values", path).Because("%s", reason(err))
		}
		p.shapes[text] = shape
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
