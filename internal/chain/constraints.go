package chain

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
)

// constraint is the extension nameConstraints, RFC 5280, 4.2.1.10.
type constraint struct {
	permitted, excluded []cert.GeneralName
}

const maxSubtrees = 1024

// constraints checks the names of a path against its last certificate. Those of a CA
// that were issued by itself do not count, unless they are the leaf's.
func constraints(path []*cert.Certificate) *Failure {
	last := path[len(path)-1]
	x, there := last.Extension(cert.OIDNameConstraints)
	if !there {
		return nil
	}
	allowed, err := parseConstraint(x.Value)
	if err != nil {
		return &Failure{Of: last, Why: fmt.Sprintf("the name constraints of %s cannot be checked here", last.Subject)}
	}
	for i, c := range path[:len(path)-1] {
		if i > 0 && c.Subject.Matches(c.Issuer) {
			continue
		}
		for _, name := range namesOf(c) {
			if why := allowed.allows(name); why != "" {
				return &Failure{Of: c, Why: fmt.Sprintf("the name constraints of %s %s %s", last.Subject, why, name)}
			}
		}
	}
	return nil
}

// namesOf are all names of a certificate: its subject, alternative names, and the mail
// addresses in the subject where there is no other (RFC 5280, 4.2.1.10).
func namesOf(c *cert.Certificate) []cert.GeneralName {
	names := c.AltNames
	mail := false
	for _, name := range names {
		mail = mail || name.Kind == cert.EmailName
	}
	if len(c.Subject) > 0 {
		names = append(names[:len(names):len(names)], cert.GeneralName{Kind: cert.DirectoryName, Value: c.RawSubject})
	}
	for _, rdn := range c.Subject {
		for _, a := range rdn {
			if !mail && a.Type.String() == "1.2.840.113549.1.9.1" {
				names = append(names, cert.GeneralName{Kind: cert.EmailName, Value: []byte(a.Value)})
			}
		}
	}
	return names
}

func parseConstraint(der []byte) (c constraint, err error) {
	e, _, err := ber.Read(der)
	if err != nil {
		return c, err
	}
	lists, err := e.Elements(2)
	if err != nil {
		return c, err
	}
	for _, list := range lists {
		subtrees, err := list.Elements(maxSubtrees)
		if err != nil {
			return c, err
		}
		for _, subtree := range subtrees {
			base, err := subtree.Elements(1) // no minimum, no maximum
			if err != nil || len(base) != 1 || base[0].Class != ber.Context {
				return c, ber.ErrMalformed
			}
			name := cert.GeneralName{Kind: cert.Kind(base[0].Tag), Value: base[0].Content}
			switch {
			case list.IsContext(0):
				c.permitted = append(c.permitted, name)
			case list.IsContext(1):
				c.excluded = append(c.excluded, name)
			default:
				return c, ber.ErrMalformed
			}
		}
	}
	return c, nil
}

// allows is empty, or says what the constraints do to a name.
func (c constraint) allows(name cert.GeneralName) string {
	for _, subtree := range c.excluded {
		if subtree.Kind != name.Kind {
			continue
		}
		in, known := within(name, subtree)
		if !known {
			return "cannot be checked here against"
		}
		if in {
			return "exclude"
		}
	}
	limited := false
	for _, subtree := range c.permitted {
		if subtree.Kind != name.Kind {
			continue
		}
		limited = true
		in, known := within(name, subtree)
		if !known {
			return "cannot be checked here against"
		}
		if in {
			return ""
		}
	}
	if limited {
		return "do not permit"
	}
	return ""
}

// within reports whether a name is in a subtree; known is false for kinds of names for
// which nothing says what that means.
func within(name, subtree cert.GeneralName) (in, known bool) {
	value, base := string(name.Value), string(subtree.Value)
	switch name.Kind {
	case cert.DNSName:
		return withinDomain(value, base), true
	case cert.EmailName:
		return withinMail(value, base), true
	case cert.URIName:
		u, err := url.Parse(value)
		if err != nil || u.Hostname() == "" || net.ParseIP(u.Hostname()) != nil {
			return false, false
		}
		return withinHost(u.Hostname(), base), true
	case cert.IPName:
		return withinNetwork(name.Value, subtree.Value), true
	case cert.DirectoryName:
		dn, _, err := cert.ParseName(name.Value)
		tree, _, treeErr := cert.ParseName(directory(subtree.Value))
		if err != nil || treeErr != nil {
			return false, false
		}
		return dn.Within(tree), true
	}
	return false, false
}

// directory is the Name of an alternative name: a Name is a choice, and so its tag is
// explicit.
func directory(value []byte) []byte {
	if e, rest, err := ber.Read(value); err == nil && len(rest) == 0 && e.Is(ber.Sequence) {
		return value
	}
	return nil
}

// withinDomain has the domain itself and all below it. A wildcard is in what all its
// names are in.
func withinDomain(name, base string) bool {
	name, base = strings.ToLower(strings.TrimSuffix(name, ".")), strings.ToLower(base)
	if base == "" {
		return true
	}
	if strings.HasPrefix(base, ".") {
		return strings.HasSuffix(name, base)
	}
	return name == base || strings.HasSuffix(name, "."+base)
}

// withinHost has one host, or all below a domain that begins with a dot.
func withinHost(host, base string) bool {
	host, base = strings.ToLower(host), strings.ToLower(base)
	if strings.HasPrefix(base, ".") {
		return strings.HasSuffix(host, base)
	}
	return base == "" || host == base
}

func withinMail(address, base string) bool {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return false
	}
	if i := strings.LastIndexByte(base, '@'); i >= 0 {
		return address[:at] == base[:i] && strings.EqualFold(address[at+1:], base[i+1:])
	}
	return withinHost(address[at+1:], base)
}

// withinNetwork compares an address of 4 or 16 bytes with an address and a mask.
func withinNetwork(address, base []byte) bool {
	if len(base) != 2*len(address) {
		return false
	}
	masked := make([]byte, len(address))
	network := make([]byte, len(address))
	for i := range address {
		mask := base[len(address)+i]
		masked[i], network[i] = address[i]&mask, base[i]&mask
	}
	return bytes.Equal(masked, network)
}
