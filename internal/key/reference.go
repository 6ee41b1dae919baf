package key

import (
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// Application is the first part of a key reference: what holds the key.
type Application string

// The applications of the command line's contract.
const (
	OpenPGP Application = "OPENPGP"
	PIV     Application = "PIV"
	PKCS15  Application = "PKCS15"
	PKCS11  Application = "pkcs11"
)

// Reference names one key: OPENPGP.3, PIV.9A, PKCS15.45 or an RFC 7512 URI.
type Reference struct {
	Application Application
	// ID is "1" to "3" for OpenPGP, two hex digits for PIV, hex digits for
	// PKCS#15, and the whole URI for PKCS#11.
	ID string
}

func (r Reference) String() string {
	if r.Application == PKCS11 {
		return r.ID
	}
	return string(r.Application) + "." + r.ID
}

// ParseReference reads what a user types after --key. Case does not matter but
// in a URI.
func ParseReference(s string) (Reference, error) {
	if strings.HasPrefix(s, "pkcs11:") {
		// Read here, where its errors do not repeat what was typed: a PIN may be in it.
		if _, err := p11.ParseURI(s); err != nil {
			return Reference{}, err
		}
		return Reference{PKCS11, s}, nil
	}
	name, id, found := strings.Cut(strings.ToUpper(s), ".")
	ref := Reference{Application(name), id}
	valid := false
	switch ref.Application {
	case OpenPGP:
		valid = id == "1" || id == "2" || id == "3"
	case PIV:
		valid = len(id) == 2 && isHex(id)
	case PKCS15:
		valid = len(id) >= 2 && len(id)%2 == 0 && isHex(id)
	}
	if !found || !valid {
		return Reference{}, problem.New(problem.Usage, "%q is not a key reference", s).
			Because("A key is named OPENPGP.1 (signature), OPENPGP.2 (decryption), OPENPGP.3 (authentication), PIV.9A, PKCS15.45 or pkcs11:token=…;id=%%45.").
			Hint("cardctl info")
	}
	return ref, nil
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789ABCDEF") == ""
}

// GoString keeps references short in test output.
func (r Reference) GoString() string { return fmt.Sprintf("key.Reference(%s)", r) }
