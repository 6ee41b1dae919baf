package plan

import (
	"reflect"

	"github.com/cardctl/cardctl/internal/secret"
)

// Sources are all sources of secrets in the plan, in no order.
func (p *Plan) Sources() (all []secret.Source) {
	var look func(v reflect.Value)
	look = func(v reflect.Value) {
		if v.Type() == reflect.TypeFor[Source]() {
			if source := v.Interface().(Source); source.Word == "" && !source.IsZero() {
				all = append(all, source.Source)
			}
			return
		}
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			if !v.IsNil() {
				look(v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					look(v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				look(v.Index(i))
			}
		case reflect.Map:
			for entry := v.MapRange(); entry.Next(); {
				look(entry.Value())
			}
		}
	}
	look(reflect.ValueOf(p))
	return all
}
