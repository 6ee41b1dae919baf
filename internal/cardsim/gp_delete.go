package cardsim

import (
	"bytes"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// delete is DELETE (11.2) of an application, a package, or keys.
func (a *gp) delete(c iso7816.Command) ([]byte, iso7816.Status) {
	const related = 0x80
	if c.P1 != 0 || c.P2&^related != 0 {
		return nil, iso7816.StatusWrongP1P2
	}
	objects, err := iso7816.ParseTLVs(c.Data)
	if err != nil {
		return nil, iso7816.StatusWrongData
	}
	const tagKeyIdentifier, tagKeyVersion = 0xD0, 0xD2
	if aid, ok := iso7816.FindTLV(c.Data, tagRegistryAID); ok {
		return confirmation(a.deleteObject(aid, c.P2&related != 0))
	}
	if version, ok := iso7816.FindTLV(c.Data, tagKeyVersion); ok && len(version) == 1 && len(objects) == 1 {
		return confirmation(a.deleteKeys(version[0]))
	}
	if _, ok := iso7816.FindTLV(c.Data, tagKeyIdentifier); ok {
		return nil, iso7816.StatusFunctionNotSupported // a set without one of its keys
	}
	return nil, iso7816.StatusWrongData
}

func (a *gp) deleteObject(aid []byte, related bool) iso7816.Status {
	if bytes.Equal(aid, a.state.AID) {
		return iso7816.StatusConditionsNotSatisfied
	}
	if !a.mayManage() {
		return iso7816.StatusConditionsNotSatisfied
	}
	if instance := a.state.findInstance(aid); instance != nil {
		if len(a.state.belongings(aid)) > 0 || instance == a.domain || !a.ofDomain(instance.Domain) {
			return iso7816.StatusConditionsNotSatisfied
		}
		a.remove(instance)
		return a.save()
	}
	p := a.state.findPackage(aid)
	if p == nil {
		return iso7816.StatusReferenceNotFound
	}
	instances := a.state.instancesOf(p)
	if len(instances) > 0 && !related || len(a.state.importers(p)) > 0 || !a.ofDomain(p.Domain) {
		return iso7816.StatusConditionsNotSatisfied
	}
	for _, instance := range instances {
		a.remove(instance)
	}
	a.state.Packages = slices.DeleteFunc(a.state.Packages, func(other *javaPackage) bool { return other == p })
	return a.save()
}

// remove takes an instance away, with its data; what was selected by default
// is the security domain again.
func (a *gp) remove(instance *javaInstance) {
	if instance.has(privilegeDefaultSelected) {
		a.state.Privileges[0] |= privilegeDefaultSelected
	}
	a.state.Instances = slices.DeleteFunc(a.state.Instances, func(other *javaInstance) bool { return other == instance })
	if a.personal == instance {
		a.personal = nil
	}
}
