package cardsim

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// The package in the chip from which security domains are made, and its applet
// (GlobalPlatform's AIDs).
func domainPackageAID() []byte { return []byte{0xA0, 0x00, 0x00, 0x01, 0x51, 0x53, 0x50} }
func domainModuleAID() []byte  { return append(domainPackageAID(), 0x41) }

// securityDomain is a supplementary security domain (7.3). The card manager carries
// its commands out, with its keys and for what belongs to it.
type securityDomain struct {
	card     *gp
	instance []byte // its AID
}

func (d *securityDomain) name() string            { return "domain" }
func (d *securityDomain) aid() []byte             { return d.instance }
func (d *securityDomain) historicalBytes() []byte { return nil }
func (d *securityDomain) deselect()               { d.card.deselect() }
func (d *securityDomain) factory() error          { return nil }
func (d *securityDomain) impliesLe() bool         { return true }
func (d *securityDomain) unwraps()                {}

func (d *securityDomain) marshal() (json.RawMessage, error) { return json.RawMessage("{}"), nil }
func (d *securityDomain) unmarshal(json.RawMessage) error   { return nil }

func (d *securityDomain) selected(byte) ([]byte, iso7816.Status) {
	d.card.domain = d.card.state.findInstance(d.instance)
	return d.card.controlInformation(d.instance), iso7816.StatusOK
}

func (d *securityDomain) process(c iso7816.Command) ([]byte, iso7816.Status) {
	return d.card.process(c)
}

// domainAID is the AID of the security domain that is selected.
func (a *gp) domainAID() []byte {
	if a.domain != nil {
		return a.domain.AID
	}
	return a.state.AID
}

// keySets are the keys of the security domain that is selected; one without keys of
// its own has those of the issuer's (7.2).
func (a *gp) keySets() *[]gpKeySet {
	if a.domain != nil && len(a.domain.Keys) > 0 {
		return &a.domain.Keys
	}
	return &a.state.Keys
}

// keySet are the keys of a version, 0 for the default; nil where there are none.
func (a *gp) keySet(version byte) *gpKeySet {
	sets := *a.keySets()
	for i := range sets {
		if version == 0 || sets[i].Version == version {
			return &sets[i]
		}
	}
	return nil
}

// isDomain reports whether an AID is that of a security domain.
func (s *gpState) isDomain(aid []byte) bool {
	instance := s.findInstance(aid)
	return bytes.Equal(aid, s.AID) || instance != nil && instance.has(privilegeSecurityDomain)
}

// ofDomain reports whether the selected security domain manages what belongs to
// owner, nil for the issuer's: that manages everything of its own alone.
func (a *gp) ofDomain(owner []byte) bool {
	if owner == nil {
		owner = a.state.AID
	}
	return bytes.Equal(owner, a.domainAID())
}

// mayManage reports whether the selected security domain may load, install and
// delete: the issuer's, or one with Authorized Management (6.6.1).
func (a *gp) mayManage() bool {
	const authorizedManagement = 0x40 // in the second byte
	return a.domain == nil || a.domain.Privileges[1]&authorizedManagement != 0
}

// belongings are the AIDs of what belongs to a security domain.
func (s *gpState) belongings(domain []byte) (list [][]byte) {
	for _, i := range s.Instances {
		if bytes.Equal(i.Domain, domain) {
			list = append(list, i.AID)
		}
	}
	for _, p := range s.Packages {
		if bytes.Equal(p.Domain, domain) {
			list = append(list, p.AID)
		}
	}
	return list
}

// extradite is INSTALL [for extradition] (11.5.2.3.4): what belongs to this security
// domain belongs to another one afterwards.
func (a *gp) extradite(f installFields) iso7816.Status {
	instance, pkg := a.state.findInstance(f.third), a.state.findPackage(f.third)
	if instance == nil && pkg == nil || !a.state.isDomain(f.first) {
		return iso7816.StatusReferenceNotFound
	}
	if bytes.Equal(f.third, f.first) {
		return iso7816.StatusConditionsNotSatisfied // a security domain of its own
	}
	owner := slices.Clone(f.first)
	if bytes.Equal(owner, a.state.AID) {
		owner = nil
	}
	if instance != nil {
		if !a.ofDomain(instance.Domain) {
			return iso7816.StatusConditionsNotSatisfied
		}
		instance.Domain = owner
		return a.save()
	}
	if !a.ofDomain(pkg.Domain) {
		return iso7816.StatusConditionsNotSatisfied
	}
	pkg.Domain = owner
	return a.save()
}
