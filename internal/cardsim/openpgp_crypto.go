package cardsim

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"io"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const maxSignatures = 1<<24 - 1 // DO 93 has three bytes

// performSecurityOperation is PSO: what it does stands in P1 and P2.
func (a *openpgp) performSecurityOperation(c iso7816.Command) ([]byte, iso7816.Status) {
	switch {
	case c.P1 == 0x9E && c.P2 == 0x9A:
		return a.computeDigitalSignature(c.Data)
	case c.P1 == 0x80 && c.P2 == 0x86:
		return a.decipher(c.Data)
	case c.P1 == 0x86 && c.P2 == 0x80 && a.profile.modern():
		return a.encipher(c.Data)
	}
	return nil, iso7816.StatusWrongOffset
}

// computeDigitalSignature is PSO:CDS, section 7.2.10.
func (a *openpgp) computeDigitalSignature(data []byte) ([]byte, iso7816.Status) {
	if !a.has(pw1Sign) {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	if status := a.confirmed(slotSIG); status != iso7816.StatusOK {
		return nil, status
	}
	if a.state.SignatureCounter >= maxSignatures {
		return nil, iso7816.StatusConditionsNotSatisfied
	}
	signature, status := a.sign(slotSIG, data)
	if status != iso7816.StatusOK {
		return nil, status
	}
	if !a.state.PW1Lasting {
		a.verified &^= pw1Sign
	}
	a.state.SignatureCounter++
	if status := a.save(); status != iso7816.StatusOK {
		return nil, status
	}
	return signature, iso7816.StatusOK
}

// internalAuthenticate is INTERNAL AUTHENTICATE, section 7.2.13.
func (a *openpgp) internalAuthenticate(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.P1 != 0 || c.P2 != 0 {
		return nil, iso7816.StatusWrongOffset
	}
	if !a.has(pw1Other) {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	if status := a.confirmed(a.proves); status != iso7816.StatusOK {
		return nil, status
	}
	return a.sign(a.proves, c.Data)
}

// confirmed asks for the button where the user interaction flag of the key
// wants it.
func (a *openpgp) confirmed(s slot) iso7816.Status {
	if a.state.UIF[s] != 0 && a.profile.nobodyAtCard {
		return statusSecurityIssue
	}
	return iso7816.StatusOK
}

// sign is the signature of a key over data that the host prepared: RSA puts
// PKCS #1 padding around a DigestInfo of at most 40 % of the modulus, ECDSA
// takes a hash value and answers r and s, Ed25519 takes the message.
func (a *openpgp) sign(s slot, data []byte) ([]byte, iso7816.Status) {
	private := a.state.Keys[s].private
	if private == nil {
		return nil, a.profile.emptySlot
	}
	if len(data) == 0 {
		return nil, iso7816.StatusWrongLength
	}
	switch k := private.(type) {
	case *rsa.PrivateKey:
		if len(data) > k.Size()*40/100 || a.profile.noOldDigests && isOldDigest(data) {
			return nil, iso7816.StatusWrongData
		}
		signature, err := rsa.SignPKCS1v15(nil, k, crypto.Hash(0), data)
		if err != nil {
			return nil, iso7816.StatusWrongData
		}
		return signature, iso7816.StatusOK
	case *ecdsa.PrivateKey:
		if a.profile.strictLengths && len(data) != min(k.Params().BitSize, 512)/8 {
			return nil, iso7816.StatusConditionsNotSatisfied
		}
		signature, status := signECDSA(k, data)
		if a.profile.zeroBefore && status == iso7816.StatusOK {
			half := len(signature) / 2
			signature = concat([]byte{0}, signature[:half], []byte{0}, signature[half:])
		}
		return signature, status
	case ed25519.PrivateKey:
		const strictLimit = 1024
		if a.profile.strictLengths && len(data) > strictLimit {
			return nil, iso7816.StatusNoSpace
		}
		return ed25519.Sign(k, data), iso7816.StatusOK
	}
	return nil, iso7816.StatusConditionsNotSatisfied // an X25519 key does not sign
}

// isOldDigest knows a DigestInfo of SHA-1 or SHA-224 by its length (RFC 8017, 9.2).
func isOldDigest(data []byte) bool {
	const infoSHA1, infoSHA224 = 15 + 20, 19 + 28
	return len(data) == infoSHA1 || len(data) == infoSHA224
}

func signECDSA(k *ecdsa.PrivateKey, hash []byte) ([]byte, iso7816.Status) {
	if len(hash) > 64 {
		return nil, iso7816.StatusWrongData // no hash value
	}
	der, err := ecdsa.SignASN1(rand.Reader, k, hash)
	if err != nil {
		return nil, iso7816.StatusWrongData
	}
	var parts struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &parts); err != nil {
		return nil, iso7816.StatusUnknown
	}
	size := (k.Curve.Params().BitSize + 7) / 8
	signature := make([]byte, 2*size)
	parts.R.FillBytes(signature[:size])
	parts.S.FillBytes(signature[size:])
	return signature, iso7816.StatusOK
}

// decipher is PSO:DECIPHER, section 7.2.11: the first byte says whether RSA
// (00), AES (02) or ECDH (A6, the cipher DO) is meant.
func (a *openpgp) decipher(data []byte) ([]byte, iso7816.Status) {
	const paddingRSA, paddingAES, tagCipher = 0x00, 0x02, 0xA6
	if !a.has(pw1Other) {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	if len(data) == 0 {
		return nil, iso7816.StatusWrongLength
	}
	if data[0] == paddingAES && a.profile.modern() {
		return a.decipherAES(data[1:])
	}
	if status := a.confirmed(a.deciphers); status != iso7816.StatusOK {
		return nil, status
	}
	private := a.state.Keys[a.deciphers].private
	if private == nil {
		return nil, a.profile.emptySlot
	}
	switch k := private.(type) {
	case *rsa.PrivateKey:
		if data[0] != paddingRSA || len(data) != k.Size()+1 {
			return nil, iso7816.StatusWrongData
		}
		//lint:ignore SA1019 the specification has no other padding
		plain, err := rsa.DecryptPKCS1v15(nil, k, data[1:])
		if err != nil {
			return nil, iso7816.StatusWrongData
		}
		return plain, iso7816.StatusOK
	case *ecdsa.PrivateKey:
		if own, err := k.ECDH(); err == nil && data[0] == tagCipher {
			return agree(own, data)
		}
		return nil, iso7816.StatusWrongData
	case *ecdh.PrivateKey:
		return agree(k, data)
	}
	return nil, iso7816.StatusConditionsNotSatisfied // Ed25519 does not decipher
}

// agree is ECDH: the point of the other side in A6, 7F49, 86; the answer is
// the shared secret, of a NIST curve the x coordinate.
func agree(own *ecdh.PrivateKey, data []byte) ([]byte, iso7816.Status) {
	theirs, ok := iso7816.FindTLV(data, 0xA6, 0x7F49, 0x86)
	if !ok {
		return nil, iso7816.StatusWrongData
	}
	if own.Curve() == ecdh.X25519() && len(theirs) == 33 {
		theirs = bytes.TrimPrefix(theirs, []byte{0x40}) // native point
	}
	peer, err := own.Curve().NewPublicKey(theirs)
	if err != nil {
		return nil, iso7816.StatusWrongData
	}
	secret, err := own.ECDH(peer)
	if err != nil {
		return nil, iso7816.StatusWrongData
	}
	return secret, iso7816.StatusOK
}

// encipher is PSO:ENCIPHER, section 7.2.12, with the key of DO D5.
func (a *openpgp) encipher(plain []byte) ([]byte, iso7816.Status) {
	const paddingAES = 0x02
	if !a.has(pw1Other) {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	block, status := a.blockCipher(plain)
	if status != iso7816.StatusOK {
		return nil, status
	}
	cryptogram := make([]byte, 1+len(plain))
	cryptogram[0] = paddingAES
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(cryptogram[1:], plain)
	return cryptogram, iso7816.StatusOK
}

func (a *openpgp) decipherAES(cryptogram []byte) ([]byte, iso7816.Status) {
	block, status := a.blockCipher(cryptogram)
	if status != iso7816.StatusOK {
		return nil, status
	}
	plain := make([]byte, len(cryptogram))
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(plain, cryptogram)
	return plain, iso7816.StatusOK
}

// blockCipher is AES in CBC mode with an IV of zeros; the host pads.
func (a *openpgp) blockCipher(data []byte) (cipher.Block, iso7816.Status) {
	if len(a.state.AESKey) == 0 {
		return nil, iso7816.StatusReferenceNotFound
	}
	if len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, iso7816.StatusWrongData
	}
	block, err := aes.NewCipher(a.state.AESKey)
	if err != nil {
		return nil, iso7816.StatusConditionsNotSatisfied
	}
	return block, iso7816.StatusOK
}

// getChallenge is GET CHALLENGE, section 7.2.15.
func (a *openpgp) getChallenge(c iso7816.Command) ([]byte, iso7816.Status) {
	switch {
	case c.P1 != 0 || c.P2 != 0:
		return nil, iso7816.StatusWrongOffset
	case len(c.Data) != 0 || c.Ne == 0 || c.Ne > challengeLimit:
		return nil, iso7816.StatusWrongLength
	}
	challenge := make([]byte, c.Ne)
	if _, err := io.ReadFull(a.random, challenge); err != nil {
		return nil, iso7816.StatusMemoryFailure
	}
	return challenge, iso7816.StatusOK
}

// manageSecurityEnvironment is MANAGE SECURITY ENVIRONMENT, section 7.2.18: the
// key of PSO:DECIPHER (P2 B8) or of INTERNAL AUTHENTICATE (P2 A4) becomes that
// with the number in DO 83: 2 or 3.
func (a *openpgp) manageSecurityEnvironment(c iso7816.Command) iso7816.Status {
	if c.P1 != 0x41 {
		return iso7816.StatusWrongOffset
	}
	number, ok := iso7816.FindTLV(c.Data, 0x83)
	if !ok || len(number) != 1 {
		return iso7816.StatusWrongData
	}
	var s slot
	switch number[0] {
	case 2:
		s = slotDEC
	case 3:
		s = slotAUT
	default:
		return iso7816.StatusReferenceNotFound
	}
	switch c.P2 {
	case 0xB8:
		a.deciphers = s
	case 0xA4:
		a.proves = s
	default:
		return iso7816.StatusWrongOffset
	}
	return iso7816.StatusOK
}
