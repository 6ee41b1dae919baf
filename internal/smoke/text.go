package smoke

import "github.com/cardctl/cardctl/internal/output"

// Text shows the checks, and what they come to.
func (r *Report) Text(s *output.Sheet) {
	s.Heading(r.Key + " in " + r.Module)
	for _, c := range r.Checks {
		s.Field(string(c.Result)+"  "+c.Name, c.Detail)
	}
	switch {
	case r.Passed:
		s.Heading("Passed: the key works")
	case len(r.Checks) == 0:
		s.Heading("Not tested, because the test of another key failed")
	default:
		s.Heading("FAILED")
	}
}
