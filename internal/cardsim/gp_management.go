package cardsim

import (
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// managementKeys are the keys for delegated management of the issuer's security domain
// (9.2): a public key for tokens and a key for receipts. The card keeps them and does
// not use them, as nobody delegates here.
type managementKeys struct {
	Version  byte   `json:"version"`
	Modulus  []byte `json:"modulus"`
	Exponent []byte `json:"exponent"`
	Receipt  []byte `json:"receipt"`
	AES      bool   `json:"aes,omitempty"`
}

const (
	minModulus   = 128 // bytes
	maxModulus   = 512
	maxExponent  = 4
	receiptKeyID = 2
)

func (m *managementKeys) check() error {
	if m.Version == 0 || m.Version > maxKeyVersion || len(m.Modulus) < minModulus || len(m.Modulus) > maxModulus ||
		len(m.Exponent) == 0 || len(m.Exponent) > maxExponent || len(m.Receipt) < desBlock {
		return errors.New("keys for delegated management that cannot be")
	}
	return nil
}

// putManagementKeys is PUT KEY of an RSA public key, identifier 1, and a secret one,
// identifier 2.
func (a *gp) putManagementKeys(old byte, data []byte) ([]byte, iso7816.Status) {
	m := managementKeys{Version: data[0]}
	rest, ok := data[1:], false
	if m.Modulus, rest, ok = keyComponent(keyTypeRSAModulus, rest); !ok {
		return nil, iso7816.StatusWrongData
	}
	if m.Exponent, rest, ok = keyComponent(keyTypeRSAExponent, rest); !ok || len(rest) == 0 || rest[0] != 0 {
		return nil, iso7816.StatusWrongData // a check value of a public key is not defined here
	}
	receipt, value, rest, aes, ok := a.readKey(rest[1:])
	if m.Receipt, m.AES = receipt, aes; !ok || len(rest) > 0 || m.check() != nil {
		return nil, iso7816.StatusWrongData
	}
	switch present := a.state.Management; {
	case a.domain != nil:
		return nil, iso7816.StatusConditionsNotSatisfied
	case a.keySet(m.Version) != nil, old == 0 && present != nil:
		return nil, iso7816.StatusConditionsNotSatisfied
	case old != 0 && (present == nil || present.Version != old):
		return nil, iso7816.StatusReferenceNotFound
	}
	a.state.Management = &m
	if status := a.save(); status != iso7816.StatusOK {
		return nil, status
	}
	return append([]byte{m.Version}, value...), iso7816.StatusOK
}

// keyComponent reads a component in clear: its type, its length, which may be 80 for 128
// (11.8.2.3.1), and its value.
func keyComponent(kind byte, data []byte) (value, rest []byte, ok bool) {
	if len(data) < 2 || data[0] != kind {
		return nil, nil, false
	}
	length, rest, err := 0x80, data[2:], error(nil)
	if data[1] != 0x80 {
		length, rest, err = iso7816.ParseLength(data[1:])
	}
	if err != nil || length > len(rest) {
		return nil, nil, false
	}
	return rest[:length], rest[length:], true
}

// information are the entries of the key information template (11.3.3.1.1).
func (m *managementKeys) information(data []byte) []byte {
	kind := byte(keyType3DES)
	if m.AES {
		kind = keyTypeAES
	}
	modulus, exponent := len(m.Modulus), len(m.Exponent)
	token := []byte{1, m.Version, keyTypeRSAModulus, byte(modulus), keyTypeRSAExponent, byte(exponent)}
	if modulus > 0xFF { // the extended format, without key usage and access
		token = []byte{1, m.Version, 0xFF, keyTypeRSAModulus, byte(modulus >> 8), byte(modulus), 0xFF, keyTypeRSAExponent, 0, byte(exponent), 0, 0}
	}
	data = iso7816.AppendTLV(data, 0xC0, token)
	return iso7816.AppendTLV(data, 0xC0, []byte{receiptKeyID, m.Version, kind, byte(len(m.Receipt))})
}
