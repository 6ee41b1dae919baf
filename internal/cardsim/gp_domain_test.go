package cardsim

import (
	"encoding/binary"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// createDomain makes a security domain with Authorized Management.
func (m *manager) createDomain(aid []byte) {
	m.t.Helper()
	parameters := []byte{tagParameters, 4, 0x81, 2, m.channel.protocol, m.channel.i}
	m.must(insInstall, installForInstall|installForSelectable, 0, lv(domainPackageAID(), domainModuleAID(), aid, []byte{0x80, 0x40, 0}, parameters, nil), iso7816.StatusOK)
}

// A security domain has the issuer's keys until it has its own, and manages what
// belongs to it.
func TestGPSecurityDomain(t *testing.T) {
	for _, channel := range []string{"scp02-55", "scp03-70"} {
		m := authenticated(t, Options{SecureChannel: channel})
		file, domain := unknownCAP(), []byte{0xF0, 0xDD, 0xDD, 0xDD, 0xDD}
		m.put(file)
		m.createDomain(domain)
		m.must(insInstall, installForExtradition, 0, lv(domain, nil, file.applets[0], nil, nil, nil), iso7816.StatusOK)
		m.delete(file.applets[0], 0, iso7816.StatusConditionsNotSatisfied)
		m.delete(domain, 0, iso7816.StatusConditionsNotSatisfied) // something belongs to it

		m.chooses(domain, iso7816.StatusOK)
		m.open(levelMAC)
		m.must(insGetStatus, 0x40, 0x02, []byte{0x4F, 0x00}, iso7816.StatusOK)
		m.must(insGetStatus, 0x20, 0x02, []byte{0x4F, 0x00}, iso7816.StatusReferenceNotFound) // the package is the issuer's
		m.must(insSetStatus, 0x80, cardInitialized, nil, iso7816.StatusConditionsNotSatisfied)
		m.delete(file.pkg, 0, iso7816.StatusConditionsNotSatisfied)
		m.delete(file.applets[0], 0, iso7816.StatusOK)
		if len(m.issuerState().Keys) != 1 || m.issuerState().findInstance(domain).Keys != nil {
			t.Error("the domain has keys")
		}
	}
}

// Without Authorized Management a security domain loads and deletes nothing.
func TestGPSecurityDomainWithoutPrivilege(t *testing.T) {
	m := authenticated(t, Options{})
	file, domain := unknownCAP(), []byte{0xF0, 0xDD, 0xDD, 0xDD, 0xDD}
	m.must(insInstall, installForInstall|installForSelectable, 0, lv(domainPackageAID(), domainModuleAID(), domain, []byte{0x80}, []byte{tagParameters, 0}, nil), iso7816.StatusOK)
	m.must(insInstall, installForInstall, 0, lv(domainPackageAID(), domainModuleAID(), append(domain, 1), []byte{0x00}, []byte{tagParameters, 0}, nil), iso7816.StatusWrongData)
	m.chooses(domain, iso7816.StatusOK)
	m.open(levelMAC)
	m.must(insInstall, installForLoad, 0, lv(file.pkg, nil, nil, nil, nil), iso7816.StatusConditionsNotSatisfied)
}

// A single key replaces one of a set.
func TestGPSingleKey(t *testing.T) {
	m := authenticated(t, Options{SecureChannel: "scp02-15"})
	m.putKeys(0x00, 0x30)
	m.open(levelMAC)
	fresh := unhex(t, "000102030405060708090A0B0C0D0E0F")
	sealed := make([]byte, len(fresh))
	for i := 0; i < len(fresh); i += desBlock {
		tripleDES(m.m.(*desMessaging).dek).Encrypt(sealed[i:], fresh[i:])
	}
	single := func(version byte) []byte {
		data := append([]byte{version, keyTypeDES}, lv(sealed)...)
		return append(data, lv(desCheckValue(fresh))...)
	}
	m.must(insPutKey, 0x31, 0x02, single(0x31), iso7816.StatusReferenceNotFound)
	m.must(insPutKey, 0x30, 0x02, single(0x31), iso7816.StatusConditionsNotSatisfied)
	m.must(insPutKey, 0x30, 0x04, single(0x30), iso7816.StatusWrongP1P2)
	m.must(insPutKey, 0x30, 0x02, single(0x30), iso7816.StatusOK)
	set := m.issuerState().keySet(0x30)
	equal(t, "the MAC key", set.Keys[1], fresh)
	equal(t, "the other keys", set.Keys[0], wellKnownKey(16))
}

// A CAP file of version 2.3 has the length of its static resources in the directory,
// in four bytes.
func TestGPLoadStaticResources(t *testing.T) {
	for name, test := range map[string]struct {
		resources, said int
		want            iso7816.Status
	}{
		"none":                {0, 0, iso7816.StatusOK},
		"a few":               {300, 300, iso7816.StatusOK},
		"another length":      {300, 299, iso7816.StatusWrongData},
		"said and left out":   {0, 20, iso7816.StatusWrongData},
		"there and unsaid":    {20, 0, iso7816.StatusWrongData},
		"more than two bytes": {70000, 70000, iso7816.StatusOK},
	} {
		m := authenticated(t, Options{})
		file := unknownCAP()
		var load []byte
		for _, c := range file.components() {
			switch c.tag {
			case componentHeader:
				c.info[4] = 3
			case componentDirectory:
				static := binary.BigEndian.AppendUint32(nil, uint32(test.said))
				c.info = append(append(append([]byte{}, c.info[:2*componentDebug]...), static...), c.info[2*componentDebug:]...)
				c.info[3] = byte(len(c.info))
			case componentDescriptor:
				if test.resources > 0 {
					load = append(binary.BigEndian.AppendUint32(append(load, componentStatic), uint32(test.resources)), make([]byte, test.resources)...)
				}
				continue
			}
			load = append(load, c.encode()...)
		}
		m.must(insInstall, installForLoad, 0, lv(file.pkg, nil, nil, nil, nil), iso7816.StatusOK)
		data := loadData(load)
		for n := 0; ; n++ {
			part := data[:min(4000, len(data))]
			if data = data[len(part):]; len(data) == 0 {
				if _, status := m.manage(insLoad, 0x80, byte(n), part); status != test.want {
					t.Errorf("%s: answered %v, want %v", name, status, test.want)
				}
				break
			}
			m.must(insLoad, 0, byte(n), part, iso7816.StatusOK)
		}
	}
}
