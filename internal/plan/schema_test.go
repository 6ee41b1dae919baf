package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cardctl/cardctl/internal/problem"
)

// schemaAndText is the schema as a validator has it, and as a document.
func schemaAndText(t testing.TB) (*jsonschema.Schema, object) {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("plan.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("plan.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema, document.(object)
}

// TestTheSchemaIsTheParser makes plans out of the schema at random, changes them at
// random, and holds what the schema says of each against what the parser says.
func TestTheSchemaIsTheParser(t *testing.T) {
	schema, document := schemaAndText(t)
	const plans = 4000
	g := &generator{rand: rand.New(rand.NewPCG(16, 1))}
	right, wrong := 0, 0
	for range plans {
		plan := g.value(document)
		for range g.rand.IntN(3) {
			plan = g.changed(plan)
		}
		text, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		if g.rand.IntN(2) == 0 { // the same as a person writes it
			if text, err = yaml.Marshal(plan); err != nil {
				t.Fatal(err)
			}
		}
		again, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON(t, plan)))
		if err != nil {
			t.Fatal(err)
		}
		said := schema.Validate(again)
		_, parsed := decode(text)
		switch {
		case (said == nil) != (parsed == nil):
			t.Fatalf("the schema says %v, the parser %v, of\n%s", said, parsed, text)
		case parsed == nil:
			right++
		default:
			wrong++
			if !problem.Is(parsed, problem.Usage) {
				t.Fatalf("%v of\n%s", parsed, text)
			}
		}
	}
	if right < plans/10 || wrong < plans/10 {
		t.Errorf("%d plans were right and %d wrong: that is no comparison", right, wrong)
	}
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// generator makes values that a schema describes.
type generator struct{ rand *rand.Rand }

func (g *generator) value(schema object) any {
	if choices, ok := schema["anyOf"].([]any); ok {
		return g.value(choices[g.rand.IntN(len(choices))].(object))
	}
	switch schema["type"] {
	case "object":
		return g.object(schema)
	case "array":
		var list []any
		for range 1 + g.rand.IntN(2) {
			list = append(list, g.value(schema["items"].(object)))
		}
		return list
	case "boolean":
		return g.rand.IntN(2) == 0
	case "integer":
		least, most := number(schema["minimum"]), number(schema["maximum"])
		return []int{least, most, least + g.rand.IntN(most-least+1)}[g.rand.IntN(3)]
	}
	if words, ok := schema["enum"].([]any); ok {
		return words[g.rand.IntN(len(words))]
	}
	if pattern, ok := schema["pattern"].(string); ok {
		return g.matching(pattern)
	}
	return g.one("a", "CN={{.name}}", "x: y", "#", "it's", "a\nb", "123", "true", "null", "~", "- a", "é", `"`, "{{", "*a", "&a", "!!str", "%", "a #b", "1.5", "0x1", "=", "<<")
}

func number(v any) int {
	n, err := v.(json.Number).Int64()
	if err != nil {
		panic(err)
	}
	return int(n)
}

func (g *generator) one(words ...string) string { return words[g.rand.IntN(len(words))] }

// matching is a text for a pattern of the schema.
func (g *generator) matching(pattern string) string {
	switch {
	case pattern == patternCount:
		return g.one("4 digits", "8 digits", "64 letters", "12 letters")
	case pattern == patternDuration:
		return g.one("30d", "12h", "10m", "90s", "99999d")
	case strings.HasPrefix(pattern, "^(env"):
		words := []string{"env:A_1", "file:/a b", "fd:3", "stdin", "command:pass show x", "pinentry", "prompt"}
		for _, word := range []string{"default", "protected"} {
			if strings.Contains(pattern, "|"+word) {
				words = append(words, word)
			}
		}
		return g.one(words...)
	case strings.Contains(pattern, "age1"):
		return g.one("age1ql3z7", "age1yubikey1q")
	}
	panic("no example for " + pattern)
}

func (g *generator) object(schema object) any {
	made := object{}
	if properties, ok := schema["properties"].(object); ok {
		required, _ := schema["required"].([]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if slices.Contains(required, any(name)) || g.rand.IntN(4) == 0 {
				made[name] = g.value(properties[name].(object))
			}
		}
		return made
	}
	for range 1 + g.rand.IntN(2) {
		made[g.one("a", "B_1", "_")] = g.value(schema["additionalProperties"].(object))
	}
	return made
}

// changed makes a mistake somewhere, or what may be one.
func (g *generator) changed(v any) any {
	switch v := v.(type) {
	case object:
		names := slices.Sorted(maps.Keys(v))
		switch choice := g.rand.IntN(6); {
		case choice == 0:
			v[g.one("ref", "unknown", "generate", "1", "keep", "a-b")] = g.any()
		case choice == 1 && len(names) > 0:
			delete(v, g.one(names...))
		case choice == 2:
			return g.any()
		case len(names) > 0:
			name := g.one(names...)
			v[name] = g.changed(v[name])
		}
		return v
	case []any:
		switch i := g.rand.IntN(len(v) + 2); {
		case i < len(v):
			v[i] = g.changed(v[i])
			return v
		case i == len(v):
			return append(v, g.any())
		}
		return []any{}
	}
	return g.any()
}

func (g *generator) any() any {
	values := []any{
		true, false, 0, 1, -1, 5, 255, 256, 65536, 1.5, "", "a", "never", "p256", "8 digits", "3 digits", "65 digits", "08 digits", "8  digits", "123456",
		"management-key", "card-keys", "default", "protected", "env:", "env:1", "file:", "fd:99999", "fd:-1", "stdin:", "prompt", "30d", "0d", "30 d", "1h30m", "100000d",
		"age1", "age1A", "AGE-SECRET-KEY-1", nil, []any{}, []any{"a"}, []any{1}, object{}, object{"a": 1}, object{"source": "env:A"}, object{"url": "ca:x"}, "cardctl/v2", "ledger",
	}
	return values[g.rand.IntN(len(values))]
}

// TestTheSchemaHasADescriptionOfEachField so that editors show one.
func TestTheSchemaHasADescriptionOfEachField(t *testing.T) {
	_, document := schemaAndText(t)
	fields := 0
	eachField(document, "", func(path string, schema object) {
		fields++
		if about, _ := schema["description"].(string); len(about) < 5 {
			t.Errorf("%s: %q", path, about)
		}
	})
	if fields < 80 {
		t.Errorf("%d fields", fields)
	}
}

// eachField goes through the fields of a schema: keys[].ref.
func eachField(schema object, path string, f func(path string, schema object)) {
	if choices, ok := schema["anyOf"].([]any); ok {
		schema = choices[1].(object)
	}
	if items, ok := schema["items"].(object); ok {
		eachField(items, path+"[]", f)
	}
	if named, ok := schema["additionalProperties"].(object); ok {
		eachField(named, path+".NAME", f)
	}
	properties, _ := schema["properties"].(object)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		inner := strings.TrimPrefix(fmt.Sprintf("%s.%s", path, name), ".")
		f(inner, properties[name].(object))
		eachField(properties[name].(object), inner, f)
	}
}
