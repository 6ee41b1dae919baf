package inventory

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/output"
)

// Text shows the token.
func (t *ListedToken) Text(s *output.Sheet) {
	s.Heading(cmp.Or(t.Label, "(no label)"))
	s.Field("in", t.SlotDescription)
	s.Field("model", strings.TrimSpace(t.Manufacturer+" "+t.Model))
	s.Field("serial", t.Serial)
	if t.Initialized {
		s.Field("user PIN", fmt.Sprintf("%s, %d to %d bytes", t.UserPIN, t.MinPINLength, t.MaxPINLength))
		s.Field("SO PIN", t.SOPIN.String())
	} else {
		s.Field("state", "not initialised, no PINs")
	}
	names := make([]string, len(t.Mechanisms))
	for i, m := range t.Mechanisms {
		names[i] = m.Name
	}
	s.Field("mechanisms", strings.Join(names, ", "))
	s.Field("URI", t.URI)
}

// Text shows a key.
func (k *Key) Text(s *output.Sheet) {
	s.Heading("Key " + k.Ref)
	s.Field("algorithm", k.Algorithm)
	s.Field("fingerprint", k.Fingerprint)
	s.Field("keygrip", k.Keygrip)
	s.Field("label", k.Label)
	s.Field("usage", strings.Join(k.Usage, ", "))
	s.Field("origin", k.Origin)
	s.Field("PIN", k.PINPolicy)
	if k.Created != nil {
		s.Field("created", output.Time(*k.Created))
	}
	if k.Touch {
		s.Field("touch", strings.TrimSpace("each use must be confirmed by touching the card "+inBrackets(k.TouchPolicy)))
	}
	s.Whole("URI", k.URI)
	s.Field("no URI", k.Unnamed)
	s.Field("objects", k.labels())
	s.Field("strongSwan", k.Handle)
}

// labels are those of the objects of the key, where they are not all its label.
func (k *Key) labels() string {
	var labels []string
	differ := false
	for _, object := range []struct {
		kind  string
		label *string
	}{{"key", k.KeyLabel}, {"certificate", k.CertificateLabel}} {
		if object.label != nil {
			labels, differ = append(labels, fmt.Sprintf("%s %q", object.kind, *object.label)), differ || *object.label != k.Label
		}
	}
	if !differ {
		return ""
	}
	return strings.Join(labels, ", ")
}

// inBrackets is nothing for nothing.
func inBrackets(word string) string {
	if word == "" {
		return ""
	}
	return "(" + word + ")"
}

// PINTable has a row for each PIN, after that of the headings.
func PINTable(pins []PIN) [][]string {
	rows := [][]string{{"NAME", "TRIES LEFT", "LENGTH", "STATE"}}
	for _, p := range pins {
		state := "ready"
		switch {
		case p.Blocked:
			state = "BLOCKED"
		case !p.Set:
			state = "not set"
		}
		tries := strconv.Itoa(p.TriesLeft)
		if p.TriesLeft < 0 {
			tries = "unknown"
		}
		rows = append(rows, []string{p.Name, tries, lengths(p.MinLength, p.MaxLength), state})
	}
	return rows
}

// lengths are those of a PIN.
func lengths(least, most int) string {
	if least == most {
		return strconv.Itoa(least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}
