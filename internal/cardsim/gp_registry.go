package cardsim

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// javaPackage is an executable load file on the card.
type javaPackage struct {
	AID     []byte   `json:"aid"`
	Version []byte   `json:"version"` // major, minor
	Modules [][]byte `json:"modules,omitempty"`
	Imports [][]byte `json:"imports,omitempty"` // AIDs
	Size    int      `json:"size"`              // bytes
	Domain  []byte   `json:"domain,omitempty"`  // that it belongs to, nil for the issuer's
}

func (p *javaPackage) check() error {
	if !validAID(p.AID) || len(p.Version) != 2 || p.Size < 0 {
		return errors.New("AID, version or size")
	}
	for _, module := range p.Modules {
		if !validAID(module) {
			return errors.New("AID of a module")
		}
	}
	return nil
}

// hasModule reports whether an applet of this AID can be installed.
func (p *javaPackage) hasModule(aid []byte) bool {
	for _, module := range p.Modules {
		if bytes.Equal(module, aid) {
			return true
		}
	}
	return false
}

// javaInstance is an application that was installed from a package.
type javaInstance struct {
	AID        []byte          `json:"aid"`
	Package    []byte          `json:"package"`
	Module     []byte          `json:"module"`
	LifeCycle  byte            `json:"lifeCycle"`
	Privileges []byte          `json:"privileges"` // 3 bytes
	Size       int             `json:"size"`       // bytes
	State      json.RawMessage `json:"state"`      // of the application

	// Domain is the security domain that it belongs to, nil for the issuer's. Keys
	// are those of an instance that is one.
	Domain []byte     `json:"domain,omitempty"`
	Keys   []gpKeySet `json:"keys,omitempty"`

	app application
}

// Life cycle of an application (5.3.1); the bit of a locked one is added.
const (
	instanceInstalled  = 0x03
	instanceSelectable = 0x07
	instanceLocked     = 0x80
)

// Privileges of the first byte (6.6.1).
const (
	privilegeLength          = 3
	privilegeSecurityDomain  = 0x80
	privilegeDefaultSelected = 0x04
)

func (i *javaInstance) has(privilege byte) bool { return i.Privileges[0]&privilege != 0 }

func (i *javaInstance) selectable() bool {
	return i.LifeCycle&instanceLocked == 0 && i.LifeCycle&instanceSelectable == instanceSelectable
}

// revive makes the application from the state of the entry.
func (i *javaInstance) revive(card *gp) error {
	i.app = card.newInstance(i)
	if err := i.app.unmarshal(i.State); err != nil {
		return fmt.Errorf("instance %s: %w", hex.EncodeToString(i.AID), err)
	}
	return nil
}

func validAID(aid []byte) bool { return len(aid) >= 5 && len(aid) <= 16 }

func (s *gpState) findPackage(aid []byte) *javaPackage {
	for _, p := range s.Packages {
		if bytes.Equal(p.AID, aid) {
			return p
		}
	}
	return nil
}

func (s *gpState) findInstance(aid []byte) *javaInstance {
	for _, instance := range s.Instances {
		if bytes.Equal(instance.AID, aid) {
			return instance
		}
	}
	return nil
}

// taken reports whether something on the card has the AID.
func (s *gpState) taken(aid []byte) bool {
	return bytes.Equal(s.AID, aid) || s.findPackage(aid) != nil || s.findInstance(aid) != nil
}

// instancesOf are the applications that came from a package.
func (s *gpState) instancesOf(p *javaPackage) []*javaInstance {
	var list []*javaInstance
	for _, instance := range s.Instances {
		if bytes.Equal(instance.Package, p.AID) {
			list = append(list, instance)
		}
	}
	return list
}

// importers are the packages that need a package.
func (s *gpState) importers(p *javaPackage) []*javaPackage {
	var list []*javaPackage
	for _, other := range s.Packages {
		for _, aid := range other.Imports {
			if bytes.Equal(aid, p.AID) {
				list = append(list, other)
			}
		}
	}
	return list
}
