package cms

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/secret"
)

// ErrDecrypt is what cannot be decrypted, whatever the reason: it tells nobody which part
// was wrong. ErrRecipient is what is not encrypted to the key.
var (
	ErrDecrypt   = errors.New("the message cannot be decrypted")
	ErrRecipient = errors.New("the message is encrypted to another key")
)

var (
	oidRSA    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}     // RFC 8017, C
	oidAES128 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2} // RFC 3565, 4.1
)

// keyLength is that of AES-128 in bytes.
const keyLength = 16

// Envelope makes EnvelopedData (RFC 5652, 6.1) for the RSA key of a certificate, with
// AES-128-CBC.
func Envelope(content []byte, recipient *cert.Certificate) ([]byte, error) {
	public, ok := recipient.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, ErrAlgorithm
	}
	key, iv := make([]byte, keyLength), make([]byte, aes.BlockSize)
	defer secret.Wipe(key)
	_, _ = rand.Read(key) // never fails
	_, _ = rand.Read(iv)
	//lint:ignore SA1019 SCEP has no other padding
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, public, key)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	whole := padded(content)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(whole, whole)
	return contentInfo(oidEnvelopedData, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // KeyTransRecipientInfo
				b.AddASN1Int64(0)
				addIssuerAndSerial(b, recipient)
				addAlgorithm(b, oidRSA, asn1.NullBytes)
				b.AddASN1OctetString(sealed)
			})
		})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidData)
			addAlgorithm(b, oidAES128, marshal(func(b *cryptobyte.Builder) { b.AddASN1OctetString(iv) }))
			b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(whole) })
		})
	})
}

// padded is RFC 5652, 6.3.
func padded(content []byte) []byte {
	n := aes.BlockSize - len(content)%aes.BlockSize
	whole := make([]byte, len(content)+n)
	for i := copy(whole, content); i < len(whole); i++ {
		whole[i] = byte(n)
	}
	return whole
}

// Enveloped is EnvelopedData (RFC 5652, 6.1) that was read.
type Enveloped struct {
	recipients []recipient
	cipher     contentCipher
	iv         []byte
	content    []byte
}

type recipient struct {
	identifier
	key []byte
}

// contentCipher is a block cipher with CBC.
type contentCipher struct {
	length   int // of its key in bytes
	newBlock func(key []byte) (cipher.Block, error)
}

// ciphers are those of answers by OID. Those of DES protect no secret: what a CA encrypts is
// a certificate, and a signature protects it.
func ciphers() map[string]contentCipher {
	return map[string]contentCipher{
		"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
		"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
		"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
		"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
		"1.3.14.3.2.7":            {8, des.NewCipher},
	}
}

const maxRecipients = 16

// ParseEnveloped reads it, in BER or DER.
func ParseEnveloped(data []byte) (*Enveloped, error) {
	const fewest, most = 3, 5
	fields, err := open(data, oidEnvelopedData, most)
	if err != nil || len(fields) < fewest {
		return nil, ErrDamaged
	}
	fields = fields[1:]
	if fields[0].IsContext(0) { // originatorInfo
		fields = fields[1:]
	}
	if len(fields) < 2 || !fields[0].Is(ber.Set) {
		return nil, ErrDamaged
	}
	infos, err := fields[0].Elements(maxRecipients)
	if err != nil {
		return nil, ErrDamaged
	}
	e := &Enveloped{}
	for _, info := range infos {
		if info.Is(ber.Sequence) { // others are for keys that are not RSA
			if err := e.readRecipient(info); err != nil {
				return nil, err
			}
		}
	}
	return e, e.readContent(fields[1])
}

func (e *Enveloped) readRecipient(info ber.Element) error {
	const parts = 4
	list, err := info.Elements(parts)
	if err != nil || len(list) != parts || !list[3].Is(ber.OctetString) {
		return ErrDamaged
	}
	id, err := identifierOf(list[1])
	if err != nil {
		return err
	}
	algorithm, _, err := algorithmOf(list[2])
	if err != nil {
		return err
	}
	key, err := list[3].Octets()
	if err != nil {
		return ErrDamaged
	}
	if algorithm.Equal(oidRSA) {
		e.recipients = append(e.recipients, recipient{id, key})
	}
	return nil
}

// readContent reads EncryptedContentInfo.
func (e *Enveloped) readContent(info ber.Element) error {
	const parts = 3
	list, err := info.Elements(parts)
	if err != nil || len(list) != parts || !list[2].IsContext(0) {
		return ErrDamaged
	}
	algorithm, parameters, err := algorithmOf(list[1])
	if err != nil {
		return err
	}
	var known bool
	if e.cipher, known = ciphers()[algorithm.String()]; !known {
		return ErrAlgorithm
	}
	if e.iv, err = parameters.Octets(); err != nil || !parameters.Is(ber.OctetString) {
		return ErrDamaged
	}
	if e.content, err = list[2].Octets(); err != nil {
		return ErrDamaged
	}
	return nil
}

// Decrypter decrypts with a private key, PKCS#1 v1.5.
type Decrypter func(ctx context.Context, ciphertext []byte) ([]byte, error)

// Decrypt returns the content, for the key of a certificate. Failed reports whether an
// error of decrypt is none of the ciphertext: it is returned, and any other one takes part in
// ErrDecrypt. The same is done whatever is wrong with the key (RFC 3218, 2.3.2).
func (e *Enveloped) Decrypt(ctx context.Context, to *cert.Certificate, decrypt Decrypter, failed func(error) bool) ([]byte, error) {
	for _, r := range e.recipients {
		if !r.names(to) {
			continue
		}
		key := make([]byte, e.cipher.length)
		defer secret.Wipe(key)
		_, _ = rand.Read(key) // never fails
		opened, err := decrypt(ctx, r.key)
		defer secret.Wipe(opened)
		if err != nil && failed(err) {
			return nil, err
		}
		if err == nil && len(opened) == len(key) {
			copy(key, opened)
		}
		return e.open(key)
	}
	return nil, ErrRecipient
}

func (e *Enveloped) open(key []byte) ([]byte, error) {
	block, err := e.cipher.newBlock(key)
	if err != nil {
		return nil, ErrDecrypt
	}
	size := block.BlockSize()
	if len(e.iv) != size || len(e.content) == 0 || len(e.content)%size != 0 {
		return nil, ErrDecrypt
	}
	content := make([]byte, len(e.content))
	cipher.NewCBCDecrypter(block, e.iv).CryptBlocks(content, e.content)
	n := int(content[len(content)-1])
	if n == 0 || n > size {
		return nil, ErrDecrypt
	}
	for _, b := range content[len(content)-n:] {
		if subtle.ConstantTimeByteEq(b, byte(n)) != 1 {
			return nil, ErrDecrypt
		}
	}
	return content[:len(content)-n], nil
}
