package setup

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// members are values in a JSON document in which others have theirs.
type members struct {
	Members []member `json:"members"`
}

// member is one value, or one element of a list.
type member struct {
	// Path are the names of the objects around the value, and its own.
	Path []string `json:"path"`
	// Value is a string, a number or a truth value.
	Value any `json:"value"`
	// Listed says that the value is an element of the list at Path.
	Listed bool `json:"listed,omitempty"`
}

func (m member) name() string { return strings.Join(m.Path, ".") }

// value is the value in JSON, by which it is compared.
func (m member) value() string { return inJSON(m.Value) }

func inJSON(v any) string {
	text, err := marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// find is what is at the path; parent is the innermost object that there is.
func (m member) find(o *object) (value any, found bool, err error) {
	for i, name := range m.Path {
		value, found = o.values[name]
		if !found || i == len(m.Path)-1 {
			return value, found, nil
		}
		inner, ok := value.(*object)
		if !ok {
			return nil, false, fmt.Errorf("%s is not an object", strings.Join(m.Path[:i+1], "."))
		}
		o = inner
	}
	return nil, false, nil
}

// compare compares one value with what is there.
func (m member) compare(o *object) (state, any, error) {
	there, found, err := m.find(o)
	if err != nil || !found {
		return absent, nil, err
	}
	if !m.Listed {
		if inJSON(there) == m.value() {
			return present, there, nil
		}
		return foreign, there, nil
	}
	list, ok := there.([]any)
	if !ok {
		return absent, nil, fmt.Errorf("%s is not a list", m.name())
	}
	if slices.ContainsFunc(list, m.is) {
		return present, there, nil
	}
	return absent, nil, nil
}

func (m member) is(v any) bool { return inJSON(v) == m.value() }

// put sets the value, in objects that are made where they are missing.
func (m member) put(o *object) {
	for _, name := range m.Path[:len(m.Path)-1] {
		inner, ok := o.values[name].(*object)
		if !ok {
			inner = newObject()
			o.set(name, inner)
		}
		o = inner
	}
	last := m.Path[len(m.Path)-1]
	if !m.Listed {
		o.set(last, m.Value)
		return
	}
	list, _ := o.values[last].([]any)
	if !slices.ContainsFunc(list, m.is) {
		o.set(last, append(list, m.Value))
	}
}

// cut takes the value out, or puts back the one before. Objects and lists that are
// empty then go too, unless they were there before.
func (m member) cut(o, before *object) {
	above := []*object{o}
	for _, name := range m.Path[:len(m.Path)-1] {
		inner, ok := above[len(above)-1].values[name].(*object)
		if !ok {
			return
		}
		above = append(above, inner)
	}
	last := m.Path[len(m.Path)-1]
	inner := above[len(above)-1]
	was, there, err := m.find(before)
	old, isList := was.([]any)
	switch {
	case err == nil && there && !m.Listed:
		inner.set(last, was)
		return
	case isList && slices.ContainsFunc(old, m.is):
		return
	}
	if list, listed := inner.values[last].([]any); m.Listed && listed {
		inner.set(last, slices.DeleteFunc(list, m.is))
	} else {
		inner.unset(last)
	}
	for i := len(m.Path); i > 0; i-- {
		holder := above[i-1]
		if _, was, err := (member{Path: m.Path[:i]}).find(before); err == nil && was || !isEmpty(holder.values[m.Path[i-1]]) {
			return
		}
		holder.unset(m.Path[i-1])
	}
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case *object:
		return len(v.names) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func (ms *members) text() string {
	o := newObject()
	for _, m := range ms.Members {
		m.put(o)
	}
	text, err := o.print()
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// document is a file as an object; one that is not there, or is empty, has no members.
func document(now []byte) (*object, error) {
	if len(strings.TrimSpace(string(now))) == 0 {
		return newObject(), nil
	}
	o, err := parseObject(now)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return nil, fmt.Errorf("%w, at byte %d", err, syntax.Offset)
	}
	return o, err
}

func (ms *members) compare(now []byte) (state, string, error) {
	o, err := document(now)
	if err != nil {
		return absent, "", err
	}
	is, other := present, ""
	for _, m := range ms.Members {
		found, there, err := m.compare(o)
		switch {
		case err != nil:
			return absent, "", err
		case found == foreign:
			other += signed("-", []string{m.name() + ": " + m.value()}) + signed("+", []string{m.name() + ": " + inJSON(there)})
		case found == absent:
			is = absent
		}
	}
	if other != "" {
		return foreign, other, nil
	}
	return is, "", nil
}

func (ms *members) apply(now []byte) ([]byte, error) {
	o, err := document(now)
	if err != nil {
		return nil, err
	}
	for _, m := range ms.Members {
		if _, _, err := m.compare(o); err != nil {
			return nil, err
		}
		m.put(o)
	}
	return o.print()
}

func (ms *members) strip(now, before []byte) ([]byte, error) {
	o, err := document(now)
	if err != nil {
		return nil, err
	}
	was, err := document(before)
	if err != nil {
		return nil, err
	}
	for _, m := range ms.Members {
		m.cut(o, was)
	}
	if before == nil && len(o.names) == 0 {
		return nil, nil
	}
	return o.print()
}
