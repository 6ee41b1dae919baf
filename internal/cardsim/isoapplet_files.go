package cardsim

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// isoFile is a dedicated file or a transparent elementary file.
type isoFile struct {
	ID uint16 `json:"id"`

	// FCI is the file control information as CREATE FILE gave it and SELECT
	// returns it, with its outer tag 62 or 6F.
	FCI []byte `json:"fci"`

	Data     []byte     `json:"data,omitempty"`     // of an EF
	Children []*isoFile `json:"children,omitempty"` // of a DF, in the order they were made

	parent  *isoFile
	control fileControl // FCI parsed
}

const masterFileID = 0x3F00

// Limits of the file system.
const (
	fileMemory    = 32 << 10 // bytes of data and control information together
	childrenLimit = 30       // files in a DF
)

// masterFile is an empty file system: the MF has no access conditions.
func masterFile() *isoFile {
	f := &isoFile{
		ID:  masterFileID,
		FCI: []byte{0x6F, 0x07, 0x82, 0x01, descriptorDF, 0x83, 0x02, masterFileID >> 8, masterFileID & 0xFF},
	}
	f.control = fileControl{id: masterFileID, dedicated: true}
	return f
}

var errFiles = errors.New("a file system that the applet does not make")

// check refuses a tree that CREATE FILE cannot have made, and links it.
func (f *isoFile) check(parent *isoFile) error {
	control, err := parseFileControl(f.FCI)
	if err != nil || control.id != f.ID {
		return fmt.Errorf("%w: file %04X", errFiles, f.ID)
	}
	if control.dedicated && len(f.Data) != 0 || !control.dedicated && (len(f.Children) != 0 || len(f.Data) != control.size) {
		return fmt.Errorf("%w: file %04X", errFiles, f.ID)
	}
	f.control, f.parent = control, parent
	for _, child := range f.Children {
		if child == nil {
			return fmt.Errorf("%w: file %04X", errFiles, f.ID)
		}
		if err := child.check(f); err != nil {
			return err
		}
	}
	return nil
}

// memory is the room that a file and those below it take, in bytes.
func (f *isoFile) memory() int {
	n := len(f.FCI) + len(f.Data)
	for _, child := range f.Children {
		n += child.memory()
	}
	return n
}

// find looks for a file below f, or f itself, in the whole tree: identifiers
// are unique on the card.
func (f *isoFile) find(wanted func(*isoFile) bool) *isoFile {
	if wanted(f) {
		return f
	}
	for _, child := range f.Children {
		if found := child.find(wanted); found != nil {
			return found
		}
	}
	return nil
}

func (f *isoFile) withID(id uint16) *isoFile {
	return f.find(func(f *isoFile) bool { return f.ID == id })
}

func (f *isoFile) withName(name []byte) *isoFile {
	return f.find(func(f *isoFile) bool {
		return f.control.dedicated && len(f.control.name) > 0 && bytes.Equal(f.control.name, name)
	})
}

// child is the file with this identifier directly in f.
func (f *isoFile) child(id uint16) *isoFile {
	for _, child := range f.Children {
		if child.ID == id {
			return child
		}
	}
	return nil
}

// along follows a path of file identifiers that does not begin with f itself.
func (f *isoFile) along(path []byte) *isoFile {
	for ; len(path) >= 2 && f != nil; path = path[2:] {
		f = f.child(uint16(path[0])<<8 | uint16(path[1]))
	}
	return f
}

// withShortID is the EF in f that a short EF identifier names.
func (f *isoFile) withShortID(short byte) *isoFile {
	for _, child := range f.Children {
		if !child.control.dedicated && child.control.shortID == short {
			return child
		}
	}
	return nil
}

// operation is what an access condition is for: the place of its security
// condition byte after the access mode byte (ISO/IEC 7816-4, compact format
// with all conditions present).
type operation int

const (
	opDeleteSelf operation = 1
	opCreateDF   operation = 5
	opCreateEF   operation = 6
	opUpdate     operation = 6
	opRead       operation = 7
)

// permits compares the access condition of a file with what was verified.
func (a *isoApplet) permits(f *isoFile, op operation) bool {
	if f.control.access == nil {
		return true
	}
	const always, never, userAuthentication = 0x00, 0xFF, 0x10
	switch condition := f.control.access[op]; {
	case condition == always:
		return true
	case condition == never:
		return false
	default: // bit 8: all of the conditions named; bits 6 and 7 name no others
		return condition&^0x80 == userAuthentication && a.user
	}
}

// enter makes a file current: an EF with the DF it is in.
func (a *isoApplet) enter(f *isoFile) {
	if f.control.dedicated {
		a.df, a.ef = f, nil
		return
	}
	a.df, a.ef = f.parent, f
}

// selectFile is SELECT (ISO/IEC 7816-4, 11.2.2) of a file of the applet.
// Paths do not begin with the MF.
func (a *isoApplet) selectFile(c iso7816.Command) ([]byte, iso7816.Status) {
	const nothing, fci, fcp = 0x0C, 0x00, 0x04
	if c.P2 != nothing && c.P2 != fci && c.P2 != fcp {
		return nil, iso7816.StatusWrongP1P2
	}
	f, status := a.chosen(c)
	if status != iso7816.StatusOK {
		return nil, status
	}
	if f == nil {
		return nil, iso7816.StatusFileNotFound
	}
	a.enter(f)
	if c.P2 == nothing {
		return nil, iso7816.StatusOK
	}
	return f.FCI, iso7816.StatusOK
}

// chosen is the file that SELECT means; nil where there is none.
func (a *isoApplet) chosen(c iso7816.Command) (*isoFile, iso7816.Status) {
	const (
		byID        = 0x00
		childDF     = 0x01
		childEF     = 0x02
		parent      = 0x03
		byName      = 0x04
		fromMF      = 0x08
		fromCurrent = 0x09
	)
	id := func() uint16 { return uint16(c.Data[0])<<8 | uint16(c.Data[1]) }
	below := func(dedicated bool) *isoFile {
		f := a.df.withID(id())
		if f == nil || f == a.df || f.control.dedicated != dedicated {
			return nil
		}
		return f
	}
	switch c.P1 {
	case byID:
		if len(c.Data) == 0 {
			return a.state.MF, iso7816.StatusOK
		}
		if len(c.Data) == 2 {
			return a.state.MF.withID(id()), iso7816.StatusOK
		}
	case childDF, childEF:
		if len(c.Data) == 2 {
			return below(c.P1 == childDF), iso7816.StatusOK
		}
	case parent:
		if len(c.Data) == 0 {
			return a.df.parent, iso7816.StatusOK
		}
	case byName:
		return a.state.MF.withName(c.Data), iso7816.StatusOK
	case fromMF, fromCurrent:
		if len(c.Data) > 0 && len(c.Data)%2 == 0 {
			start := a.state.MF
			if c.P1 == fromCurrent {
				start = a.df
			}
			return start.along(c.Data), iso7816.StatusOK
		}
	default:
		return nil, iso7816.StatusWrongP1P2
	}
	return nil, iso7816.StatusWrongLength
}
