package certstore

import (
	"fmt"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/output"
)

// Text shows a certificate, and whether it is valid now.
func (c *Certificate) Text(s *output.Sheet, now time.Time) {
	if c.Unreadable != "" {
		s.Field("unreadable", c.Unreadable)
		return
	}
	s.Field("subject", c.Subject)
	s.Field("issuer", c.Issuer)
	s.Field("serial", c.SerialNumber)
	s.Field("valid", fmt.Sprintf("%s to %s%s", output.Time(c.NotBefore), output.Time(c.NotAfter), validity(c, now)))
	s.Field("SHA-256", c.SHA256)
	s.Field("unusual", strings.Join(c.Remarks, ", "))
	switch {
	case c.KeyUnknown:
		s.Field("for key", "not checked, because only this certificate shows which key it is")
	case c.MatchesKey:
		s.Field("for key", "yes")
	default:
		s.Field("for key", "NO, it belongs to another key")
	}
}

func validity(c *Certificate, now time.Time) string {
	switch {
	case now.After(c.NotAfter):
		return ", EXPIRED"
	case now.Before(c.NotBefore):
		return ", NOT YET VALID"
	}
	return ""
}
