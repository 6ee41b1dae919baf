package cardsim

import (
	"crypto/ecdsa"
	"crypto/rsa"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// securityEnvironment is what MANAGE SECURITY ENVIRONMENT set: which key, and
// what is done with it. Algorithm 0 is none.
type securityEnvironment struct {
	algorithm byte
	key       byte
}

// Algorithm references of the applet.
const (
	algorithmRSAPKCS1    = 0x11 // RSA; the applet puts PKCS #1 v1.5 padding on and takes it off
	algorithmRSAPSS      = 0x12
	algorithmECDSASHA1   = 0x21 // ECDSA; before version 1.0 the applet hashes with SHA-1
	algorithmGenerateEC  = 0xEC
	algorithmGenerateRSA = 0xF3 // 2048 bits

	algorithmGenerateRSA4096 = 0xF5
)

// manageSecurityEnvironment is MANAGE SECURITY ENVIRONMENT, ISO/IEC 7816-4,
// SET: algorithm (80) and private key (84) for making and importing keys (P2
// 00), for signatures (B6) and for decryption (B8).
func (a *isoApplet) manageSecurityEnvironment(c iso7816.Command) iso7816.Status {
	const set = 0x41
	const tagAlgorithm, tagKey = 0x80, 0x84
	if !a.validated {
		return iso7816.StatusSecurityNotSatisfied
	}
	if c.P1 != set {
		return iso7816.StatusFunctionNotSupported
	}
	algorithm, one := iso7816.FindTLV(c.Data, tagAlgorithm)
	key, two := iso7816.FindTLV(c.Data, tagKey)
	if !one || !two || len(algorithm) != 1 || len(key) != 1 || key[0] >= isoAppletKeys {
		return statusInvalidData
	}
	env := securityEnvironment{algorithm: algorithm[0], key: key[0]}
	if status := a.suits(env, c.P2); status != iso7816.StatusOK {
		return status
	}
	a.security = env
	return iso7816.StatusOK
}

// suits says whether a key can do what is asked of it.
func (a *isoApplet) suits(env securityEnvironment, use byte) iso7816.Status {
	const making, signature, confidentiality = 0x00, 0xB6, 0xB8
	private := a.state.Keys[env.key].private
	_, isRSA := private.(*rsa.PrivateKey)
	_, isEC := private.(*ecdsa.PrivateKey)
	fits := false
	switch {
	case use == making && (env.algorithm == algorithmGenerateRSA || env.algorithm == algorithmGenerateRSA4096 && a.profile.rsa4096 || env.algorithm == algorithmGenerateEC && a.profile.ec):
		return iso7816.StatusOK
	case (use == signature || use == confidentiality) && env.algorithm == algorithmRSAPKCS1:
		fits = isRSA
	case use == signature && env.algorithm == algorithmRSAPSS && a.profile.rsa4096:
		fits = isRSA
	case use == signature && env.algorithm == algorithmECDSASHA1 && a.profile.ec:
		fits = isEC
	default:
		return iso7816.StatusFunctionNotSupported
	}
	switch {
	case private == nil:
		return iso7816.StatusReferenceNotFound
	case !fits:
		return statusInvalidData
	}
	return iso7816.StatusOK
}
