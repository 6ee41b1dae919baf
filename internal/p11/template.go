package p11

import (
	"context"
	"slices"

	"github.com/miekg/pkcs11"
)

// shortening is what a module is told of a template: all of it, or less.
type shortening func(template []objectAttribute) []objectAttribute

func whole(template []objectAttribute) []objectAttribute { return template }

// withoutFalse leaves out what a module takes for granted, or does not know.
func withoutFalse(template []objectAttribute) []objectAttribute {
	return slices.DeleteFunc(slices.Clone(template), func(a objectAttribute) bool {
		return a.value == false && a.kind != pkcs11.CKA_EXTRACTABLE && a.kind != pkcs11.CKA_PRIVATE
	})
}

// create makes objects, and says what they are not for: the defaults of modules
// differ. A module that refuses that is told only what they are for. By found the
// objects are found if the module made them and did not say so.
func create[T any](ctx context.Context, s *Session, function string, found []objectAttribute, f func(shortening) (T, error)) (T, error) {
	var refusal error
	made, err := change(ctx, s, function, func() (T, error) {
		made, err := f(whole)
		if s.refusedTemplate(CodeOf(err), found) {
			refusal = err
			return made, nil
		}
		return made, err
	})
	if refusal == nil || err != nil {
		return made, err
	}
	sent := false
	made, err = change(ctx, s, function, func() (T, error) {
		sent = true
		return f(withoutFalse)
	})
	if err == nil || sent {
		return made, err
	}
	if err = because(err, refusal); leavesOpen(refusal) {
		err = s.doubted(err, function)
	}
	return made, err
}

// refusedTemplate reports whether a module made nothing, and may take a template with
// fewer attributes. tpm2-pkcs11 says CKR_GENERAL_ERROR of one that it does not like.
func (s *Session) refusedTemplate(code Code, found []objectAttribute) bool {
	switch code {
	case pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID, pkcs11.CKR_TEMPLATE_INCONSISTENT:
		return true
	case pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED:
		there, err := s.module.library.findObjects(s.handle, found)
		return err == nil && len(there) == 0
	}
	return false
}

// createObject is C_CreateObject of an object that has an ID.
func (s *Session) createObject(ctx context.Context, template []objectAttribute) (object, error) {
	found := slices.DeleteFunc(slices.Clone(template), func(a objectAttribute) bool {
		return a.kind != pkcs11.CKA_CLASS && a.kind != pkcs11.CKA_ID
	})
	return create(ctx, s, "C_CreateObject", found, func(less shortening) (object, error) {
		return s.module.library.createObject(s.handle, less(template))
	})
}
