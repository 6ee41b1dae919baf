package p11

import "github.com/miekg/pkcs11"

// What the fake does not do.
func (f *fake) initToken(uint, []byte, string) error {
	return &CallError{"C_InitToken", pkcs11.CKR_FUNCTION_NOT_SUPPORTED}
}
func (f *fake) openWritable(slot uint) (session, error) { return f.openSession(slot) }
func (f *fake) initPIN(session, []byte) error {
	return &CallError{"C_InitPIN", pkcs11.CKR_FUNCTION_NOT_SUPPORTED}
}
func (f *fake) setPIN(session, []byte, []byte) error {
	return &CallError{"C_SetPIN", pkcs11.CKR_FUNCTION_NOT_SUPPORTED}
}
func (f *fake) createObject(session, []objectAttribute) (object, error) {
	return 0, &CallError{"C_CreateObject", pkcs11.CKR_FUNCTION_NOT_SUPPORTED}
}
func (f *fake) setAttribute(session, object, objectAttribute) error {
	return &CallError{"C_SetAttributeValue", pkcs11.CKR_FUNCTION_NOT_SUPPORTED}
}
func (f *fake) generateKeyPair(session, mechanism, []objectAttribute, []objectAttribute) (object, object, error) {
	return 0, 0, &CallError{"C_GenerateKeyPair", pkcs11.CKR_FUNCTION_NOT_SUPPORTED}
}
