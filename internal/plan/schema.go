package plan

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// Schema is the JSON Schema (2020-12) of a plan, so that editors complete and check what
// is typed. What one field means for another is checked by Parse only.
func Schema() ([]byte, error) {
	schema := schemaOf(reflect.TypeFor[Plan](), "")
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "cardctl plan"
	text, err := json.MarshalIndent(schema, "", "  ")
	return append(text, '\n'), err
}

// withColumns is said of a field in which columns of the rows can stand.
const withColumns = "; can have columns"

type object = map[string]any

// schemaOf is what the decoder accepts for a type.
func schemaOf(t reflect.Type, tag reflect.StructTag) object {
	switch t {
	case reflect.TypeFor[Source]():
		return schemaOfSource(strings.Fields(tag.Get("sources")))
	case reflect.TypeFor[Generate]():
		if only := tag.Get("generate"); only != "" {
			return object{"type": "string", "enum": []string{only}}
		}
		return object{"type": "string", "pattern": patternCount}
	case reflect.TypeFor[time.Duration]():
		return object{"type": "string", "pattern": patternDuration}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), tag)
	case reflect.Struct:
		return schemaOfStruct(t)
	case reflect.Map:
		return object{"type": "object", "propertyNames": object{"pattern": patternColumn}, "additionalProperties": schemaOf(t.Elem(), "")}
	case reflect.Slice:
		return object{"type": "array", "minItems": 1, "items": schemaOf(t.Elem(), tag)}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		least, most := field{tag: tag}.limits()
		return object{"type": "integer", "minimum": least, "maximum": most}
	}
	text := object{"type": "string"}
	if words := vocabulary(tag.Get("words")); len(words) > 0 {
		text["enum"] = words
	}
	if pattern := tag.Get("pattern"); pattern != "" {
		text["pattern"] = pattern
	}
	if tag.Get("row") != rowOptional {
		text["minLength"] = 1
	}
	return text
}

func schemaOfSource(words []string) object {
	pattern := patternSource
	if len(words) > 0 {
		pattern = strings.TrimSuffix(pattern, ")$") + "|" + strings.Join(words, "|") + ")$"
	}
	return object{"type": "string", "pattern": pattern}
}

func schemaOfStruct(t reflect.Type) object {
	names, indexes := fieldsOf(t)
	properties := object{}
	var required []string
	for i, name := range names {
		f := t.Field(indexes[i])
		property := schemaOf(f.Type, f.Tag)
		property["description"] = f.Tag.Get("about")
		if f.Tag.Get("row") != "" {
			property["description"] = f.Tag.Get("about") + withColumns
		}
		properties[name] = property
		if f.Tag.Get("need") != "" {
			required = append(required, name)
		}
	}
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	if !abbreviated(t) {
		return schema
	}
	source, _ := t.FieldByName("Source")
	return object{"anyOf": []object{schemaOf(source.Type, source.Tag), schema}}
}
