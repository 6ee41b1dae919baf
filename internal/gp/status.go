package gp

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Kind is which part of the registry an entry is in. Its value is P1 of GET
// STATUS (11.4.2.1).
type Kind byte

// The parts of the registry.
const (
	IssuerDomain        Kind = 0x80
	Application         Kind = 0x40 // and supplementary security domains
	LoadFile            Kind = 0x20
	LoadFileWithModules Kind = 0x10
)

// P2 of GET STATUS (11.4.2.2).
const (
	statusNext byte = 0x01
	statusTLV  byte = 0x02
)

// Bounds on what a card may make us read.
const (
	maxContinuations   = 1 << 10
	maxRegistryEntries = 1 << 12
)

// Tags of a registry entry (table 11-36).
const (
	tagRegistryEntry    iso7816.Tag = 0xE3
	tagAID              iso7816.Tag = 0x4F
	tagLifeCycle        iso7816.Tag = 0x9F70
	tagPrivileges       iso7816.Tag = 0xC5
	tagApplicationFile  iso7816.Tag = 0xC4
	tagFileVersion      iso7816.Tag = 0xCE
	tagModule           iso7816.Tag = 0x84
	tagAssociatedDomain iso7816.Tag = 0xCC
)

// Entry is one entry of the card's registry.
type Entry struct {
	Kind       Kind
	AID        AID
	LifeCycle  LifeCycle
	Privileges Privileges

	// File is the executable load file of an application, and Domain the
	// security domain that the entry belongs to; nil where the card does
	// not tell.
	File, Domain AID

	// Version is the version of a load file as it was written, major first;
	// nil where the card does not tell.
	Version []byte

	// Modules are the applets in a load file.
	Modules []AID
}

// State is the life cycle state in words.
func (e *Entry) State() string { return e.LifeCycle.words(e.Kind, e.Privileges) }

// SecurityDomain reports whether the entry is a security domain.
func (e *Entry) SecurityDomain() bool {
	return e.Kind == IssuerDomain || e.Kind == Application && e.Privileges.Has(SecurityDomainPrivilege)
}

// Status is GET STATUS (11.4) for all entries of one part of the registry, or
// those whose AID begins with filter. None there is an empty list.
func (d *SecurityDomain) Status(ctx context.Context, kind Kind, filter []byte) ([]Entry, error) {
	if !d.noTLV {
		raw, err := d.status(ctx, kind, filter, statusTLV)
		if err == nil {
			return ParseStatus(kind, raw)
		}
		switch iso7816.StatusOf(err) {
		case iso7816.StatusWrongP1P2, iso7816.StatusWrongData, iso7816.StatusFunctionNotSupported, iso7816.StatusWrongLength:
		default:
			return nil, err
		}
	}
	raw, err := d.status(ctx, kind, filter, 0)
	if err != nil {
		return nil, err
	}
	d.noTLV = true
	return ParseOldStatus(kind, raw)
}

// status gathers the answers of one format while the card has more.
func (d *SecurityDomain) status(ctx context.Context, kind Kind, filter []byte, format byte) ([]byte, error) {
	cmd := iso7816.Command{
		CLA: classGP, INS: insGetStatus, P1: byte(kind), P2: format,
		Data: iso7816.AppendTLV(nil, tagAID, filter), Ne: iso7816.MaxShortNe,
	}
	var all []byte
	for range maxContinuations {
		answer, err := d.send(ctx, "GET STATUS", cmd)
		all = append(all, answer...)
		switch iso7816.StatusOf(err) {
		case StatusMoreData:
			if len(answer) == 0 {
				return nil, malformed("GET STATUS announces more data and sends none")
			}
			cmd.P2 = format | statusNext
			continue
		case iso7816.StatusReferenceNotFound, iso7816.StatusFileNotFound:
			return all, nil
		}
		return all, err
	}
	return nil, malformed("GET STATUS does not end")
}

