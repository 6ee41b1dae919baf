//go:build cgo && !windows

package p11

import "github.com/miekg/pkcs11"

func (c cryptoki) openWritable(slot uint) (session, error) {
	s, err := c.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	return session(s), failure("C_OpenSession", err)
}

func (c cryptoki) setAttribute(s session, o object, a objectAttribute) error {
	return failure("C_SetAttributeValue",
		c.ctx.SetAttributeValue(pkcs11.SessionHandle(s), pkcs11.ObjectHandle(o), attributes([]objectAttribute{a})))
}

func (c cryptoki) generateKeyPair(s session, m mechanism, public, private []objectAttribute) (object, object, error) {
	publicKey, privateKey, err := c.ctx.GenerateKeyPair(pkcs11.SessionHandle(s), native(m), attributes(public), attributes(private))
	return object(publicKey), object(privateKey), failure("C_GenerateKeyPair", err)
}
