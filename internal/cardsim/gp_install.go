package cardsim

import (
	"bytes"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// P1 of INSTALL (11.5.2.1).
const (
	installForLoad            = 0x02
	installForInstall         = 0x04
	installForSelectable      = 0x08
	installForExtradition     = 0x10
	installForPersonalization = 0x20
	installForRegistryUpdate  = 0x40
)

// install is INSTALL (11.5).
func (a *gp) install(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.P2 != 0 {
		return nil, iso7816.StatusWrongP1P2
	}
	var fields installFields
	if !fields.read(c.Data, c.P1) {
		return nil, iso7816.StatusWrongData
	}
	switch c.P1 {
	case installForLoad:
		return confirmation(a.installForLoad(fields))
	case installForInstall, installForInstall | installForSelectable:
		return confirmation(a.installForInstall(fields, c.P1&installForSelectable != 0))
	case installForSelectable:
		return confirmation(a.makeSelectable(fields))
	case installForRegistryUpdate:
		return confirmation(a.registryUpdate(fields))
	case installForExtradition:
		return confirmation(a.extradite(fields))
	case installForPersonalization:
		return confirmation(a.personalize(fields))
	}
	return nil, iso7816.StatusWrongP1P2
}

// installFields are the fields of INSTALL in their order: three identifiers or
// hashes, privileges, parameters and token. What they mean depends on P1.
type installFields struct {
	first, second, third []byte
	privileges           []byte
	parameters           []byte
}

// read reads fields that fill data: each its length and its bytes.
func (f *installFields) read(data []byte, p1 byte) bool {
	plain := []*[]byte{&f.first, &f.second, &f.third, &f.privileges}
	if p1 == installForLoad {
		plain = plain[:3] // without privileges
	}
	var ok bool
	for _, field := range plain {
		if *field, data, ok = lengthValue(data); !ok {
			return false
		}
	}
	if f.parameters, data, ok = longLengthValue(data); !ok {
		return false
	}
	_, data, ok = longLengthValue(data) // the token, which the issuer's own card manager needs none of
	return ok && len(data) == 0
}

func lengthValue(data []byte) (value, rest []byte, ok bool) {
	if len(data) == 0 || int(data[0]) > len(data)-1 {
		return nil, nil, false
	}
	n := 1 + int(data[0])
	return data[1:n], data[n:], true
}

// longLengthValue is lengthValue with a length of BER in two or three bytes as
// well, which versions from 2.2 on have.
func longLengthValue(data []byte) (value, rest []byte, ok bool) {
	if len(data) == 0 || data[0] != 0x81 && data[0] != 0x82 {
		return lengthValue(data)
	}
	n, rest, err := iso7816.ParseLength(data)
	if err != nil || n > len(rest) {
		return nil, nil, false
	}
	return rest[:n], rest[n:], true
}

// installForLoad is INSTALL [for load] (11.5.2.3.1): package, security domain,
// hash of the load file data block, parameters.
func (a *gp) installForLoad(f installFields) iso7816.Status {
	aid, domain, hash := f.first, f.second, f.third
	switch {
	case !validAID(aid) || !hashLength(len(hash)):
		return iso7816.StatusWrongData
	case !a.mayManage():
		return iso7816.StatusConditionsNotSatisfied
	case len(domain) > 0 && !a.state.isDomain(domain):
		return iso7816.StatusReferenceNotFound
	case a.state.taken(aid):
		return iso7816.StatusConditionsNotSatisfied
	}
	code, data, ok := memoryQuota(f.parameters)
	if !ok {
		return iso7816.StatusWrongData
	}
	if code+data > a.state.free() {
		return iso7816.StatusNoSpace
	}
	if len(domain) == 0 {
		domain = a.domainAID()
	}
	a.load = &loading{aid: slices.Clone(aid), hash: slices.Clone(hash), domain: a.owner(domain)}
	return iso7816.StatusOK
}

// System specific parameters (11.5.2.3.7).
const (
	tagParameters       = 0xC9 // of the applet
	tagSystemParameters = 0xEF
	tagCodeMemory       = 0xC6 // of load, non-volatile
	tagDataMemory       = 0xC8 // of load and install, non-volatile
)

// memoryQuota reads what INSTALL says that is needed, in bytes.
func memoryQuota(parameters []byte) (code, data int, ok bool) {
	if len(parameters) == 0 {
		return 0, 0, true
	}
	if _, err := iso7816.ParseTLVs(parameters); err != nil {
		return 0, 0, false
	}
	system, found := iso7816.FindTLV(parameters, tagSystemParameters)
	if !found {
		return 0, 0, true
	}
	objects, err := iso7816.ParseTLVs(system)
	if err != nil {
		return 0, 0, false
	}
	for _, o := range objects {
		if o.Tag != tagCodeMemory && o.Tag != tagDataMemory {
			continue
		}
		n := 0
		if len(o.Value) != 2 && len(o.Value) != 4 {
			return 0, 0, false
		}
		for _, b := range o.Value {
			n = n<<8 | int(b)
		}
		if o.Tag == tagCodeMemory {
			code = n
		} else {
			data = n
		}
	}
	return code, data, true
}

// installForInstall is INSTALL [for install] (11.5.2.3.2): package, module,
// application, privileges, parameters.
func (a *gp) installForInstall(f installFields, selectable bool) iso7816.Status {
	aid, module := f.third, f.second
	if len(aid) == 0 {
		aid = module
	}
	if !a.mayManage() {
		return iso7816.StatusConditionsNotSatisfied
	}
	privileges, ok := privilegesOf(f.privileges)
	_, quota, known := memoryQuota(f.parameters)
	if !validAID(aid) || !ok || !known {
		return iso7816.StatusWrongData
	}
	if _, there := iso7816.FindTLV(f.parameters, tagParameters); len(f.parameters) > 0 && !there {
		return iso7816.StatusWrongData
	}
	makesDomain := bytes.Equal(f.first, domainPackageAID()) && bytes.Equal(module, domainModuleAID())
	if ok = makesDomain == (privileges[0]&privilegeSecurityDomain != 0); !ok {
		return iso7816.StatusWrongData // only that applet is one of a security domain
	}
	p := a.state.findPackage(f.first)
	if !makesDomain && (p == nil || !p.hasModule(module)) {
		return iso7816.StatusReferenceNotFound
	}
	if a.state.taken(aid) {
		return iso7816.StatusConditionsNotSatisfied
	}
	instance := &javaInstance{
		AID: slices.Clone(aid), Package: slices.Clone(f.first), Module: slices.Clone(module),
		LifeCycle: instanceInstalled, Privileges: make([]byte, privilegeLength), Domain: a.owner(a.domainAID()),
	}
	instance.app = a.newInstance(instance)
	instance.Size = max(instanceSize(instance.app), quota)
	if instance.Size > a.state.free() {
		return iso7816.StatusNoSpace
	}
	if err := instance.app.factory(); err != nil {
		return iso7816.StatusMemoryFailure
	}
	if selectable {
		instance.LifeCycle = instanceSelectable
	}
	a.state.Instances = append(a.state.Instances, instance)
	a.grant(instance, privileges)
	return a.save()
}

// owner is how a security domain is written down: the issuer's is nil.
func (a *gp) owner(domain []byte) []byte {
	if bytes.Equal(domain, a.state.AID) {
		return nil
	}
	return slices.Clone(domain)
}

// newInstance makes the application of an instance.
func (a *gp) newInstance(i *javaInstance) application {
	if bytes.Equal(i.Module, domainModuleAID()) && bytes.Equal(i.Package, domainPackageAID()) {
		return &securityDomain{card: a, instance: i.AID}
	}
	return newInstance(a.environment, i.AID, i.Module)
}

// privilegesOf reads one or three bytes of privileges; none is none.
func privilegesOf(field []byte) (privileges []byte, ok bool) {
	if len(field) > 1 && len(field) != privilegeLength {
		return nil, false
	}
	return append(slices.Clone(field), make([]byte, privilegeLength-len(field))...), true
}

// grant gives privileges to an application; Default Selected leaves who had it
// before (6.6.2.4).
func (a *gp) grant(instance *javaInstance, privileges []byte) {
	if privileges[0]&privilegeDefaultSelected != 0 {
		a.state.Privileges[0] &^= privilegeDefaultSelected
		for _, other := range a.state.Instances {
			other.Privileges[0] &^= privilegeDefaultSelected
		}
	} else if instance.has(privilegeDefaultSelected) {
		a.state.Privileges[0] |= privilegeDefaultSelected
	}
	instance.Privileges = privileges
}

// makeSelectable is INSTALL [for make selectable] (11.5.2.3.3).
func (a *gp) makeSelectable(f installFields) iso7816.Status {
	instance := a.state.findInstance(f.third)
	privileges, ok := privilegesOf(f.privileges)
	switch {
	case !ok:
		return iso7816.StatusWrongData
	case instance == nil:
		return iso7816.StatusReferenceNotFound
	case instance.LifeCycle != instanceInstalled:
		return iso7816.StatusConditionsNotSatisfied
	}
	if len(f.privileges) > 0 {
		privileges[0] |= instance.Privileges[0] & privilegeSecurityDomain
		a.grant(instance, privileges)
	}
	instance.LifeCycle = instanceSelectable
	return a.save()
}

// registryUpdate is INSTALL [for registry update] (11.5.2.3.5): other
// privileges.
func (a *gp) registryUpdate(f installFields) iso7816.Status {
	instance := a.state.findInstance(f.third)
	privileges, ok := privilegesOf(f.privileges)
	switch {
	case !ok || len(f.second) > 0:
		return iso7816.StatusWrongData
	case instance == nil || len(f.first) > 0 && !bytes.Equal(f.first, a.state.AID):
		return iso7816.StatusReferenceNotFound
	}
	if len(f.privileges) > 0 {
		a.grant(instance, privileges)
	}
	return a.save()
}

// personalize is INSTALL [for personalization] (11.5.2.3.6): STORE DATA is for
// the application then. None that this card knows takes any.
func (a *gp) personalize(f installFields) iso7816.Status {
	instance := a.state.findInstance(f.third)
	switch {
	case instance == nil:
		return iso7816.StatusReferenceNotFound
	case !instance.selectable():
		return iso7816.StatusConditionsNotSatisfied
	}
	if _, unknown := instance.app.(*unknownApplet); !unknown {
		return iso7816.StatusConditionsNotSatisfied
	}
	a.personal, a.storing, a.storeBlock = instance, nil, 0
	return iso7816.StatusOK
}
