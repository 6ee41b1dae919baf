package p11kit

// Constants of PKCS #11 2.40; sections are those of the Base Specification and, with an M,
// of the Current Mechanisms Specification. Those of 3.0 are marked.

// rv is a CK_RV, section 3.6; what each value means is in section 5.1.
type rv uint64

const (
	ckrOK                         rv = 0x000
	ckrHostMemory                 rv = 0x002
	ckrSlotIDInvalid              rv = 0x003
	ckrGeneralError               rv = 0x005
	ckrFunctionFailed             rv = 0x006
	ckrArgumentsBad               rv = 0x007
	ckrNoEvent                    rv = 0x008
	ckrAttributeSensitive         rv = 0x011
	ckrAttributeTypeInvalid       rv = 0x012
	ckrAttributeValueInvalid      rv = 0x013
	ckrDataInvalid                rv = 0x020
	ckrDataLenRange               rv = 0x021
	ckrDeviceError                rv = 0x030
	ckrDeviceRemoved              rv = 0x032
	ckrEncryptedDataInvalid       rv = 0x040
	ckrEncryptedDataLenRange      rv = 0x041
	ckrFunctionCanceled           rv = 0x050
	ckrFunctionNotSupported       rv = 0x054
	ckrKeyHandleInvalid           rv = 0x060
	ckrKeyTypeInconsistent        rv = 0x063
	ckrKeyFunctionNotPermitted    rv = 0x068
	ckrMechanismInvalid           rv = 0x070
	ckrMechanismParamInvalid      rv = 0x071
	ckrObjectHandleInvalid        rv = 0x082
	ckrOperationActive            rv = 0x090
	ckrOperationNotInitialized    rv = 0x091
	ckrPINIncorrect               rv = 0x0A0
	ckrPINLocked                  rv = 0x0A4
	ckrBufferTooSmall             rv = 0x150
	ckrSessionCount               rv = 0x0B1
	ckrSessionHandleInvalid       rv = 0x0B3
	ckrSessionParallelUnsupported rv = 0x0B4
	ckrSessionReadOnlyExists      rv = 0x0B7
	ckrSignatureInvalid           rv = 0x0C0
	ckrSignatureLenRange          rv = 0x0C1
	ckrTemplateInconsistent       rv = 0x0D1
	ckrTokenNotPresent            rv = 0x0E0
	ckrTokenWriteProtected        rv = 0x0E2
	ckrUserAlreadyLoggedIn        rv = 0x100
	ckrUserNotLoggedIn            rv = 0x101
	ckrUserTypeInvalid            rv = 0x103
	ckrUserAnotherLoggedIn        rv = 0x104
	ckrCryptokiNotInitialized     rv = 0x190
	ckrCryptokiAlreadyInitialized rv = 0x191
	ckrFunctionRejected           rv = 0x200
)

// unavailable is CK_UNAVAILABLE_INFORMATION, section 3.1.
const unavailable = ^uint64(0)

// Flags of slots, section 3.2, CK_SLOT_INFO.
const (
	ckfTokenPresent    = 0x1
	ckfRemovableDevice = 0x2
	ckfHWSlot          = 0x4
)

// Flags of tokens, section 3.2, CK_TOKEN_INFO.
const (
	ckfRNG                         = 0x001
	ckfWriteProtected              = 0x002
	ckfLoginRequired               = 0x004
	ckfUserPINInitialized          = 0x008
	ckfProtectedAuthenticationPath = 0x100
	ckfTokenInitialized            = 0x400
)

// Flags of sessions and states of sessions, section 3.3.
const (
	ckfRWSession     = 0x2
	ckfSerialSession = 0x4

	cksROPublicSession = 0
	cksROUserFunctions = 1
	cksRWPublicSession = 2
	cksRWUserFunctions = 3
)

// Users, section 3.3, CK_USER_TYPE.
const (
	ckuSO              = 0
	ckuUser            = 1
	ckuContextSpecific = 2
)

// ckfDontBlock is the flag of C_WaitForSlotEvent, section 5.5.
const ckfDontBlock = 0x1

// Flags of mechanisms, section 3.5, CK_MECHANISM_INFO, and M 2.3.
const (
	ckfHW         = 0x000001
	ckfEncrypt    = 0x000100
	ckfDecrypt    = 0x000200
	ckfDigest     = 0x000400
	ckfSign       = 0x000800
	ckfVerify     = 0x002000
	ckfDerive     = 0x080000
	ckfECFP       = 0x100000
	ckfECNamed    = 0x800000
	ckfECUncompr  = 0x1000000
	ckfECAllKinds = ckfECFP | ckfECNamed | ckfECUncompr
)

// Classes of objects, section 3.4.
const (
	ckoCertificate = 1
	ckoPublicKey   = 2
	ckoPrivateKey  = 3
	ckoSecretKey   = 4
)