// ParseStatus reads entries in the format of data objects E3 (table 11-36).
func ParseStatus(kind Kind, raw []byte) ([]Entry, error) {
	list, err := iso7816.ParseTLVs(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(list) > maxRegistryEntries {
		return nil, malformed("%d entries in the registry", len(list))
	}
	entries := make([]Entry, 0, len(list))
	for _, object := range list {
		if object.Tag != tagRegistryEntry {
			return nil, malformed("tag %X in the registry", uint32(object.Tag))
		}
		entry, err := parseEntry(kind, object.Value)
		if err != nil {
			return nil, err
		}
		entries = append(entries, *entry)
	}
	return entries, nil
}

func parseEntry(kind Kind, raw []byte) (*Entry, error) {
	fields, err := iso7816.ParseTLVs(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	e := &Entry{Kind: normal(kind)}
	for _, field := range fields {
		switch field.Tag {
		case tagAID:
			e.AID = field.Value
		case tagLifeCycle:
			if len(field.Value) == 0 {
				return nil, malformed("an entry without its life cycle state")
			}
			e.LifeCycle = LifeCycle(field.Value[0])
		case tagPrivileges:
			if e.Privileges, err = parsePrivileges(field.Value); err != nil {
				return nil, err
			}
		case tagApplicationFile:
			e.File = field.Value
		case tagFileVersion:
			e.Version = field.Value
		case tagModule:
			e.Modules = append(e.Modules, field.Value)
		case tagAssociatedDomain:
			e.Domain = field.Value
		}
	}
	// Names in the registry may be shorter than an AID: "PAY." is known.
	if len(e.AID) == 0 || len(e.AID) > MaxAID {
		return nil, malformed("an AID of %d bytes in the registry", len(e.AID))
	}
	return e, nil
}

// normal is the kind of an entry, whichever way its list was asked for.
func normal(kind Kind) Kind {
	if kind == LoadFileWithModules {
		return LoadFile
	}
	return kind
}

// ParseOldStatus reads entries in the format of before 2.2 (table 11-34): each
// is its AID with a length, life cycle state and privileges, and for load
// files with modules their number and AIDs.
func ParseOldStatus(kind Kind, raw []byte) ([]Entry, error) {
	var entries []Entry
	for len(raw) > 0 {
		e := Entry{Kind: normal(kind)}
		var ok bool
		if e.AID, raw, ok = cutAID(raw); !ok || len(raw) < 2 {
			return nil, malformed("a registry entry is truncated")
		}
		e.LifeCycle, e.Privileges = LifeCycle(raw[0]), Privileges(raw[1])<<16
		raw = raw[2:]
		if kind == LoadFileWithModules {
			if len(raw) == 0 {
				return nil, malformed("a registry entry is truncated")
			}
			count := int(raw[0])
			raw = raw[1:]
			for range count {
				var module AID
				if module, raw, ok = cutAID(raw); !ok {
					return nil, malformed("a registry entry is truncated")
				}
				e.Modules = append(e.Modules, module)
			}
		}
		if len(entries) == maxRegistryEntries {
			return nil, malformed("more than %d entries in the registry", maxRegistryEntries)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// cutAID reads an AID with its length before it.
func cutAID(raw []byte) (aid AID, rest []byte, ok bool) {
	if len(raw) == 0 || raw[0] == 0 || raw[0] > MaxAID || int(raw[0]) > len(raw)-1 {
		return nil, nil, false
	}
	n := 1 + int(raw[0])
	return AID(raw[1:n:n]), raw[n:], true
}

// Files are the executable load files with their modules; on a card that does
// not know that list, without.
func (d *SecurityDomain) Files(ctx context.Context) ([]Entry, error) {
	files, err := d.Status(ctx, LoadFileWithModules, nil)
	var refused *CommandError
	if !errors.As(err, &refused) {
		return files, err
	}
	return d.Status(ctx, LoadFile, nil)
}
