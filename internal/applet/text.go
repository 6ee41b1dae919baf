package applet

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/output"
)

// Text shows everything on the card.
func (l *Listing) Text(s *output.Sheet) {
	s.Heading("Java card in " + l.Reader)
	s.Field("state", l.State)
	s.Field("secure channel", l.Protocol)
	s.Field("key version", KeyVersionText(l.KeyVersion))
	for _, part := range []struct {
		name  string
		items []Item
	}{
		{"Security domain", l.Domains},
		{"Application", l.Applications},
		{"Package", l.Packages},
	} {
		for _, i := range part.items {
			s.Gap()
			s.Heading(strings.TrimSpace(part.name + " " + i.AID.String() + " " + i.Version))
			s.Field("name", i.Name)
			s.Field("state", i.State)
			s.Field("privileges", strings.Join(i.Privileges, ", "))
			s.Field("package", i.Package.String())
			s.Field("applets", Join(i.Modules))
			s.Field("belongs to", i.Domain.String())
		}
	}
	if l.cutOff(s) {
		return
	}
	if len(l.Applications)+len(l.Packages) == 0 {
		s.Gap()
		s.Heading("No applications, no packages")
	}
}

// cutOff says that the card does not list everything.
func (l *Listing) cutOff(s *output.Sheet) bool {
	if l.Incomplete {
		s.Gap()
		s.Heading("The card's list is cut off: more may be on the card")
	}
	return l.Incomplete
}

// DomainsText shows the security domains on the card, and what belongs to each.
func (l *Listing) DomainsText(s *output.Sheet) {
	s.Heading("Java card in " + l.Reader)
	s.Field("state", l.State)
	for _, d := range l.Domains {
		s.Gap()
		s.Heading("Security domain " + d.AID.String())
		s.Field("state", d.State)
		s.Field("privileges", strings.Join(d.Privileges, ", "))
		s.Field("belongs to", d.Domain.String())
		s.Field("has", Join(l.Belonging(d.AID)))
	}
	l.cutOff(s)
}

// Text shows what is in the file.
func (r *Report) Text(s *output.Sheet) {
	s.Heading("Package " + output.Line(r.Package.String()))
	s.Field("format", fmt.Sprintf("%s %s", r.Format, r.CAPVersion))
	s.Field("applets", Join(r.Applets))
	if len(r.Applets) == 0 {
		s.Field("applets", "none, it is a library")
	}
	s.Field("Java Card", r.JavaCard)
	s.Field("GlobalPlatform", r.GlobalPlatform)
	if r.Integers {
		s.Field("integers", "uses the type int, which not every card supports")
	}
	for _, p := range r.Imports {
		s.Field("imports", output.Line(p.String()))
	}
	s.Field("load size", fmt.Sprintf("%d bytes, %d with Descriptor and Debug", r.LoadSize, r.LoadSizeFull))
	s.Field("SHA-1", r.SHA1)
	s.Field("SHA-256", r.SHA256)
	s.Gap()
	s.Heading("Components")
	rows := [][]string{{"NAME", "BYTES", "LOADED"}}
	for _, c := range r.Components {
		loaded := "yes"
		if !c.Loaded {
			loaded = "no"
		}
		rows = append(rows, []string{c.Name, strconv.Itoa(c.Size), loaded})
	}
	s.Table(rows...)
}

// Text shows what was installed, or would be.
func (p *Plan) Text(s *output.Sheet) {
	done := "Installed the package "
	switch {
	case p.DryRun:
		done = "Ready to install the package "
	case p.LoadOnly:
		done = "Loaded the package "
	case p.LoadSize == 0:
		done = "Installed from the package "
	}
	s.Heading(done + output.Line(p.Package.String()) + " in " + p.Reader)
	for _, i := range p.Instances {
		s.Field("application", i.String())
		if !i.AID.Equal(i.Applet) {
			s.Field("of the applet", i.Applet.String())
		}
	}
	replaced := "deleted first"
	if p.DryRun {
		replaced = "to be deleted"
	}
	s.Field(replaced, Join(p.Deletes))
	s.Field("belongs to", p.Domain.String())
	if p.LoadSize > 0 {
		s.Field("size", fmt.Sprintf("%d bytes in %d blocks", p.LoadSize, p.Blocks))
	}
	if p.Memory != nil {
		s.Field("free", p.Memory.String())
	}
}
