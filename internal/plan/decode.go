package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Parse reads a plan, and checks everything that can be known without a card, a row or a
// file. What is wrong is a problem.Usage with line and column. It never repeats what may
// be a secret.
func Parse(data []byte) (*Plan, error) {
	p, err := decode(data)
	if err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// decode reads a plan as far as its schema says what is right.
func decode(data []byte) (*Plan, error) {
	root, err := parseText(data)
	if err != nil {
		return nil, err
	}
	p := &Plan{places: map[string]Place{}, sources: map[string]string{}}
	d := decoder{places: p.places, sources: p.sources, anchors: map[string]ast.Node{}, work: maxWork}
	content, err := d.value(root, reflect.ValueOf(p).Elem(), field{})
	if err != nil {
		return nil, err
	}
	p.content, err = json.Marshal(content)
	return p, err
}

// decoder goes through a document. Its methods return the content of a value too, as
// encoding/json has values.
type decoder struct {
	places  map[string]Place
	sources map[string]string   // texts of sources
	anchors map[string]ast.Node // values by their anchors
	work    int                 // what may still be done
	depth   int
}

// field is what a value is for.
type field struct {
	// path is where it is: keys[0].ref.
	path string
	tag  reflect.StructTag
	// hidden says that a secret may stand there by mistake: nothing is repeated.
	hidden bool
}

// fieldsOf are the fields of a struct in YAML, in order, by index.
func fieldsOf(t reflect.Type) (names []string, indexes []int) {
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" {
			names, indexes = append(names, name), append(indexes, i)
		}
	}
	return names, indexes
}

// abbreviated reports whether a struct may be written as the source alone.
func abbreviated(t reflect.Type) bool {
	names, _ := fieldsOf(t)
	return slices.Contains(names, "source")
}

var (
	typeSource   = reflect.TypeFor[Source]
	typeGenerate = reflect.TypeFor[Generate]
	typeDuration = reflect.TypeFor[time.Duration]
)

// value puts a node into a variable.
func (d *decoder) value(n ast.Node, to reflect.Value, f field) (any, error) {
	n, name, err := d.resolve(n)
	if err != nil {
		return nil, err
	}
	d.depth++
	content, err := d.resolved(n, to, f)
	d.depth--
	if name != "" && err == nil {
		d.anchors[name] = n
	}
	return content, err
}

// resolve follows an alias, and takes the anchor from a value.
func (d *decoder) resolve(n ast.Node) (value ast.Node, anchor string, err error) {
	at := placeOfNode(n)
	if d.work -= 1; d.work < 0 || d.depth > maxDepth {
		return nil, "", mistake(at, "the plan is too long").Because("Its aliases repeat too much.")
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		return n.Value, n.Name.GetToken().Value, nil
	case *ast.AliasNode:
		value, ok := d.anchors[n.Value.GetToken().Value]
		if !ok {
			return nil, "", mistake(at, "an alias of something that is not defined before")
		}
		return value, "", nil
	}
	return n, "", nil
}

func (d *decoder) resolved(n ast.Node, to reflect.Value, f field) (any, error) {
	at := placeOfNode(n)
	d.places[f.path] = at
	if n == nil || n.Type() == ast.NullType {
		return nil, mistake(at, "%s has no value", f.words()).Because("Give it one, or remove the field.")
	}
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	switch to.Type() {
	case typeSource(), typeGenerate(), typeDuration():
		return d.leaf(n, to, f)
	}
	switch to.Kind() {
	case reflect.Struct:
		return d.structure(n, to, f)
	case reflect.Map:
		return d.names(n, to, f)
	case reflect.Slice:
		return d.list(n, to, f)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			return nil, f.wrong(at, "true or false")
		}
		to.SetBool(b.Value)
		return b.Value, nil
	case reflect.Int:
		return d.number(n, to, f)
	}
	return d.text(n, to, f)
}

// words are what a field is called.
func (f field) words() string {
	if f.path == "" {
		return "the plan"
	}
	return f.path
}

func (f field) wrong(at Place, kind string) *problem.Error {
	return mistake(at, "%s is not %s", f.words(), kind)
}

