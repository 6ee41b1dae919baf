package p11kit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"encoding/asn1"
	"encoding/binary"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// agreement is a session object: the secret that C_DeriveKey agreed on.
type agreement struct {
	*object
	of *session
}

// deriveKey is C_DeriveKey (section 5.14) with CKM_ECDH1_DERIVE (M 2.3.8): a generic secret
// for this session.
func (c *client) deriveKey(ctx context.Context, s *session, a arguments, w *writer) rv {
	m := a.mechanism
	switch {
	case m.kind != ckmECDH1Derive:
		return ckrMechanismInvalid
	case m.kdf != ckdNull || len(m.shared) > 0:
		return ckrMechanismParamInvalid
	case len(c.secrets) == maxSecrets:
		return ckrHostMemory
	}
	key, code := c.keyFor(ctx, s, a.numbers[1], ckoPrivateKey, ckaDerive)
	if code != ckrOK {
		return code
	}
	made, code := secretOf(a.template)
	if code != ckrOK {
		return code
	}
	peer, size, err := peerOf(key.public, m.public)
	if err != nil {
		return ckrMechanismParamInvalid
	}
	length := uint64(size)
	if asked, has := made.attributes[ckaValueLen]; has {
		length = binary.BigEndian.Uint64(asked)
	}
	if length > uint64(size) {
		return ckrTemplateInconsistent
	}
	value, err := key.key.Derive(ctx, c.by, peer)
	if err != nil {
		return valueOf(err)
	}
	if len(value) != size {
		return ckrDeviceError
	}
	value = value[uint64(size)-length:] // bytes are removed from the leading end
	made.add(attribute{ckaValue, value}, number(ckaValueLen, length))
	handle := c.next()
	c.secrets[handle] = &agreement{made, s}
	w.ulong(handle)
	return ckrOK
}

// secretOf is the object that a template describes (section 4.10), with no value yet.
func secretOf(template []attribute) (*object, rv) {
	o := newObject(number(ckaClass, ckoSecretKey), number(ckaKeyType, ckkGenericSecret), truth(ckaToken, false), truth(ckaPrivate, false),
		truth(ckaSensitive, false), truth(ckaExtractable, true), truth(ckaLocal, false), truth(ckaModifiable, false),
		truth(ckaAlwaysSensitive, false), truth(ckaNeverExtractable, false), attribute{ckaLabel, nil}, attribute{ckaID, nil})
	for _, a := range template {
		form := formOf(a.kind)
		if form == ofNumber && len(a.value) != 8 || form == ofByte && len(a.value) != 1 {
			return nil, ckrAttributeValueInvalid
		}
		switch own := o.attributes[a.kind]; a.kind {
		case ckaToken:
			if !bytes.Equal(a.value, own) {
				return nil, ckrTokenWriteProtected
			}
		case ckaClass, ckaKeyType:
			if !bytes.Equal(a.value, own) {
				return nil, ckrTemplateInconsistent
			}
		case ckaValue:
			return nil, ckrTemplateInconsistent
		default:
			o.add(attribute{a.kind, bytes.Clone(a.value)})
		}
	}
	return o, ckrOK
}

// peerOf is the public key of the other side, a point as it is or in an OCTET STRING, and the
// length of the secret that both agree on.
func peerOf(own crypto.PublicKey, point []byte) (peer crypto.PublicKey, size int, err error) {
	agreement, err := pubkey.Agreement(own)
	if err != nil {
		return nil, 0, err
	}
	other, err := agreement.Curve().NewPublicKey(point)
	if err != nil { // a point can look like an OCTET STRING: it comes first
		var octets []byte
		if rest, err := asn1.Unmarshal(point, &octets); err == nil && len(rest) == 0 {
			point = octets
		}
		if other, err = agreement.Curve().NewPublicKey(point); err != nil {
			return nil, 0, err
		}
	}
	size = len(point)
	if agreement.Curve() != ecdh.X25519() {
		size = (len(point) - 1) / 2 // the x-coordinate of an uncompressed point
	}
	if key, is := own.(*ecdsa.PublicKey); is {
		peer, err = ecdsa.ParseUncompressedPublicKey(key.Curve, point)
		return peer, size, err
	}
	return other, size, nil
}
