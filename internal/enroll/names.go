package enroll

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
)

// compareNames says how the names of a certificate differ from those that were asked for.
// One that was not asked for, of whatever kind, is an error: it lets the holder pass for
// somebody else.
func (r *run) compareNames(leaf *cert.Certificate) (differences []string, err error) {
	subject, err := r.order.subject()
	if err != nil {
		return nil, err
	}
	asked, err := r.order.altNames()
	if err != nil {
		return nil, err
	}
	wanted := r.wantedNames(subject, asked)
	sid, err := r.wantedSID()
	if err != nil {
		return nil, err
	}
	var got [][]byte
	for _, x := range leaf.Extensions {
		switch {
		case x.ID.Equal(cert.OIDSubjectAltName):
			names, err := cert.GeneralNames(x.Value)
			if err != nil {
				return nil, unfit("Its alternative names cannot be read.")
			}
			for _, name := range names {
				if got = append(got, name.DER()); !sameBytes(wanted, name.DER()) {
					return nil, unfit("It has the alternative name %s, which was not asked for.", told(name))
				}
			}
		case x.ID.Equal(cert.OIDSecurityID) && !bytes.Equal(x.Value, sid):
			return nil, unfit("It has the security identifier of a Windows account, which was not asked for.")
		case x.ID.Equal(cert.OIDSecurityID):
			sid = nil
		}
	}
	if !leaf.Subject.Matches(subject) {
		differences = compareSubjects(subject, leaf.Subject)
	}
	if sid != nil {
		differences = append(differences, "It lacks the security identifier of the Windows account.")
	}
	for _, name := range asked {
		if !sameBytes(got, name.DER()) {
			differences = append(differences, "It lacks the alternative name "+told(name)+".")
		}
	}
	return differences, nil
}

// wantedNames are the alternative names that were asked for: those of the request, what
// the way of asking implies, and mail addresses of the subject (RFC 5280, 4.1.2.6).
func (r *run) wantedNames(subject cert.Name, asked []cert.GeneralName) [][]byte {
	wanted := slices.Clone(r.order.Implied)
	for _, name := range asked {
		wanted = append(wanted, name.DER())
	}
	for _, rdn := range subject {
		for _, a := range rdn {
			if a.IsText && a.Type.Equal(csr.OIDEmailAddress) {
				wanted = append(wanted, cert.GeneralName{Kind: cert.EmailName, Value: []byte(a.Value)}.DER())
			}
		}
	}
	return wanted
}

// wantedSID is the extension with the security identifier that was asked for, or that of the
// certificate that is renewed; nil for none.
func (r *run) wantedSID() ([]byte, error) {
	if r.order.SID != "" {
		wanted, err := ca.SecurityIdentifier(r.order.SID)
		return wanted.Value, err
	}
	if r.before == nil {
		return nil, nil
	}
	x, _ := r.before.Extension(cert.OIDSecurityID)
	return x.Value, nil
}

// compareSubjects says which attributes were dropped, and which were set.
func compareSubjects(wanted, got cert.Name) (differences []string) {
	lacks, has := minus(wanted, got), minus(got, wanted)
	for _, a := range lacks {
		differences = append(differences, fmt.Sprintf("Its subject lacks %s.", a))
	}
	for _, a := range has {
		differences = append(differences, fmt.Sprintf("Its subject has %s.", a))
	}
	if len(differences) == 0 {
		differences = append(differences, "Its subject is "+got.String()+".")
	}
	return differences
}

func sameBytes(list [][]byte, one []byte) bool {
	return slices.ContainsFunc(list, func(other []byte) bool { return bytes.Equal(one, other) })
}

// minus are the attributes of a name that another one lacks.
func minus(name, other cert.Name) (list []string) {
	var others []string
	for _, rdn := range other {
		for _, a := range rdn {
			others = append(others, a.String())
		}
	}
	for _, rdn := range name {
		for _, a := range rdn {
			if i := slices.Index(others, a.String()); i >= 0 {
				others = slices.Delete(others, i, i+1)
				continue
			}
			list = append(list, a.String())
		}
	}
	return list
}

// told names an alternative name.
func told(name cert.GeneralName) string {
	switch name.Kind {
	case cert.EmailName, cert.DNSName, cert.URIName, cert.IPName, cert.DirectoryName:
		return fmt.Sprintf("%q", name.String())
	}
	const most = 48
	return fmt.Sprintf("of type %d with the content %X", name.Kind, name.Value[:min(most, len(name.Value))])
}