// scalar is the text of a scalar that is a string in YAML.
func (d *decoder) scalar(n ast.Node) (string, bool) {
	text := ""
	switch n := n.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = n.Value.Value
	default:
		return "", false
	}
	d.work -= len(text)
	return text, true
}

func (d *decoder) text(n ast.Node, to reflect.Value, f field) (any, error) {
	at := placeOfNode(n)
	text, ok := d.scalar(n)
	if !ok {
		p := f.wrong(at, "a text")
		if _, isScalar := n.(ast.ScalarNode); isScalar {
			p.Because("Numbers, true, false and the like become text in quotes.")
		}
		return nil, p
	}
	if text == "" && f.tag.Get("row") != "optional" {
		return nil, mistake(at, "%s is empty", f.words()).Because("Give it a value, or remove the field.")
	}
	words := vocabulary(f.tag.Get("words"))
	if len(words) > 0 && !slices.Contains(words, text) {
		return nil, f.notAWord(at, text, words)
	}
	if pattern := f.tag.Get("pattern"); pattern != "" && !regexp.MustCompile(pattern).MatchString(text) {
		return nil, f.wrong(at, "a recipient").Because("A recipient begins with age1. What it stands for, a secret, never stands in a plan.")
	}
	to.SetString(text)
	return text, nil
}

// notAWord is for a word that a field does not have.
func (f field) notAWord(at Place, text string, words []string) error {
	p := f.wrong(at, "one of its words")
	if !f.hidden && len(text) < 40 {
		p = mistake(at, "%s cannot be %q", f.words(), text)
	}
	if near := nearest(text, words); near != "" {
		return p.Because("Is it %s? Valid words: %s.", near, strings.Join(words, ", "))
	}
	return p.Because("Valid words: %s.", strings.Join(words, ", "))
}

func (d *decoder) number(n ast.Node, to reflect.Value, f field) (any, error) {
	least, most := f.limits()
	kind := fmt.Sprintf("a number from %d to %d", least, most)
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		return nil, f.wrong(placeOfNode(n), kind)
	}
	number, err := strconv.Atoi(fmt.Sprint(i.Value))
	if err != nil || number < least || number > most {
		return nil, f.wrong(placeOfNode(n), kind)
	}
	to.SetInt(int64(number))
	return number, nil
}

// limits are those of a number.
func (f field) limits() (least, most int) {
	least, _ = strconv.Atoi(f.tag.Get("min"))
	most, _ = strconv.Atoi(f.tag.Get("max"))
	return least, most
}

// list reads a sequence.
func (d *decoder) list(n ast.Node, to reflect.Value, f field) (any, error) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, f.wrong(placeOfNode(n), "a list")
	}
	if len(sequence.Values) == 0 {
		return nil, mistake(placeOfNode(n), "%s is empty", f.words()).Because("Give it a value, or remove the field.")
	}
	content := make([]any, len(sequence.Values))
	to.Set(reflect.MakeSlice(to.Type(), len(sequence.Values), len(sequence.Values)))
	for i, item := range sequence.Values {
		var err error
		of := field{path: fmt.Sprintf("%s[%d]", f.path, i), tag: f.tag, hidden: f.hidden}
		if content[i], err = d.value(item, to.Index(i), of); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// entries are those of a mapping, with their keys.
func (d *decoder) entries(n ast.Node, f field) (keys []string, values []*ast.MappingValueNode, err error) {
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return nil, nil, f.wrong(placeOfNode(n), "a mapping of fields")
	}
	for _, v := range values {
		at := placeOf(v.Key.GetToken())
		name, ok := v.Key.(*ast.StringNode)
		switch {
		case !ok:
			return nil, nil, mistake(at, "the name of a field in %s is not a text", f.words())
		case slices.Contains(keys, name.Value):
			return nil, nil, mistake(at, "a field of %s stands here a second time", f.words())
		}
		keys = append(keys, name.Value)
	}
	return keys, values, nil
}

