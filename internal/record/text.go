package record

import (
	"github.com/cardctl/cardctl/internal/output"
)

// Text shows what was done, and what is to be done.
func (m *Marked) Text(s *output.Sheet) {
	s.Heading("Card " + m.Serial + " is " + string(m.State) + " now")
	s.Field("before", string(m.Was))
	s.Field("person", m.Person)
	for _, k := range m.Certificates {
		done := "to revoke"
		switch {
		case k.Done && k.Reason == EndOfHold:
			done = "valid again"
		case k.Done:
			done = "revoked"
		case k.Reason == EndOfHold:
			done = "to release"
		}
		s.Field(done, k.Ref+", number "+k.SerialNumber+", "+k.Reason+", issued by "+k.Issuer)
	}
}
