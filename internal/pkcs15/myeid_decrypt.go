package pkcs15

import (
	"context"
	"crypto"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// longestInHalves is the length in bytes of a cryptogram that a card takes which has neither
// command chaining nor extended length.
const longestInHalves = 256

// decrypt is PSO: DECIPHER with RSA and no padding: what comes back is as long as the modulus.
// The PIN has to be verified.
func (m *myEID) decrypt(ctx context.Context, k *PrivateKey, cryptogram []byte, _ crypto.DecrypterOpts) ([]byte, error) {
	if err := m.environment(ctx, templateConfidentiality, myEIDRaw, k); err != nil {
		return nil, err
	}
	if m.inHalves(len(cryptogram)) {
		half := len(cryptogram) / 2
		if _, err := m.decipher(ctx, indicatorFirst, cryptogram[:half], 0); err != nil {
			return nil, err
		}
		return m.decipher(ctx, indicatorSecond, cryptogram[half:], iso7816.MaxShortNe)
	}
	return m.decipher(ctx, indicatorWhole, cryptogram, max(iso7816.MaxShortNe, len(cryptogram)))
}

// inHalves reports whether a cryptogram does not fit in one command.
func (m *myEID) inHalves(length int) bool {
	can := m.ch.Capabilities()
	return length >= 0xFF && !can.Chaining && !can.ExtendedLength
}

func (m *myEID) decipher(ctx context.Context, indicator byte, data []byte, answer int) ([]byte, error) {
	return m.ch.Send(ctx, decipher(indicator, data, answer))
}

// derive is GENERAL AUTHENTICATE (ISO/IEC 7816-4, 11.5.5) with the point in the dynamic
// authentication template. The PIN has to be verified.
func (m *myEID) derive(ctx context.Context, k *PrivateKey, point []byte) ([]byte, error) {
	const insAgree, tagTemplate, tagPoint = 0x86, 0x7C, 0x85
	if err := m.environment(ctx, templateAuthentication, myEIDEC, k); err != nil {
		return nil, err
	}
	template := iso7816.AppendTLV(nil, tagTemplate, iso7816.AppendTLV(nil, tagPoint, point))
	shared, err := m.ch.Send(ctx, iso7816.Command{INS: insAgree, Data: template, Ne: iso7816.MaxShortNe})
	if size := len(point) / 2; err == nil && len(shared) != size {
		return nil, fmt.Errorf("%w: a shared secret of %d bytes, not %d", errMalformed, len(shared), size)
	}
	return shared, err
}

func (d myEIDCard) derives(*PrivateKey) error { return nil }

// decryptsWith: any padding is taken off here.
func (d myEIDCard) decryptsWith(k *PrivateKey, _ crypto.DecrypterOpts) error {
	if length := k.Bits / 8; d.native.inHalves(length) && length > longestInHalves {
		return problem.New(problem.NotSupported, "this card cannot decrypt with a key of %d bits", k.Bits).
			Because("It reports neither command chaining nor extended length, so that the ciphertext does not fit.")
	}
	return nil
}

// decrypt takes the padding off.
func (d myEIDCard) decrypt(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, cryptogram []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	encoded, err := d.direct.decrypt(ctx, k, p, pin, cryptogram, opts)
	if err != nil {
		return nil, err
	}
	defer clear(encoded)
	encoded = slices.Concat(make([]byte, max(0, len(cryptogram)-len(encoded))), encoded)
	plain, err := pubkey.Unpad(encoded, opts)
	return plain, d.card.explain(err, "decrypting")
}
