package cardsim

import (
	"errors"
	"fmt"
	"math"
)

// openpgpState is what survives power loss.
type openpgpState struct {
	Terminated bool `json:"terminated,omitempty"`

	// Attestation is the maker's, and stays when the card is erased; nil on cards that
	// attest nothing.
	Attestation *openpgpAttestation `json:"attestation,omitempty"`

	// Most are the tries of PW1, resetting code and PW3; 0 for three.
	Most [3]int `json:"most,omitzero"`

	PW1 referenceData `json:"pw1"`
	RC  referenceData `json:"rc"`
	PW3 referenceData `json:"pw3"`

	// PW1Lasting is the first byte of DO C4: PW1 (81) is valid for several
	// PSO:CDS commands.
	PW1Lasting bool   `json:"pw1Lasting"`
	KDF        []byte `json:"kdf"` // content of DO F9

	Keys             [slots]keySlot `json:"keys"`
	SignatureCounter uint32         `json:"signatureCounter"`

	Certificates   [slots][]byte        `json:"certificates"` // AUT, DEC, SIG
	CAFingerprints [slots][]byte        `json:"caFingerprints"`
	AESKey         []byte               `json:"aesKey,omitempty"`
	UIF            [interactions]byte   `json:"uif"`
	Objects        map[simpleTag][]byte `json:"objects"`
}

// slot is one of the three key pairs.
type slot int

const (
	slotSIG slot = iota
	slotDEC
	slotAUT
	slots
)

// interactions are the user interaction flags: one a key, and one for the
// attestation key.
const interactions = 4

// simpleTag is the tag of a data object without any meaning to the card, in
// hex, which JSON needs for a key.
type simpleTag string

// factoryState is the state in which a card is delivered, and which ACTIVATE
// FILE restores.
func (a *openpgp) factoryState() (*openpgpState, error) {
	s := &openpgpState{Objects: map[simpleTag][]byte{keyOf(tagSex): []byte("9")}} // not announced
	for i := range s.Keys {
		s.Keys[i] = keySlot{
			Attributes:  a.defaultAttributes(),
			Fingerprint: make([]byte, fingerprintLength),
			Created:     make([]byte, timeLength),
		}
		s.CAFingerprints[i] = make([]byte, fingerprintLength)
	}
	if a.attestsKeys() {
		if s.Attestation = a.state.Attestation; s.Attestation == nil {
			made, err := makeAttestation()
			if err != nil {
				return nil, err
			}
			s.Attestation = made
		}
	}
	initial1, initial3 := []byte(factoryPW1), []byte(factoryPW3)
	s.KDF = kdfNone()
	if a.profile.kdf {
		kdf, err := newKDF(a.random, initial1, initial3)
		if err != nil {
			return nil, err
		}
		s.KDF = kdf.encode()
		initial1, initial3 = kdf.initialPW1, kdf.initialPW3
	}
	var err error
	if s.PW1, err = newReferenceData(a.random, initial1); err != nil {
		return nil, err
	}
	if s.PW3, err = newReferenceData(a.random, initial3); err != nil {
		return nil, err
	}
	return s, nil
}

// check refuses a state that the commands could not work on.
func (s *openpgpState) check() error {
	for i := range s.Keys {
		k := &s.Keys[i]
		if _, err := parseAttributes(k.Attributes); err != nil {
			return err
		}
		if len(k.Fingerprint) != fingerprintLength || len(k.Created) != timeLength || len(s.CAFingerprints[i]) != fingerprintLength {
			return fmt.Errorf("key %d: fingerprint or time of the wrong length", i+1)
		}
		if err := k.load(); err != nil {
			return fmt.Errorf("key %d: %w", i+1, err)
		}
	}
	if _, err := parseKDF(s.KDF); err != nil {
		return err
	}
	if s.SignatureCounter > maxSignatures {
		return errors.New("signature counter out of range")
	}
	for _, r := range []*referenceData{&s.PW1, &s.RC, &s.PW3} {
		if r.Tries < 0 || r.Tries > math.MaxUint8 || r.Length < 0 || r.Length > passwordMax {
			return errors.New("reference data out of range")
		}
	}
	if s.PW1.Length == 0 || s.PW3.Length == 0 {
		return errors.New("no passwords")
	}
	if s.Attestation != nil {
		if err := s.Attestation.load(); err != nil {
			return err
		}
	}
	if s.Objects == nil {
		s.Objects = map[simpleTag][]byte{}
	}
	return nil
}
