package gp

import (
	"fmt"
	"strings"
)

// Privileges is the privileges of an application (11.1.2): the first byte
// highest, 24 bits.
type Privileges uint32

// Privileges that say what a card lets others do.
const (
	// SecurityDomainPrivilege is that of a security domain.
	SecurityDomainPrivilege Privileges = 0x800000
	// MandatedDAPVerification is that of a security domain that verifies a
	// signature of every load file, whoever loads it.
	MandatedDAPVerification Privileges = 0x010000
)

// privilegeNames are the privileges as a person writes them, each with its bit
// and with those that it cannot be without.
var privilegeNames = [...]struct {
	name       string
	bit, needs Privileges
}{
	{name: "security-domain", bit: SecurityDomainPrivilege},
	{name: "dap-verification", bit: 0x400000, needs: SecurityDomainPrivilege},
	{name: "delegated-management", bit: 0x200000, needs: SecurityDomainPrivilege},
	{name: "card-lock", bit: 0x100000},
	{name: "card-terminate", bit: 0x080000},
	{name: "default-selected", bit: 0x040000},
	{name: "cvm-management", bit: 0x020000},
	{name: "mandated-dap-verification", bit: MandatedDAPVerification, needs: 0xC00000},
	{name: "trusted-path", bit: 0x008000},
	{name: "authorized-management", bit: 0x004000, needs: SecurityDomainPrivilege},
	{name: "token-management", bit: 0x002000, needs: SecurityDomainPrivilege},
	{name: "global-delete", bit: 0x001000},
	{name: "global-lock", bit: 0x000800},
	{name: "global-registry", bit: 0x000400},
	{name: "final-application", bit: 0x000200},
	{name: "global-service", bit: 0x000100},
	{name: "receipt-generation", bit: 0x000080, needs: SecurityDomainPrivilege},
	{name: "ciphered-load-file-data-block", bit: 0x000040, needs: SecurityDomainPrivilege},
	{name: "contactless-activation", bit: 0x000020},
	{name: "contactless-self-activation", bit: 0x000010},
}

// ParsePrivileges reads names separated by commas; "" is none.
func ParsePrivileges(names string) (Privileges, error) {
	var p Privileges
	if strings.TrimSpace(names) == "" {
		return 0, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		bits, ok := privilege(strings.ToLower(strings.TrimSpace(name)))
		if !ok {
			return 0, fmt.Errorf("unknown privilege %q; valid privileges: %s", strings.TrimSpace(name), strings.Join(PrivilegeNames(), ", "))
		}
		p |= bits
	}
	return p, nil
}

func privilege(name string) (Privileges, bool) {
	for _, known := range privilegeNames {
		if known.name == name {
			return known.bit | known.needs, true
		}
	}
	return 0, false
}

// PrivilegeNames are all names that ParsePrivileges knows.
func PrivilegeNames() []string {
	names := make([]string, len(privilegeNames))
	for i, known := range privilegeNames {
		names[i] = known.name
	}
	return names
}

// Has reports whether all of q are in p.
func (p Privileges) Has(q Privileges) bool { return p&q == q }

// Names are the names of the privileges; bits without a name are shown in
// hexadecimal.
func (p Privileges) Names() []string {
	names := []string{}
	rest := p
	for _, known := range privilegeNames {
		if p.Has(known.bit) {
			names = append(names, known.name)
			rest &^= known.bit
		}
	}
	if rest != 0 {
		names = append(names, fmt.Sprintf("%06X", uint32(rest)))
	}
	return names
}

func (p Privileges) String() string { return strings.Join(p.Names(), ", ") }

// parsePrivileges reads one byte or three.
func parsePrivileges(b []byte) (Privileges, error) {
	switch len(b) {
	case 0:
		return 0, nil
	case 1:
		return Privileges(b[0]) << 16, nil
	case 3:
		return Privileges(b[0])<<16 | Privileges(b[1])<<8 | Privileges(b[2]), nil
	}
	return 0, malformed("privileges of %d bytes", len(b))
}

// bytes is the coding in INSTALL: one byte where that is enough, which is what
// cards before 2.2 know.
func (p Privileges) bytes() []byte {
	if p&0xFFFF == 0 {
		return []byte{byte(p >> 16)}
	}
	return []byte{byte(p >> 16), byte(p >> 8), byte(p)}
}
