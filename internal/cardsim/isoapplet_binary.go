package cardsim

import (
	"bytes"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// createFile is CREATE FILE, ISO/IEC 7816-9: a new file in the current DF,
// which becomes current.
func (a *isoApplet) createFile(c iso7816.Command) iso7816.Status {
	if c.P1 != 0 || c.P2 != 0 {
		return iso7816.StatusWrongP1P2
	}
	control, err := parseFileControl(c.Data)
	switch {
	case errors.Is(err, errFileKind):
		return iso7816.StatusFunctionNotSupported
	case err != nil:
		return statusInvalidData
	case a.state.MF.withID(control.id) != nil:
		return statusInvalidData // identifiers are unique on the card
	}
	op := opCreateEF
	if control.dedicated {
		op = opCreateDF
	}
	if !a.permits(a.df, op) {
		return iso7816.StatusSecurityNotSatisfied
	}
	f := &isoFile{ID: control.id, FCI: bytes.Clone(c.Data), parent: a.df}
	if f.control, err = parseFileControl(f.FCI); err != nil {
		return statusInvalidData
	}
	f.Data = make([]byte, control.size)
	if len(a.df.Children) >= childrenLimit || a.state.MF.memory()+f.memory() > fileMemory {
		return iso7816.StatusNoSpace
	}
	a.df.Children = append(a.df.Children, f)
	a.enter(f)
	return a.save()
}

// deleteFile is DELETE FILE, ISO/IEC 7816-9, with the file identifier as its
// data: the file goes with everything in it, and the DF it was in is current.
func (a *isoApplet) deleteFile(c iso7816.Command) iso7816.Status {
	if c.P1 != 0 || c.P2 != 0 {
		return iso7816.StatusWrongP1P2
	}
	if len(c.Data) != 2 {
		return iso7816.StatusWrongLength
	}
	f := a.state.MF.withID(uint16(c.Data[0])<<8 | uint16(c.Data[1]))
	switch {
	case f == nil:
		return iso7816.StatusFileNotFound
	case f == a.state.MF:
		return statusNotAllowed
	case !a.permits(f, opDeleteSelf):
		return iso7816.StatusSecurityNotSatisfied
	}
	parent := f.parent
	parent.Children = slices.DeleteFunc(parent.Children, func(other *isoFile) bool { return other == f })
	a.enter(parent)
	return a.save()
}

// readBinary is READ BINARY, ISO/IEC 7816-4.
func (a *isoApplet) readBinary(c iso7816.Command) ([]byte, iso7816.Status) {
	f, offset, status := a.addressed(c)
	switch {
	case status != iso7816.StatusOK:
		return nil, status
	case !a.permits(f, opRead):
		return nil, iso7816.StatusSecurityNotSatisfied
	case len(c.Data) != 0 || c.Ne == 0:
		return nil, iso7816.StatusWrongLength
	case offset >= len(f.Data):
		return nil, iso7816.StatusWrongOffset
	}
	if c.P1&0x80 == 0 || !a.profile.shortApart {
		a.enter(f)
	}
	return bytes.Clone(f.Data[offset:min(offset+c.Ne, len(f.Data))]), iso7816.StatusOK
}

// updateBinary is UPDATE BINARY, ISO/IEC 7816-4. A file keeps the size it was
// made with.
func (a *isoApplet) updateBinary(c iso7816.Command) iso7816.Status {
	f, offset, status := a.addressed(c)
	switch {
	case status != iso7816.StatusOK:
		return status
	case !a.permits(f, opUpdate):
		return iso7816.StatusSecurityNotSatisfied
	case len(c.Data) == 0:
		return iso7816.StatusWrongLength
	case offset+len(c.Data) > len(f.Data):
		return iso7816.StatusWrongOffset
	}
	if c.P1&0x80 == 0 || !a.profile.shortApart {
		a.enter(f)
	}
	copy(f.Data[offset:], c.Data)
	return a.save()
}

// addressed is the file and the offset that P1 and P2 mean: a short EF
// identifier and 8 bits, or the current EF and 15 bits.
func (a *isoApplet) addressed(c iso7816.Command) (*isoFile, int, iso7816.Status) {
	if c.P1&0x80 == 0 {
		if a.ef == nil {
			return nil, 0, statusNotAllowed // no current EF
		}
		return a.ef, int(c.P1)<<8 | int(c.P2), iso7816.StatusOK
	}
	if c.P1&0x60 != 0 || c.P1&0x1F == 0 {
		return nil, 0, iso7816.StatusWrongP1P2
	}
	f := a.df.withShortID(c.P1 & 0x1F)
	if f == nil {
		return nil, 0, iso7816.StatusFileNotFound
	}
	return f, int(c.P2), iso7816.StatusOK
}
