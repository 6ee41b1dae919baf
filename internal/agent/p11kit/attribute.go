package p11kit

import "encoding/binary"

// attribute is one of an object or of a template. A number is in 8 bytes, a truth value in one.
type attribute struct {
	kind  uint32
	value []byte
}

func number(kind uint32, v uint64) attribute {
	return attribute{kind, binary.BigEndian.AppendUint64(nil, v)}
}

func truth(kind uint32, v bool) attribute {
	if v {
		return attribute{kind, []byte{1}}
	}
	return attribute{kind, []byte{0}}
}

// form is how a value is sent.
type form int

const (
	ofBytes form = iota // dates too
	ofByte
	ofNumber
	ofAttributes
	ofMechanisms
)

// formOf is what both sides know of attributes.
func formOf(kind uint32) form {
	switch kind {
	case ckaToken, ckaPrivate, ckaTrusted, ckaSensitive, ckaEncrypt, ckaDecrypt, ckaWrap, ckaUnwrap, ckaSign, ckaSignRecover,
		ckaVerify, ckaVerifyRecover, ckaDerive, ckaExtractable, ckaLocal, ckaNeverExtractable, ckaAlwaysSensitive, ckaModifiable,
		ckaCopyable, ckaSecondaryAuth, ckaAlwaysAuthenticate, ckaWrapWithTrusted, ckaResetOnInit, ckaHasReset, ckaColor:
		return ofByte
	case ckaClass, ckaCertificateType, ckaCertificateCategory, ckaJavaMIDPDomain, ckaKeyType, ckaModulusBits, ckaPrimeBits,
		ckaSubPrimeBits, ckaValueBits, ckaValueLen, ckaKeyGenMechanism, ckaAuthPINFlags, ckaHWFeatureType, ckaPixelX, ckaPixelY,
		ckaResolution, ckaCharRows, ckaCharColumns, ckaBitsPerPixel, ckaMechanismType:
		return ofNumber
	case ckaWrapTemplate, ckaUnwrapTemplate, ckaDeriveTemplate:
		return ofAttributes
	case ckaAllowedMechanisms:
		return ofMechanisms
	}
	return ofBytes
}

// attributeArray reads a template ("aA"). No object has attributes that hold attributes or
// mechanisms: of those only the kind is kept.
func (r *reader) attributeArray(depth int) []attribute {
	if depth > maxDepth {
		r.failed = true
		return nil
	}
	var list []attribute
	for range r.count() {
		a := attribute{kind: r.uint32()}
		if r.byte() == 0 { // no value
			list = append(list, a)
			continue
		}
		r.uint32() // the length in the client's memory, which the value repeats
		switch formOf(a.kind) {
		case ofByte:
			a.value = []byte{r.byte()}
		case ofNumber:
			a.value = r.take(8)
		case ofAttributes:
			r.attributeArray(depth + 1)
		case ofMechanisms:
			for n := r.uint32(); n > 0 && !r.failed; n-- {
				r.ulong()
			}
		case ofBytes:
			a.value = r.bytes()
		}
		list = append(list, a)
	}
	return list
}

// attributeBuffer reads which attributes the client asks for ("fA"), to the end of a request.
// Clients from 0.25 on write those that an attribute with attributes has room for behind it;
// no object has such a one.
func (r *reader) attributeBuffer(depth int) []wanted {
	if depth > maxDepth {
		r.failed = true
		return nil
	}
	const size = 8 // of one
	n := r.count()
	flat := len(r.data) == n*size
	var list []wanted
	for range n {
		a := wanted{r.uint32(), r.uint32()}
		if !flat && a.room > 0 && formOf(a.kind) == ofAttributes {
			r.attributeBuffer(depth + 1)
		}
		list = append(list, a)
	}
	return list
}

// attribute writes a value, or its length alone. The length before the value is always that
// of the value in the client's memory: clients from 0.25.5 on use it, and not that of the
// byte array.
func (w *writer) attribute(kind uint32, value []byte, whole bool) {
	w.uint32(kind)
	w.byte(1)
	w.uint32(uint32(len(value)))
	switch {
	case formOf(kind) == ofBytes && !whole:
		w.uint32(null)
	case formOf(kind) == ofBytes:
		w.bytes(value)
	case whole:
		w.body = append(w.body, value...)
	default:
		w.body = append(w.body, make([]byte, len(value))...)
	}
}

// noAttribute says that there is no value for the client, CK_UNAVAILABLE_INFORMATION.
func (w *writer) noAttribute(kind uint32) {
	w.uint32(kind)
	w.byte(0)
}
