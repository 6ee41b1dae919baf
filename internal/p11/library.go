package p11

// library is a loaded PKCS#11 module, one method a function of the
// specification; reads that need two calls there are one here. Size is how many
// bytes the answer has at most. Errors are *CallError. Everything above it is the same with and without cgo.
type library interface {
	initialize() error
	finalize() error
	info() (libraryInfo, error)

	slots() ([]uint, error)      // those with a token in
	knownSlots() ([]uint, error) // the same, without a search for readers that are new
	allSlots() ([]uint, error)   // and those without a token
	slotInfo(slot uint) (slotInfo, error)
	tokenInfo(slot uint) (tokenInfo, error)
	mechanisms(slot uint) ([]MechanismID, error)
	mechanismInfo(slot uint, id MechanismID) (mechanismInfo, error)

	openSession(slot uint) (session, error)
	closeSession(s session) error
	login(s session, user uint, pin []byte) error
	logout(s session) error
	sessionState(s session) (uint, error) // CK_STATE

	findObjects(s session, template []objectAttribute) ([]object, error)
	// attributes are values in the order of their kinds, nil for those that
	// the object does not tell.
	attributes(s session, o object, kinds []uint) ([][]byte, error)
	attribute(s session, o object, kind uint) ([]byte, error)
	destroyObject(s session, o object) error

	signInit(s session, m mechanism, key object) error
	sign(s session, data []byte, size int) ([]byte, error)
	decryptInit(s session, m mechanism, key object) error
	decrypt(s session, data []byte, size int) ([]byte, error)
	deriveKey(s session, m mechanism, key object, template []objectAttribute) (object, error)

	writer
}

// writer is the part of a library that changes tokens.
type writer interface {
	initToken(slot uint, pin []byte, label string) error // of up to 32 bytes
	openWritable(slot uint) (session, error)
	initPIN(s session, pin []byte) error
	setPIN(s session, old, replacement []byte) error

	// createObject leaves no copy of the template in memory.
	createObject(s session, template []objectAttribute) (object, error)
	setAttribute(s session, o object, a objectAttribute) error
	generateKeyPair(s session, m mechanism, public, private []objectAttribute) (publicKey, privateKey object, err error)
}

// maxObjects is how many objects of a token are looked at: none has as many.
const maxObjects = 10_000

// session is a CK_SESSION_HANDLE, object a CK_OBJECT_HANDLE.
type (
	session uint
	object  uint
)

// libraryInfo is CK_INFO.
type libraryInfo struct {
	manufacturer string
	description  string
	major, minor byte
}

// slotInfo is CK_SLOT_INFO.
type slotInfo struct {
	description  string
	manufacturer string
}

// tokenInfo is CK_TOKEN_INFO. PIN lengths are bytes.
type tokenInfo struct {
	label        string
	manufacturer string
	model        string
	serial       string
	flags        uint
	minPINLength uint
	maxPINLength uint
}

// mechanismInfo is CK_MECHANISM_INFO.
type mechanismInfo struct {
	minKeySize uint
	maxKeySize uint
	flags      uint
}

// objectAttribute is a CK_ATTRIBUTE to be sent: a uint for a CK_ULONG, a bool
// for a CK_BBOOL, bytes for the rest.
type objectAttribute struct {
	kind  uint
	value any
}

// mechanism is a CK_MECHANISM with at most one kind of parameter.
type mechanism struct {
	id   MechanismID
	pss  *pssParameters
	oaep *oaepParameters
	ecdh []byte // the peer's public point, for CKD_NULL
}

// pssParameters are CK_RSA_PKCS_PSS_PARAMS, the salt in bytes.
type pssParameters struct {
	hash, mgf, saltLength uint
}

// oaepParameters are CK_RSA_PKCS_OAEP_PARAMS without a label.
type oaepParameters struct {
	hash, mgf uint
}
