package plan

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
)

// For is the plan of a row: its columns stand in the values. The rows of ReadRows have
// passed it. It can be called by several goroutines.
func (p *Plan) For(r Row) (*Plan, error) {
	for _, name := range p.used {
		if _, ok := r.Values[name]; !ok {
			return nil, r.mistake("there is no column %s", name).Because("The plan takes it from the rows of a table.")
		}
	}
	f := filler{plan: p, row: r}
	filled := *p
	if err := f.copy(reflect.ValueOf(p).Elem(), reflect.ValueOf(&filled).Elem(), "", ""); err != nil {
		return nil, err
	}
	for i := range filled.Keys {
		if err := filled.Keys[i].Certificate.checkNames(); err != nil {
			return nil, r.mistake("%s cannot be asked for", certificateOf(i)).Because("%s", reason(err))
		}
	}
	return &filled, nil
}

// mistake is a problem in a row; the zero row is that of a plan without a table.
func (r Row) mistake(format string, args ...any) *problem.Error {
	p := problem.New(problem.Usage, format, args...)
	if r.Number > 0 {
		p.What = r.Place() + ": " + p.What
	}
	return p
}

// Place is where the row is.
func (r Row) Place() string { return fmt.Sprintf("row %d, line %d", r.Number, r.Line) }

// reason is what a layer below says, without its advice.
func reason(err error) string {
	return problem.Sentence(err.Error())
}

// filler copies a plan, with the columns of a row in it.
type filler struct {
	plan *Plan
	row  Row
}

// copy copies what may hold columns. kind is that of the columns in a value.
func (f *filler) copy(from, to reflect.Value, kind, path string) error {
	switch from.Kind() {
	case reflect.String:
		return f.text(from.String(), to, kind, path)
	case reflect.Pointer:
		if from.IsNil() {
			return nil
		}
		to.Set(reflect.New(from.Type().Elem()))
		return f.copy(from.Elem(), to.Elem(), kind, path)
	case reflect.Struct:
		return f.structure(from, to, path)
	case reflect.Slice:
		return f.list(from, to, kind, path)
	case reflect.Map:
		return f.names(from, to, path)
	}
	to.Set(from)
	return nil
}

func (f *filler) structure(from, to reflect.Value, path string) error {
	to.Set(from)
	t := from.Type()
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		if name := tag.Get("yaml"); name != "" {
			if err := f.copy(from.Field(i), to.Field(i), tag.Get("row"), join(path, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

func (f *filler) list(from, to reflect.Value, kind, path string) error {
	list := reflect.MakeSlice(from.Type(), 0, from.Len())
	for i := range from.Len() {
		item := from.Index(i)
		if kind == rowItem {
			if name := f.plan.templates[item.String()].one(); name != "" && f.row.Values[name] == "" {
				continue
			}
		}
		list = reflect.Append(list, reflect.Zero(from.Type().Elem()))
		if err := f.copy(item, list.Index(list.Len()-1), kind, path+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	if from.IsNil() {
		list = from
	}
	to.Set(list)
	return nil
}

func (f *filler) names(from, to reflect.Value, path string) error {
	if from.IsNil() {
		return nil
	}
	to.Set(reflect.MakeMap(from.Type()))
	for _, name := range from.MapKeys() {
		element := reflect.New(from.Type().Elem()).Elem()
		if err := f.copy(from.MapIndex(name), element, "", join(path, name.String())); err != nil {
			return err
		}
		to.SetMapIndex(name, element)
	}
	return nil
}

// escapeInURL makes a value one user, or one value of a parameter.
func escapeInURL(value string) string { return strings.ReplaceAll(url.QueryEscape(value), "+", "%20") }

// text puts columns into one value.
func (f *filler) text(text string, to reflect.Value, kind, path string) error {
	t, has := f.plan.templates[text]
	if !has || kind == "" {
		to.SetString(text)
		return nil
	}
	if name := t.unclean(f.row.Values); name != "" {
		return f.row.mistake("the column %s has a line break, or a character that is damaged or not seen", name).
			Because("%s uses it.", path)
	}
	if name := t.empty(f.row.Values); name != "" && kind != rowOptional {
		return f.row.mistake("the column %s is empty", name).Because("%s needs it.", path)
	}
	var filled string
	var err error
	switch kind {
	case rowName:
		filled, err = fillName(t, f.plan.shapes[text], f.row.Values)
	case rowHex:
		if filled = t.fill(f.row.Values, nil); strings.Trim(filled, "0123456789abcdefABCDEF") != "" {
			return f.row.mistake("%s is not hexadecimal", path)
		}
	case rowParameter:
		filled = t.fill(f.row.Values, escapeInURL)
	default:
		filled = t.fill(f.row.Values, nil)
	}
	if err != nil {
		return f.row.mistake("%s cannot be filled", path).Because("%s", reason(err))
	}
	to.SetString(filled)
	return nil
}
