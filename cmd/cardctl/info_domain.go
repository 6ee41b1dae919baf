package main

import (
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/output"
)

// domainText shows what a Java card tells of its security domain.
func domainText(s *output.Sheet, d *applet.DomainInfo) {
	s.Gap()
	s.Heading("Security domain")
	s.Field("GlobalPlatform", d.GlobalPlatform)
	s.Field("secure channel", strings.Join(d.Protocols, ", "))
	for _, k := range d.Keys {
		s.Field(fmt.Sprintf("key %d", k.ID), fmt.Sprintf("%s, version %d", k.Kind, k.Version))
	}
	if d.Memory != nil {
		s.Field("free", fmt.Sprintf("%d bytes, and %d of RAM", d.Memory.NonVolatile, d.Memory.Volatile))
	}
	if len(d.Production) == 0 {
		return
	}
	s.Gap()
	s.Heading("Production")
	for _, field := range d.Production {
		if strings.Trim(field.Value, "0") == "" {
			continue // nobody filled it in
		}
		value := field.Value
		if field.Meaning != "" {
			value += ": " + field.Meaning
		}
		s.Field(field.Name, value)
	}
}
