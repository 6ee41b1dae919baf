package cardsim

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// pivState is what survives power loss.
type pivState struct {
	PIN        pivPIN               `json:"pin"`
	PUK        pivPIN               `json:"puk"`
	Management pivManagementKey     `json:"management"`
	Keys       map[pivSlot]pivKey   `json:"keys"`
	Objects    map[simpleTag][]byte `json:"objects"` // contents of 53, or of 7E and 7F61
	// Authorities are the certificates of the maker of the attestation key, the root
	// first.
	Authorities [][]byte `json:"authorities,omitempty"`
}

// pivPIN is a PIN or PUK with the tries that it has at most.
type pivPIN struct {
	referenceData
	Total int `json:"total"`
}

type pivManagementKey struct {
	Algorithm byte   `json:"algorithm"`
	Key       []byte `json:"key"`
	Touch     byte   `json:"touch"`
}

// pivSlot is a key reference in hex, which JSON needs for a key.
type pivSlot string

func pivSlotOf(reference byte) pivSlot { return pivSlot(fmt.Sprintf("%02X", reference)) }

// Key references of part 1, table 4b, and of Yubico.
const (
	pivGlobalPIN      = 0x00
	pivApplicationPIN = 0x80
	pivPUK            = 0x81
	pivFirstRetired   = 0x82
	pivLastRetired    = 0x95
	pivAuthentication = 0x9A
	pivManagement     = 0x9B
	pivSignature      = 0x9C
	pivKeyManagement  = 0x9D
	pivCardAuth       = 0x9E
	pivAttestation    = 0xF9
)

// pivKey is a private key in a slot and its policies.
type pivKey struct {
	PKCS8     []byte `json:"pkcs8"`
	PINPolicy byte   `json:"pinPolicy"`
	Touch     byte   `json:"touch"`
	Imported  bool   `json:"imported,omitempty"`

	private crypto.PrivateKey
}

const (
	pivFactoryPIN = "123456"
	pivFactoryPUK = "12345678"
	pivTries      = 3
	pivPINLength  = 8 // bytes, with its padding
	pivPINLeast   = 6
)

// factory makes the card as it is delivered. What a maker puts on it for
// attestation no reset takes away.
func (a *piv) factory() error {
	a.state = pivState{}
	if a.profile.piv.attests() {
		if err := a.makeAttestation(); err != nil {
			return err
		}
	}
	return a.initial()
}

// initial are PINs, management key and objects of the factory; keys other than
// that for attestation are gone.
func (a *piv) initial() error {
	pin, err := a.newPIN(pivFactoryPIN, pivTries)
	if err != nil {
		return err
	}
	puk, err := a.newPIN(pivFactoryPUK, pivTries)
	if err != nil {
		return err
	}
	keys, objects := map[pivSlot]pivKey{}, map[simpleTag][]byte{}
	if k, ok := a.state.Keys[pivSlotOf(pivAttestation)]; ok {
		keys[pivSlotOf(pivAttestation)] = k
		objects[keyOf(pivAttestationCertificate)] = a.state.Objects[keyOf(pivAttestationCertificate)]
	}
	a.state.PIN, a.state.PUK, a.state.Keys, a.state.Objects = pin, puk, keys, objects
	a.state.Management = a.factoryManagementKey()
	return nil
}

func (a *piv) newPIN(value string, total int) (pivPIN, error) {
	data, err := newReferenceData(a.random, pivPadded(value))
	data.Tries = total
	return pivPIN{data, total}, err
}

func pivPadded(value string) []byte {
	return append([]byte(value), bytes.Repeat([]byte{0xFF}, pivPINLength-len(value))...)
}

// check refuses a state that the commands could not work on.
func (s *pivState) check() error {
	for _, p := range []*pivPIN{&s.PIN, &s.PUK} {
		if p.Length != pivPINLength || p.Total < 1 || p.Total > 0xFF || p.Tries < 0 || p.Tries > p.Total {
			return errors.New("PIN out of range")
		}
	}
	if s.Management.cipherFailed() {
		return errors.New("management key of the wrong length")
	}
	if s.Keys == nil {
		s.Keys = map[pivSlot]pivKey{}
	}
	if s.Objects == nil {
		s.Objects = map[simpleTag][]byte{}
	}
	for slot, k := range s.Keys {
		private, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
		if err != nil {
			return fmt.Errorf("key %s: %w", slot, err)
		}
		if _, ok := pivAlgorithmOf(private); !ok {
			return fmt.Errorf("key %s: of a kind that no slot has", slot)
		}
		k.private = private
		s.Keys[slot] = k
	}
	return nil
}

// slots that can hold a key for which a card has a certificate.
func (a *piv) isSlot(reference byte) bool {
	main := []byte{pivAuthentication, pivSignature, pivKeyManagement, pivCardAuth}
	return slices.Contains(main, reference) || reference >= pivFirstRetired && reference <= pivLastRetired ||
		reference == pivAttestation && a.profile.piv.attests()
}

// put stores a key, over the one that is there.
func (a *piv) put(slot byte, private crypto.PrivateKey, k pivKey) iso7816.Status {
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	k.PKCS8, k.private = encoded, private
	a.state.Keys[pivSlotOf(slot)] = k
	return a.save()
}
