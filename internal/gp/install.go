package gp

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// P1 of INSTALL (11.5.2.1).
const (
	forLoad            = 0x02
	forInstall         = 0x04
	forMakeSelectable  = 0x08
	forExtradition     = 0x10
	forPersonalization = 0x20
)

// Memory is limits in bytes for what is loaded or installed; 0 is not sent.
type Memory struct {
	// Code and Data are of non-volatile memory, Volatile of RAM. Code only
	// matters for INSTALL [for load].
	Code, Data, Volatile int

	// VolatileFirst has INSTALL [for install] tell the limit of RAM before that of
	// non-volatile memory. Hosts differ in that.
	VolatileFirst bool
}

// Tags of the system parameters (11.5.2.3.7).
const (
	tagSystemParameters      iso7816.Tag = 0xEF
	tagApplicationParameters iso7816.Tag = 0xC9
	tagCodeLimit             iso7816.Tag = 0xC6
	tagVolatileLimit         iso7816.Tag = 0xC7
	tagDataLimit             iso7816.Tag = 0xC8
	tagToolkitParameters     iso7816.Tag = 0xCA
	tagUICCParameters        iso7816.Tag = 0xEA
)

// limit appends a memory limit of two bytes, or of four where two are not
// enough.
func limit(b []byte, tag iso7816.Tag, n int) []byte {
	switch {
	case n <= 0:
		return b
	case n <= 0xFFFF:
		return iso7816.AppendTLV(b, tag, []byte{byte(n >> 8), byte(n)})
	default:
		return iso7816.AppendTLV(b, tag, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
}

// LoadParameters is the load parameters field of INSTALL [for load].
func LoadParameters(m Memory) []byte {
	inner := limit(nil, tagCodeLimit, m.Code)
	inner = limit(inner, tagVolatileLimit, m.Volatile)
	inner = limit(inner, tagDataLimit, m.Data)
	if len(inner) == 0 {
		return nil
	}
	return iso7816.AppendTLV(nil, tagSystemParameters, inner)
}

// InstallParameters is the install parameters field of INSTALL [for install]:
// the application's own parameters, the memory limits, and the parameters of
// the toolkit of a SIM, if any.
func InstallParameters(application []byte, m Memory, toolkit []byte) []byte {
	field := iso7816.AppendTLV(nil, tagApplicationParameters, application)
	inner := limit(nil, tagDataLimit, m.Data)
	inner = limit(inner, tagVolatileLimit, m.Volatile)
	if m.VolatileFirst {
		inner = limit(limit(nil, tagVolatileLimit, m.Volatile), tagDataLimit, m.Data)
	}
	if len(toolkit) > 0 {
		inner = iso7816.AppendTLV(inner, tagToolkitParameters, toolkit)
	}
	if len(inner) > 0 {
		field = iso7816.AppendTLV(field, tagSystemParameters, inner)
	}
	return field
}

// AppendUICCParameters appends the UICC system specific parameters to an install
// parameters field (ETSI TS 102 226, 8.2.1.3.2.2).
func AppendUICCParameters(field, parameters []byte) []byte {
	return iso7816.AppendTLV(field, tagUICCParameters, parameters)
}

// appendField appends a field with its length before it. Parameters may be
// longer than a byte tells; their length is coded as in BER-TLV.
func appendField(b, field []byte) []byte {
	return append(iso7816.AppendLength(b, len(field)), field...)
}

func fields(list ...[]byte) []byte {
	var data []byte
	for _, field := range list {
		data = appendField(data, field)
	}
	return data
}

// install is INSTALL (11.5). The token is empty: only the issuer's own channel
// is spoken here.
func (d *SecurityDomain) install(ctx context.Context, name string, p1 byte, data []byte) ([]byte, error) {
	return d.send(ctx, "INSTALL [for "+name+"]", iso7816.Command{
		CLA: classGP, INS: insInstall, P1: p1, Data: data, Ne: iso7816.MaxShortNe,
	})
}

// InstallForLoad is INSTALL [for load] (11.5.2.3.1): file is the AID of the
// load file, domain the security domain it will belong to (nil for this one),
// hash that of the load file data block or nil.
func (d *SecurityDomain) InstallForLoad(ctx context.Context, file, domain AID, hash []byte, m Memory) error {
	_, err := d.install(ctx, "load", forLoad, installForLoadData(file, domain, hash, m))
	return err
}

func installForLoadData(file, domain AID, hash []byte, m Memory) []byte {
	return fields(file, domain, hash, LoadParameters(m), nil)
}

// Instance is an application to install.
type Instance struct {
	// File is the load file, Module the applet in it, AID that of the
	// application.
	File, Module, AID AID
	Privileges        Privileges
	// Parameters is the install parameters field.
	Parameters []byte
}

func (i Instance) data() []byte {
	return fields(i.File, i.Module, i.AID, i.Privileges.bytes(), i.Parameters, nil)
}

// InstallForInstall is INSTALL [for install] (11.5.2.3.2).
func (d *SecurityDomain) InstallForInstall(ctx context.Context, i Instance) error {
	_, err := d.install(ctx, "install", forInstall, i.data())
	return err
}

// InstallAndMakeSelectable is INSTALL [for install and make selectable].
func (d *SecurityDomain) InstallAndMakeSelectable(ctx context.Context, i Instance) error {
	_, err := d.install(ctx, "install and make selectable", forInstall|forMakeSelectable, i.data())
	return err
}

// MakeSelectable is INSTALL [for make selectable] (11.5.2.3.3).
func (d *SecurityDomain) MakeSelectable(ctx context.Context, application AID, p Privileges) error {
	_, err := d.install(ctx, "make selectable", forMakeSelectable, fields(nil, nil, application, p.bytes(), nil, nil))
	return err
}

// Length is how many bytes of data INSTALL [for install] has for it.
func (i Instance) Length() int { return len(i.data()) }

// Extradite is INSTALL [for extradition] (11.5.2.3.4): the application, load file or
// security domain aid belongs to the security domain to afterwards.
func (d *SecurityDomain) Extradite(ctx context.Context, aid, to AID) error {
	_, err := d.install(ctx, "extradition", forExtradition, fields(to, nil, aid, nil, nil, nil))
	return err
}

// InstallForPersonalization is INSTALL [for personalization] (11.5.2.3.6): the
// STORE DATA that follow are for the application.
func (d *SecurityDomain) InstallForPersonalization(ctx context.Context, application AID) error {
	_, err := d.install(ctx, "personalization", forPersonalization, fields(nil, nil, application, nil, nil, nil))
	return err
}
