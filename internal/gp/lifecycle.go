package gp

import "fmt"

// LifeCycle is a life cycle state (11.1.1).
type LifeCycle byte

// Life cycle states of a card, an application and an executable load file.
const (
	CardReady       LifeCycle = 0x01
	CardInitialized LifeCycle = 0x07
	CardSecured     LifeCycle = 0x0F
	CardLocked      LifeCycle = 0x7F
	CardTerminated  LifeCycle = 0xFF

	ApplicationInstalled  LifeCycle = 0x03
	ApplicationSelectable LifeCycle = 0x07
	DomainPersonalized    LifeCycle = 0x0F
	applicationLocked     LifeCycle = 0x80

	FileLoaded LifeCycle = 0x01
)

// words is the state in words, of an entry of this kind.
func (l LifeCycle) words(kind Kind, privileges Privileges) string {
	switch {
	case kind == IssuerDomain:
		return l.card()
	case kind == LoadFile:
		if l == FileLoaded {
			return "loaded"
		}
	case l&applicationLocked != 0:
		return "locked"
	case l == ApplicationInstalled:
		return "installed"
	case l == ApplicationSelectable:
		return "selectable"
	case l == DomainPersonalized && privileges.Has(SecurityDomainPrivilege):
		return "personalized"
	case l&0x07 == 0x07 && !privileges.Has(SecurityDomainPrivilege):
		return fmt.Sprintf("selectable (application's own state %02X)", byte(l))
	}
	return fmt.Sprintf("state %02X", byte(l))
}

func (l LifeCycle) card() string {
	switch l {
	case CardReady:
		return "OP_READY"
	case CardInitialized:
		return "INITIALIZED"
	case CardSecured:
		return "SECURED"
	case CardLocked:
		return "CARD_LOCKED"
	case CardTerminated:
		return "TERMINATED"
	}
	return fmt.Sprintf("state %02X", byte(l))
}
