package p11kit

import (
	"bytes"
	"context"
	"crypto"
	"slices"
	"sync"

	"github.com/cardctl/cardctl/internal/agent"
)

// objects are those of a token, made once.
type objects struct {
	mu   sync.Mutex
	made bool
	list []*object
}

// object is a certificate, a key, or a secret that was agreed on.
type object struct {
	attributes map[uint32][]byte
	// public is that of a public or private key, key what does the work of a private one.
	public crypto.PublicKey
	key    agent.Key
}

// read returns the objects of a token, in an order that does not change.
func (o *objects) read(ctx context.Context, token agent.Token, needsLogin bool) ([]*object, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.made {
		return o.list, nil
	}
	keys, err := token.Keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		o.list = append(o.list, objectsOf(key, needsLogin)...)
	}
	o.made = true
	return o.list, nil
}

func newObject(attributes ...attribute) *object {
	o := &object{attributes: map[uint32][]byte{}}
	o.add(attributes...)
	return o
}

func (o *object) add(attributes ...attribute) {
	for _, a := range attributes {
		o.attributes[a.kind] = a.value
	}
}

// is reports whether an attribute is CK_TRUE.
func (o *object) is(kind uint32) bool { return bytes.Equal(o.attributes[kind], []byte{1}) }

// matches reports whether the object has all attributes of a template.
func (o *object) matches(template []attribute) bool {
	return !slices.ContainsFunc(template, func(a attribute) bool {
		value, has := o.attributes[a.kind]
		return !has || !bytes.Equal(value, a.value)
	})
}

// value is an attribute for the client (section 5.7, C_GetAttributeValue).
func (o *object) value(kind uint32) ([]byte, rv) {
	if o.hides(kind) {
		return nil, ckrAttributeSensitive
	}
	value, has := o.attributes[kind]
	if !has {
		return nil, ckrAttributeTypeInvalid
	}
	return value, ckrOK
}

// hides reports whether an attribute is secret (section 4.9, 4.10).
func (o *object) hides(kind uint32) bool {
	if _, key := o.attributes[ckaSensitive]; !key || o.is(ckaExtractable) && !o.is(ckaSensitive) {
		return false
	}
	switch kind {
	case ckaValue, ckaPrivateExponent, ckaPrime1, ckaPrime2, ckaExponent1, ckaExponent2, ckaCoefficient:
		return true
	}
	return false
}

// size is about how much memory the object needs.
func (o *object) size() (size uint64) {
	for _, value := range o.attributes {
		size += uint64(len(value))
	}
	return size
}