// Types of keys and certificates, section 3.4. Edwards and Montgomery curves are of 3.0.
const (
	ckkRSA           = 0x00
	ckkEC            = 0x03
	ckkGenericSecret = 0x10
	ckkECEdwards     = 0x40
	ckkECMontgomery  = 0x41

	ckcX509 = 0
)

// Attributes, section 4.
const (
	ckaClass               = 0x000
	ckaToken               = 0x001
	ckaPrivate             = 0x002
	ckaLabel               = 0x003
	ckaValue               = 0x011
	ckaCertificateType     = 0x080
	ckaIssuer              = 0x081
	ckaSerialNumber        = 0x082
	ckaTrusted             = 0x086
	ckaCertificateCategory = 0x087
	ckaJavaMIDPDomain      = 0x088
	ckaKeyType             = 0x100
	ckaSubject             = 0x101
	ckaID                  = 0x102
	ckaSensitive           = 0x103
	ckaEncrypt             = 0x104
	ckaDecrypt             = 0x105
	ckaWrap                = 0x106
	ckaUnwrap              = 0x107
	ckaSign                = 0x108
	ckaSignRecover         = 0x109
	ckaVerify              = 0x10A
	ckaVerifyRecover       = 0x10B
	ckaDerive              = 0x10C
	ckaStartDate           = 0x110
	ckaEndDate             = 0x111
	ckaModulus             = 0x120
	ckaModulusBits         = 0x121
	ckaPublicExponent      = 0x122
	ckaPrivateExponent     = 0x123
	ckaPrime1              = 0x124
	ckaPrime2              = 0x125
	ckaExponent1           = 0x126
	ckaExponent2           = 0x127
	ckaCoefficient         = 0x128
	ckaPublicKeyInfo       = 0x129
	ckaPrimeBits           = 0x133
	ckaSubPrimeBits        = 0x134
	ckaValueBits           = 0x160
	ckaValueLen            = 0x161
	ckaExtractable         = 0x162
	ckaLocal               = 0x163
	ckaNeverExtractable    = 0x164
	ckaAlwaysSensitive     = 0x165
	ckaKeyGenMechanism     = 0x166
	ckaModifiable          = 0x170
	ckaCopyable            = 0x171
	ckaDestroyable         = 0x172
	ckaECParams            = 0x180
	ckaECPoint             = 0x181
	ckaSecondaryAuth       = 0x200
	ckaAuthPINFlags        = 0x201
	ckaAlwaysAuthenticate  = 0x202
	ckaWrapWithTrusted     = 0x210
	ckaHWFeatureType       = 0x300
	ckaResetOnInit         = 0x301
	ckaHasReset            = 0x302
	ckaPixelX              = 0x400
	ckaPixelY              = 0x401
	ckaResolution          = 0x402
	ckaCharRows            = 0x403
	ckaCharColumns         = 0x404
	ckaColor               = 0x405
	ckaBitsPerPixel        = 0x406
	ckaMechanismType       = 0x500
	ckaWrapTemplate        = 0x40000211
	ckaUnwrapTemplate      = 0x40000212
	ckaDeriveTemplate      = 0x40000213
	ckaAllowedMechanisms   = 0x40000600
)

// Mechanisms: RSA M 2.1, elliptic curves M 2.3, SHA M 2.17 to 2.21; EdDSA is of 3.0.
const (
	ckmRSAPKCS          = 0x0001
	ckmSHA1RSAPKCS      = 0x0006
	ckmRSAPKCSOAEP      = 0x0009
	ckmRSAPKCSPSS       = 0x000D
	ckmSHA1RSAPKCSPSS   = 0x000E
	ckmSHA256RSAPKCS    = 0x0040
	ckmSHA384RSAPKCS    = 0x0041
	ckmSHA512RSAPKCS    = 0x0042
	ckmSHA256RSAPKCSPSS = 0x0043
	ckmSHA384RSAPKCSPSS = 0x0044
	ckmSHA512RSAPKCSPSS = 0x0045
	ckmSHA1             = 0x0220
	ckmSHA256           = 0x0250
	ckmSHA384           = 0x0260
	ckmSHA512           = 0x0270
	ckmECDSA            = 0x1041
	ckmECDSASHA1        = 0x1042
	ckmECDSASHA256      = 0x1044
	ckmECDSASHA384      = 0x1045
	ckmECDSASHA512      = 0x1046
	ckmECDH1Derive      = 0x1050
	ckmEDDSA            = 0x1057
)

// Mask generation functions, M 2.1.8; where a label comes from, M 2.1.8; key derivation
// functions, M 2.3.7.
const (
	ckgMGF1SHA1   = 1
	ckgMGF1SHA256 = 2
	ckgMGF1SHA384 = 3
	ckgMGF1SHA512 = 4

	ckzDataSpecified = 1

	ckdNull = 1
)
