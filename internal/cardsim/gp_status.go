package cardsim

import (
	"bytes"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Subsets of the registry that GET STATUS and SET STATUS work on (11.4.2.1,
// 11.10.2.1).
const (
	subsetIssuer       = 0x80
	subsetApplications = 0x40
	subsetPackages     = 0x20
	subsetModules      = 0x10
	subsetDomain       = 0x60 // a security domain and its applications
)

// Tags of GET STATUS (11.4.2.2, 11.4.3.1).
const (
	tagRegistryAID = 0x4F
	tagTagList     = 0x5C
	tagEntry       = 0xE3
	tagPrivileges  = 0xC5
	tagPackage     = 0xC4
	tagVersion     = 0xCE
	tagModule      = 0x84
	tagDomain      = 0xCC
)

// listing is what GET STATUS has found and not told yet.
type listing struct {
	subset  byte
	format  byte
	entries [][]byte
}

// statusRoom is the length of an answer of GET STATUS, in bytes, that leaves
// room for its protection in a short APDU.
const statusRoom = 208

// getStatus is GET STATUS (11.4). An answer that is not the last ends 6310.
func (a *gp) getStatus(c iso7816.Command) ([]byte, iso7816.Status) {
	const next, tlv = 0x01, 0x02
	listed := a.listing
	a.listing = nil
	if c.P2&^(next|tlv) != 0 {
		return nil, iso7816.StatusWrongP1P2
	}
	if c.P2&next == 0 {
		entries, status := a.find(c.P1, c.P2&tlv != 0, c.Data)
		if status != iso7816.StatusOK {
			return nil, status
		}
		listed = &listing{subset: c.P1, format: c.P2, entries: entries}
	}
	if listed == nil || listed.subset != c.P1 || listed.format != c.P2&^next {
		return nil, iso7816.StatusConditionsNotSatisfied
	}
	var answer []byte
	for len(listed.entries) > 0 && (len(answer) == 0 || len(answer)+len(listed.entries[0]) <= statusRoom) {
		answer = append(answer, listed.entries[0]...)
		listed.entries = listed.entries[1:]
	}
	if len(listed.entries) > 0 {
		a.listing = listed
		return answer, statusMoreData
	}
	return answer, iso7816.StatusOK
}

// find makes the entries of a subset that the search criteria ask for.
func (a *gp) find(subset byte, tlv bool, data []byte) ([][]byte, iso7816.Status) {
	prefix, ok := iso7816.FindTLV(data, tagRegistryAID)
	if !ok || len(prefix) > 16 {
		return nil, iso7816.StatusWrongData
	}
	wanted, filtered := iso7816.FindTLV(data, tagTagList)
	entries, ok := a.state.entries(subset)
	if !ok {
		return nil, iso7816.StatusWrongP1P2
	}
	if a.domain != nil { // it sees what belongs to it
		own := a.state.belongings(a.domain.AID)
		entries = slices.DeleteFunc(entries, func(e entry) bool {
			return !slices.ContainsFunc(own, func(aid []byte) bool { return bytes.Equal(aid, e.aid) })
		})
	}
	var list [][]byte
	for _, e := range entries {
		if !bytes.HasPrefix(e.aid, prefix) {
			continue
		}
		if !tlv {
			list = append(list, e.plain())
			continue
		}
		objects := e.objects
		if filtered {
			objects = slices.DeleteFunc(slices.Clone(objects), func(o iso7816.TLV) bool { return !inTagList(wanted, o.Tag) })
		}
		list = append(list, iso7816.AppendTLV(nil, tagEntry, encodeTLVs(objects)))
	}
	if len(list) == 0 {
		return nil, iso7816.StatusReferenceNotFound
	}
	return list, iso7816.StatusOK
}

func inTagList(list []byte, tag iso7816.Tag) bool {
	for len(list) > 0 {
		listed, rest, err := iso7816.ParseTag(list)
		if err != nil {
			return false
		}
		if listed == tag {
			return true
		}
		list = rest
	}
	return false
}

func encodeTLVs(objects []iso7816.TLV) []byte {
	var b []byte
	for _, o := range objects {
		b = iso7816.AppendTLV(b, o.Tag, o.Value)
	}
	return b
}

// entry is one of the registry, as GET STATUS tells it.
type entry struct {
	aid       []byte
	lifeCycle byte
	privilege byte          // first byte; 00 for a package
	modules   [][]byte      // with subsetModules alone
	counted   bool          // the plain format counts the modules
	objects   []iso7816.TLV // of the format with tags
}

// plain is the format of table 11-35, which is deprecated and still in use.
func (e entry) plain() []byte {
	b := append([]byte{byte(len(e.aid))}, e.aid...)
	b = append(b, e.lifeCycle, e.privilege)
	if e.counted {
		b = append(b, byte(len(e.modules)))
		for _, module := range e.modules {
			b = append(append(b, byte(len(module))), module...)
		}
	}
	return b
}

// ownedBy is the owner that is written down, or else the issuer's security domain.
func ownedBy(owner, issuer []byte) []byte {
	if owner == nil {
		return issuer
	}
	return owner
}

// loadedLifeCycle is the only state of a package: LOADED (5.2).
const loadedLifeCycle = 0x01

// entries are those of one subset, or of several together, which cards before
// 2.2 know and administrators' scripts ask for: E0 is all.
func (s *gpState) entries(subset byte) (list []entry, ok bool) {
	const all = subsetIssuer | subsetApplications | subsetPackages | subsetModules
	if subset&^all != 0 || subset == 0 {
		return nil, false
	}
	if subset&subsetIssuer != 0 {
		list = append(list, s.issuerEntry())
	}
	if subset&subsetApplications != 0 {
		for _, instance := range s.Instances {
			list = append(list, s.instanceEntry(instance))
		}
	}
	if subset&(subsetPackages|subsetModules) != 0 {
		for _, p := range s.Packages {
			list = append(list, s.packageEntry(p, subset == subsetModules))
		}
	}
	return list, true
}

func (s *gpState) issuerEntry() entry {
	return entry{
		aid: s.AID, lifeCycle: s.LifeCycle, privilege: s.Privileges[0],
		objects: []iso7816.TLV{
			{Tag: tagRegistryAID, Value: s.AID},
			{Tag: tagLifeCycle, Value: []byte{s.LifeCycle}},
			{Tag: tagPrivileges, Value: s.Privileges},
			{Tag: tagDomain, Value: s.AID},
		},
	}
}

func (s *gpState) instanceEntry(i *javaInstance) entry {
	return entry{
		aid: i.AID, lifeCycle: i.LifeCycle, privilege: i.Privileges[0],
		objects: []iso7816.TLV{
			{Tag: tagRegistryAID, Value: i.AID},
			{Tag: tagLifeCycle, Value: []byte{i.LifeCycle}},
			{Tag: tagPrivileges, Value: i.Privileges},
			{Tag: tagPackage, Value: i.Package},
			{Tag: tagDomain, Value: ownedBy(i.Domain, s.AID)},
		},
	}
}

func (s *gpState) packageEntry(p *javaPackage, modules bool) entry {
	e := entry{
		aid: p.AID, lifeCycle: loadedLifeCycle, counted: modules,
		objects: []iso7816.TLV{
			{Tag: tagRegistryAID, Value: p.AID},
			{Tag: tagLifeCycle, Value: []byte{loadedLifeCycle}},
			{Tag: tagVersion, Value: p.Version},
		},
	}
	if modules {
		e.modules = p.Modules
		for _, module := range p.Modules {
			e.objects = append(e.objects, iso7816.TLV{Tag: tagModule, Value: module})
		}
	}
	e.objects = append(e.objects, iso7816.TLV{Tag: tagDomain, Value: ownedBy(p.Domain, s.AID)})
	return e
}
