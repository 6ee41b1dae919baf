package p11kit

// mechanism is a CK_MECHANISM, with the parameters that its kind has.
type mechanism struct {
	kind    uint64
	unknown bool // one that is not read to its end
	cancel  bool // NULL, which ends an operation (3.0)

	// CK_RSA_PKCS_PSS_PARAMS, M 2.1.10; CK_RSA_PKCS_OAEP_PARAMS, M 2.1.8.
	hash, mgf, salt, source uint64
	label                   []byte
	// CK_ECDH1_DERIVE_PARAMS, M 2.3.7.
	kdf            uint64
	shared, public []byte
	// context says that CK_EDDSA_PARAMS (3.0) ask for Ed25519ph or Ed25519ctx.
	context bool
}

// mechanism reads a mechanism ("M"). Parameters are structures whose lengths follow from the
// kind; kinds without any have an empty byte array.
func (r *reader) mechanism() mechanism {
	m := mechanism{kind: uint64(r.uint32())}
	switch m.kind {
	case null:
		m.cancel = true
	case ckmRSAPKCSPSS, ckmSHA1RSAPKCSPSS, ckmSHA256RSAPKCSPSS, ckmSHA384RSAPKCSPSS, ckmSHA512RSAPKCSPSS:
		m.hash, m.mgf, m.salt = r.ulong(), r.ulong(), r.ulong()
	case ckmRSAPKCSOAEP:
		m.hash, m.mgf, m.source, m.label = r.ulong(), r.ulong(), r.ulong(), r.bytes()
	case ckmECDH1Derive:
		m.kdf, m.shared, m.public = r.ulong(), r.bytes(), r.bytes()
	case ckmEDDSA:
		m.context = r.byte() != 0
		m.context = len(r.bytes()) > 0 || m.context
	case ckmRSAPKCS, ckmSHA1RSAPKCS, ckmSHA256RSAPKCS, ckmSHA384RSAPKCS, ckmSHA512RSAPKCS,
		ckmECDSA, ckmECDSASHA1, ckmECDSASHA256, ckmECDSASHA384, ckmECDSASHA512, ckmSHA1, ckmSHA256, ckmSHA384, ckmSHA512:
		r.bytes()
	default:
		m.unknown = true
	}
	return m
}