// structure reads a mapping with known fields.
func (d *decoder) structure(n ast.Node, to reflect.Value, f field) (any, error) {
	t := to.Type()
	names, indexes := fieldsOf(t)
	if _, isScalar := n.(ast.ScalarNode); isScalar && abbreviated(t) {
		of := t.Field(indexes[slices.Index(names, "source")])
		content, err := d.leaf(n, to.FieldByIndex(of.Index), field{path: f.path, tag: of.Tag})
		d.sources[join(f.path, "source")] = d.sources[f.path]
		return map[string]any{"source": content}, err
	}
	keys, values, err := d.entries(n, f)
	if err != nil {
		return nil, err
	}
	content := map[string]any{}
	for i, key := range keys {
		known := slices.Index(names, key)
		if known < 0 {
			return nil, f.unknown(placeOf(values[i].Key.GetToken()), key, names, abbreviated(t))
		}
		of := t.Field(indexes[known])
		inner := field{path: join(f.path, key), tag: of.Tag, hidden: abbreviated(t)}
		if content[key], err = d.value(values[i].Value, to.Field(indexes[known]), inner); err != nil {
			return nil, err
		}
	}
	for i, name := range names {
		if t.Field(indexes[i]).Tag.Get("need") != "" && content[name] == nil {
			return nil, mistake(placeOfNode(n), "%s has no field %s", f.words(), name)
		}
	}
	return content, nil
}

// unknown is for a field that does not exist.
func (f field) unknown(at Place, key string, names []string, hidden bool) error {
	p := mistake(at, "unknown field in %s", f.words())
	if !hidden && len(key) < 40 {
		p = mistake(at, "unknown field %q in %s", key, f.words())
	}
	if near := nearest(key, names); near != "" {
		return p.Because("Is it %s? Valid fields: %s.", near, strings.Join(names, ", "))
	}
	return p.Because("Valid fields: %s.", strings.Join(names, ", "))
}

// names reads a mapping whose names the plan chooses.
func (d *decoder) names(n ast.Node, to reflect.Value, f field) (any, error) {
	keys, values, err := d.entries(n, f)
	if err != nil {
		return nil, err
	}
	content := map[string]any{}
	to.Set(reflect.MakeMap(to.Type()))
	for i, key := range keys {
		if !isColumn(key) {
			return nil, mistake(placeOf(values[i].Key.GetToken()), "a name in %s has other characters than letters, digits and _", f.words())
		}
		element := reflect.New(to.Type().Elem()).Elem()
		if content[key], err = d.value(values[i].Value, element, field{path: join(f.path, key)}); err != nil {
			return nil, err
		}
		to.SetMapIndex(reflect.ValueOf(key), element)
	}
	return content, nil
}

// leaf reads a value that has a form of its own.
func (d *decoder) leaf(n ast.Node, to reflect.Value, f field) (any, error) {
	at := placeOfNode(n)
	text, ok := d.scalar(n)
	switch into := to.Addr().Interface().(type) {
	case *Source:
		source, err := parseSource(text, strings.Fields(f.tag.Get("sources")))
		if !ok || err != nil {
			return nil, f.bare(at)
		}
		*into = source
		d.sources[f.path] = text
	case *Generate:
		generate, err := parseGenerate(text, f.tag.Get("generate"))
		if !ok || err != nil {
			return nil, f.wrong(at, "something that can be generated").Because("%s", problem.Sentence(generated(f.tag.Get("generate"))))
		}
		*into = generate
	case *time.Duration:
		duration, err := parseDuration(text)
		if !ok || err != nil {
			return nil, f.wrong(at, "a time").Because("Such as 30d, 12h, 10m or 90s.")
		}
		*into = duration
	}
	return text, nil
}

// bare is for what is no source: it may be the secret itself, and is not repeated.
func (f field) bare(at Place) error {
	p := f.wrong(at, "the source of a secret")
	words := strings.Fields(f.tag.Get("sources"))
	sources := append(slices.Clone(secret.Forms()), words...)
	return p.Because("A secret itself never stands in a plan. Valid sources: %s.", strings.Join(sources, ", "))
}
