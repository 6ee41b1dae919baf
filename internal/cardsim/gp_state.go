package cardsim

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// gpState is what survives power loss.
type gpState struct {
	SecureChannel string     `json:"secureChannel"`
	LifeCycle     byte       `json:"lifeCycle"`
	Tries         int        `json:"tries"` // of EXTERNAL AUTHENTICATE, left
	Keys          []gpKeySet `json:"keys"`  // the default first

	Management *managementKeys `json:"management,omitempty"`

	AID        []byte `json:"aid"`
	Privileges []byte `json:"privileges"` // 3 bytes
	IIN        []byte `json:"iin,omitempty"`
	CIN        []byte `json:"cin,omitempty"`
	CPLC       []byte `json:"cplc"`

	Memory    int             `json:"memory"` // bytes, used ones included
	Packages  []*javaPackage  `json:"packages,omitempty"`
	Instances []*javaInstance `json:"instances,omitempty"`
}

// defaultMemory is that of a card for which none is said, in bytes.
const defaultMemory = 128 << 10

// factoryState is the state of a blank card.
func (a *gp) factoryState() (*gpState, error) {
	channel, keys, err := a.javaCard.keySet()
	if err != nil {
		return nil, err
	}
	memory := a.javaCard.memory
	if memory == 0 {
		memory = defaultMemory
	}
	s := &gpState{
		SecureChannel: channel.String(),
		LifeCycle:     cardReady,
		Tries:         authenticationTries,
		Keys:          []gpKeySet{keys},
		AID:           issuerAID(),
		Privileges:    []byte{0x9E, 0xFE, 0x80},
		CPLC:          a.productionData(),
		Memory:        memory,
	}
	return s, s.check()
}

// issuerAID is that of an issuer security domain by default (H.1.3).
func issuerAID() []byte { return []byte{0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00} }

// productionLength is the length of the card production life cycle data.
const productionLength = 42

// productionData is the card production life cycle data (CPLC): FFFE for those
// who made it, as nobody did, and the serial number of the card.
func (a *gp) productionData() []byte {
	data := make([]byte, 0, productionLength)
	data = append(data, 0xFF, 0xFE, 0x00, 0x01)             // fabricator and type of the chip
	data = append(data, 0xFF, 0xFE, 0x40, 0x01, 0x01, 0x00) // operating system, date and level of its release
	data = append(data, 0x40, 0x02)                         // date of fabrication
	data = append(data, a.serial[:]...)
	data = append(data, 0x00, 0x01)             // batch
	data = append(data, 0xFF, 0xFE, 0x40, 0x03) // module
	data = append(data, 0xFF, 0xFE, 0x40, 0x04) // embedding
	return append(data, make([]byte, productionLength-len(data))...)
}

// diversificationData, 10 bytes, are what a key of this card may be derived
// from.
func (a *gp) diversificationData() []byte {
	const serial = 12
	return append([]byte{0x00, 0x00}, a.state.CPLC[serial-2:serial+6]...)
}

func (s *gpState) channel() secureChannel {
	c, _, _ := channelNamed(s.SecureChannel) // check has seen it
	return c
}

// keySet returns the keys of a version, 0 for the default; nil where there are
// none.
func (s *gpState) keySet(version byte) *gpKeySet {
	for i := range s.Keys {
		if version == 0 || s.Keys[i].Version == version {
			return &s.Keys[i]
		}
	}
	return nil
}

// free is the memory that is left, in bytes.
func (s *gpState) free() int {
	free := s.Memory
	for _, p := range s.Packages {
		free -= p.Size
	}
	for _, instance := range s.Instances {
		free -= instance.Size
	}
	return free
}

// check refuses a state that the commands could not work on.
func (s *gpState) check() error {
	channel, _, err := channelNamed(s.SecureChannel)
	if err != nil {
		return err
	}
	if len(s.Keys) == 0 {
		return errors.New("no keys")
	}
	for i := range s.Keys {
		if err := s.Keys[i].check(channel); err != nil {
			return err
		}
	}
	if s.Management != nil {
		if err := s.Management.check(); err != nil {
			return err
		}
	}
	switch {
	case !slices.Contains([]byte{cardReady, cardInitialized, cardSecured, cardLocked, cardTerminated}, s.LifeCycle):
		return fmt.Errorf("life cycle %02X", s.LifeCycle)
	case s.Tries < 0 || s.Tries > authenticationTries:
		return errors.New("tries out of range")
	case !validAID(s.AID) || len(s.Privileges) != privilegeLength || len(s.CPLC) != productionLength:
		return errors.New("AID, privileges or production data of the wrong length")
	case s.Memory < 0 || s.free() < 0:
		return fmt.Errorf("memory of %d bytes is not enough", s.Memory)
	}
	for _, p := range s.Packages {
		if err := p.check(); err != nil {
			return fmt.Errorf("package %s: %w", hex.EncodeToString(p.AID), err)
		}
	}
	for _, instance := range s.Instances {
		for i := range instance.Keys {
			if err := instance.Keys[i].check(channel); err != nil {
				return fmt.Errorf("instance %s: %w", hex.EncodeToString(instance.AID), err)
			}
		}
		built := bytes.Equal(instance.Package, domainPackageAID())
		if p := s.findPackage(instance.Package); p == nil && !built || !validAID(instance.AID) || len(instance.Privileges) != privilegeLength {
			return fmt.Errorf("instance %s", hex.EncodeToString(instance.AID))
		}
	}
	return nil
}

// keepInstances writes the state of each application to its entry.
func (s *gpState) keepInstances() error {
	for _, instance := range s.Instances {
		state, err := instance.app.marshal()
		if err != nil {
			return fmt.Errorf("instance %s: %w", hex.EncodeToString(instance.AID), err)
		}
		instance.State = state
	}
	return nil
}
