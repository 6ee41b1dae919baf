package gp

import (
	"cmp"
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

// ErrIncomplete is a list of entries that was cut off, or one of whose entries
// cannot be read. What could be read is returned with it.
var ErrIncomplete = fmt.Errorf("%w: the list of what is on the card is incomplete", ErrMalformed)

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
// those whose AID begins with filter. None there is an empty list. A list of which
// only a part can be read is returned with ErrIncomplete.
func (d *SecurityDomain) Status(ctx context.Context, kind Kind, filter []byte) ([]Entry, error) {
	if !d.noTLV {
		raw, err := d.status(ctx, kind, filter, statusTLV)
		if err == nil || errors.Is(err, ErrIncomplete) {
			entries, parsed := ParseStatus(kind, raw)
			return entries, cmp.Or(parsed, err)
		}
		switch iso7816.StatusOf(err) {
		case iso7816.StatusWrongP1P2, iso7816.StatusWrongData, iso7816.StatusFunctionNotSupported, iso7816.StatusWrongLength:
		default:
			return nil, err
		}
	}
	raw, err := d.status(ctx, kind, filter, 0)
	if err != nil && !errors.Is(err, ErrIncomplete) {
		return nil, err
	}
	d.noTLV = true
	entries, parsed := ParseOldStatus(kind, raw)
	return entries, cmp.Or(parsed, err)
}

// status gathers the answers of one format while the card has more. Where the card
// stops in the middle, it is ErrIncomplete.
func (d *SecurityDomain) status(ctx context.Context, kind Kind, filter []byte, format byte) ([]byte, error) {
	cmd := iso7816.Command{
		CLA: classGP, INS: insGetStatus, P1: byte(kind), P2: format,
		Data: iso7816.AppendTLV(nil, tagAID, filter), Ne: iso7816.MaxShortNe,
	}
	var all []byte
	for range maxContinuations {
		answer, err := d.send(ctx, "GET STATUS", cmd)
		all = append(all, answer...)
		switch status := iso7816.StatusOf(err); {
		case status == StatusMoreData && len(answer) > 0:
			cmd.P2 = format | statusNext
			continue
		case status == StatusMoreData && len(all) == 0:
			return nil, malformed("GET STATUS announces more data and sends none")
		case status == iso7816.StatusReferenceNotFound, status == iso7816.StatusFileNotFound:
			return all, nil
		case status != 0 && cmd.P2 != format:
			return all, fmt.Errorf("%w: %w", ErrIncomplete, err)
		}
		return all, err
	}
	return all, fmt.Errorf("%w: GET STATUS does not end", ErrIncomplete)
}

// ParseStatus reads entries in the format of data objects E3 (table 11-36). Those
// that can be read are returned with ErrIncomplete where others cannot.
func ParseStatus(kind Kind, raw []byte) ([]Entry, error) {
	entries := []Entry{}
	var incomplete error
	for len(raw) > 0 {
		if raw[0] == 0x00 || raw[0] == 0xFF {
			raw = raw[1:] // padding
			continue
		}
		object, rest, err := iso7816.ParseTLV(raw)
		if err != nil || len(entries) == maxRegistryEntries {
			return entries, ErrIncomplete
		}
		raw = rest
		entry, err := parseEntry(kind, object)
		if err != nil {
			incomplete = fmt.Errorf("%w: %w", ErrIncomplete, err)
			continue
		}
		entries = append(entries, *entry)
	}
	return entries, incomplete
}

func parseEntry(kind Kind, object iso7816.TLV) (*Entry, error) {
	if object.Tag != tagRegistryEntry {
		return nil, malformed("tag %X in the registry", uint32(object.Tag))
	}
	fields, err := iso7816.ParseTLVs(object.Value)
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
// files with modules their number and AIDs. Those before one that is cut off are
// returned with ErrIncomplete.
func ParseOldStatus(kind Kind, raw []byte) ([]Entry, error) {
	entries := []Entry{}
	for len(raw) > 0 {
		e := Entry{Kind: normal(kind)}
		var ok bool
		if e.AID, raw, ok = cutAID(raw); !ok || len(raw) < 2 || len(entries) == maxRegistryEntries {
			return entries, ErrIncomplete
		}
		e.LifeCycle, e.Privileges = LifeCycle(raw[0]), Privileges(raw[1])<<16
		raw = raw[2:]
		if kind == LoadFileWithModules {
			if len(raw) == 0 {
				return entries, ErrIncomplete
			}
			count := int(raw[0])
			raw = raw[1:]
			for range count {
				var module AID
				if module, raw, ok = cutAID(raw); !ok {
					return entries, ErrIncomplete
				}
				e.Modules = append(e.Modules, module)
			}
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
