package p11

import (
	"fmt"

	"github.com/miekg/pkcs11"
)

// MechanismID is a CK_MECHANISM_TYPE.
type MechanismID uint

// Mechanisms of PKCS#11 3.0 that 2.40 does not have.
const (
	ckmECEdwardsKeyPairGen    = 0x1055
	ckmECMontgomeryKeyPairGen = 0x1056
	ckmEDDSA                  = 0x1057
	ckmXEDDSA                 = 0x1058
)

// String is the name in the specification; a vendor's mechanism is shown as
// CKM_VENDOR_DEFINED and its distance from it, what has no name here in hex.
func (id MechanismID) String() string {
	if name, ok := mechanismNames[id]; ok {
		return name
	}
	if id > pkcs11.CKM_VENDOR_DEFINED {
		return fmt.Sprintf("CKM_VENDOR_DEFINED+0x%X", uint(id-pkcs11.CKM_VENDOR_DEFINED))
	}
	return fmt.Sprintf("CKM 0x%08X", uint(id))
}

// Mechanism is what a token says of one of its mechanisms, CK_MECHANISM_INFO.
type Mechanism struct {
	ID   MechanismID `json:"-"`
	Name string      `json:"name"`
	// MinKeySize and MaxKeySize are bits for RSA and elliptic curves, bytes
	// for most others, 0 where the module says nothing.
	MinKeySize uint `json:"minKeySize"`
	MaxKeySize uint `json:"maxKeySize"`
	// Operations are what it can be used for: sign, verify, encrypt, decrypt,
	// digest, wrap, unwrap, derive, generate, generate-key-pair.
	Operations []string `json:"operations"`
	// Hardware says that the token itself does it, not the module.
	Hardware bool `json:"hardware"`

	flags uint
}

var operations = []struct {
	flag uint
	name string
}{
	{pkcs11.CKF_SIGN, "sign"},
	{pkcs11.CKF_VERIFY, "verify"},
	{pkcs11.CKF_ENCRYPT, "encrypt"},
	{pkcs11.CKF_DECRYPT, "decrypt"},
	{pkcs11.CKF_DIGEST, "digest"},
	{pkcs11.CKF_WRAP, "wrap"},
	{pkcs11.CKF_UNWRAP, "unwrap"},
	{pkcs11.CKF_DERIVE, "derive"},
	{pkcs11.CKF_GENERATE, "generate"},
	{pkcs11.CKF_GENERATE_KEY_PAIR, "generate-key-pair"},
}

func newMechanism(id MechanismID, info mechanismInfo) Mechanism {
	m := Mechanism{
		ID:         id,
		Name:       id.String(),
		MinKeySize: info.minKeySize,
		MaxKeySize: info.maxKeySize,
		Hardware:   info.flags&pkcs11.CKF_HW != 0,
		flags:      info.flags,
	}
	for _, o := range operations {
		if info.flags&o.flag != 0 {
			m.Operations = append(m.Operations, o.name)
		}
	}
	return m
}
