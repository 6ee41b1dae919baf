package cardsim

import (
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// myEIDFile is a dedicated file, a transparent elementary file or a key file.
type myEIDFile struct {
	ID   uint16 `json:"id"`
	Kind byte   `json:"kind"` // the file descriptor byte
	Size int    `json:"size"` // bytes, of a key file bits
	Name []byte `json:"name,omitempty"`

	// Access has a PIN's number in each half byte, 0 for always and F for
	// never. EF: read, update, delete. DF: create EF, create DF, delete. Key:
	// use, load, delete, generate.
	Access     [3]byte `json:"access"`
	Properties [2]byte `json:"properties"`

	Data     []byte       `json:"data,omitempty"` // of a transparent EF
	Key      myEIDKey     `json:"key"`            // of a key file
	Children []*myEIDFile `json:"children,omitempty"`

	parent *myEIDFile
}

// Kinds of files.
const (
	myEIDWorkingEF = 0x01
	myEIDRSAKey    = 0x11
	myEIDECKey     = 0x22
	myEIDDF        = 0x38
)

// myEIDApplicationID is the DF that is always there.
const myEIDApplicationID = 0x5015

// myEIDMemory is the room for files, in bytes.
const myEIDMemory = 64 << 10

// myEIDFiles is an empty file system with the access conditions that
// INITIALIZE APPLET gives to the MF and the application DF; nil for none.
func myEIDFiles(access []byte) *myEIDFile {
	mf := &myEIDFile{ID: masterFileID, Kind: myEIDDF}
	app := &myEIDFile{ID: myEIDApplicationID, Kind: myEIDDF, Name: (*myEID)(nil).aid(), parent: mf}
	if len(access) == 6 {
		mf.Access, app.Access = [3]byte(access[:3]), [3]byte(access[3:])
	}
	mf.Children = []*myEIDFile{app}
	return mf
}

var errMyEIDFiles = errors.New("a file system that the applet does not make")

// check refuses a tree that CREATE FILE cannot have made, and links it.
func (f *myEIDFile) check(parent *myEIDFile) error {
	f.parent = parent
	if f.Kind != myEIDDF && len(f.Children) > 0 || f.Kind == myEIDWorkingEF && len(f.Data) != f.Size {
		return errMyEIDFiles
	}
	for _, child := range f.Children {
		if child == nil {
			return errMyEIDFiles
		}
		if err := child.check(f); err != nil {
			return err
		}
	}
	return f.Key.check()
}

func (f *myEIDFile) memory() int {
	const header = 20
	n := header + f.Size
	for _, child := range f.Children {
		n += child.memory()
	}
	return n
}

// child is the file with this identifier directly in f.
func (f *myEIDFile) child(id uint16) *myEIDFile {
	i := slices.IndexFunc(f.Children, func(c *myEIDFile) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return f.Children[i]
}

// directory is f, or the DF it is in.
func (f *myEIDFile) directory() *myEIDFile {
	if f.Kind == myEIDDF {
		return f
	}
	return f.parent
}

// Half bytes of Access.
const (
	accessRead = iota
	accessUpdate
	accessDelete
	accessGenerate

	accessCreateEF = accessRead
	accessCreateDF = accessUpdate
)

// permits compares an access condition with the PINs that were verified.
func (a *myEID) permits(f *myEIDFile, access int) bool {
	const always, never = 0x0, 0xF
	pin := f.Access[access/2] >> (4 * (1 - access%2)) & 0xF
	switch {
	case !a.state.Active || pin == always:
		return true
	case pin == never:
		return false
	}
	return a.verified&(1<<(pin-1)) != 0
}

// selectFile is SELECT (ISO/IEC 7816-4, 11.2.2) of a file.
func (a *myEID) selectFile(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.P2 != 0x00 && c.P2 != 0x0C {
		return nil, iso7816.StatusWrongP1P2
	}
	f, status := a.chosen(c)
	if status != iso7816.StatusOK {
		return nil, status
	}
	if f == nil {
		return nil, iso7816.StatusFileNotFound
	}
	a.current = f
	if c.Ne == 0 {
		return nil, iso7816.StatusOK
	}
	return a.answerSelect(c.P2)
}

// chosen is the file that SELECT means; nil where there is none.
func (a *myEID) chosen(c iso7816.Command) (*myEIDFile, iso7816.Status) {
	df := a.current.directory()
	switch {
	case c.P1 == 0x00 && len(c.Data) == 0:
		return a.state.MF, iso7816.StatusOK
	case c.P1 == 0x03 && len(c.Data) == 0:
		return df.parent, iso7816.StatusOK
	case len(c.Data) == 0 || len(c.Data)%2 != 0:
		return nil, iso7816.StatusWrongLength
	case c.P1 == 0x08:
		return along(a.state.MF, c.Data), iso7816.StatusOK
	case c.P1 == 0x09:
		return along(df, c.Data), iso7816.StatusOK
	case c.P1 > 0x02 || len(c.Data) != 2:
		return nil, iso7816.StatusWrongP1P2
	}
	id := uint16(c.Data[0])<<8 | uint16(c.Data[1])
	if c.P1 != 0 {
		return df.child(id), iso7816.StatusOK
	}
	if id == masterFileID {
		return a.state.MF, iso7816.StatusOK
	}
	for at := df; at != nil; at = at.parent {
		if f := at.child(id); f != nil || at == df.parent {
			return f, iso7816.StatusOK
		}
	}
	return nil, iso7816.StatusOK
}

// along follows a path of file identifiers that does not begin with f itself.
func along(f *myEIDFile, path []byte) *myEIDFile {
	for ; len(path) >= 2 && f != nil; path = path[2:] {
		f = f.child(uint16(path[0])<<8 | uint16(path[1]))
	}
	return f
}

// answerSelect is the file control information of the current file.
func (a *myEID) answerSelect(p2 byte) ([]byte, iso7816.Status) {
	if p2 == 0x0C {
		return nil, iso7816.StatusOK
	}
	f, lifeCycle := a.current, byte(1)
	if a.state.Active {
		lifeCycle = 7
	}
	size := iso7816.Tag(0x80)
	if f.Kind != myEIDWorkingEF {
		size = 0x81
	}
	fci := iso7816.AppendTLV(nil, size, []byte{byte(f.Size >> 8), byte(f.Size)})
	fci = iso7816.AppendTLV(fci, 0x82, []byte{f.Kind})
	fci = iso7816.AppendTLV(fci, 0x83, []byte{byte(f.ID >> 8), byte(f.ID)})
	fci = iso7816.AppendTLV(fci, 0x86, f.Access[:])
	fci = iso7816.AppendTLV(fci, 0x85, f.Properties[:])
	fci = iso7816.AppendTLV(fci, 0x8A, []byte{lifeCycle})
	if f.Name != nil {
		fci = iso7816.AppendTLV(fci, 0x84, f.Name)
	}
	return iso7816.AppendTLV(nil, 0x6F, fci), iso7816.StatusOK
}

// createFile is CREATE FILE, ISO/IEC 7816-9: a new file in the current DF,
// which becomes current.
func (a *myEID) createFile(c iso7816.Command) iso7816.Status {
	f, ok := parseMyEIDFile(c.Data)
	df := a.current.directory()
	access := accessCreateEF
	if ok && f.Kind == myEIDDF {
		access = accessCreateDF
	}
	switch {
	case c.P1 != 0 || c.P2 != 0:
		return iso7816.StatusWrongP1P2
	case !ok:
		return statusInvalidData
	case !a.permits(df, access):
		return iso7816.StatusSecurityNotSatisfied
	case df.child(f.ID) != nil:
		return statusFileExists
	case a.state.MF.memory()+f.memory() > myEIDMemory:
		return iso7816.StatusNoSpace
	}
	f.parent = df
	df.Children = append(df.Children, f)
	a.current = f
	return a.changed()
}

// parseMyEIDFile reads the template of CREATE FILE.
func parseMyEIDFile(fcp []byte) (*myEIDFile, bool) {
	outer, rest, err := iso7816.ParseTLV(fcp)
	if err != nil || len(rest) != 0 || outer.Tag != 0x62 {
		return nil, false
	}
	objects, err := iso7816.ParseTLVs(outer.Value)
	if err != nil {
		return nil, false
	}
	f, have := &myEIDFile{}, 0
	for _, o := range objects {
		switch n := len(o.Value); {
		case (o.Tag == 0x80 || o.Tag == 0x81) && n == 2:
			f.Size, have = int(o.Value[0])<<8|int(o.Value[1]), have|1
		case o.Tag == 0x82 && n == 1:
			f.Kind, have = o.Value[0], have|2
		case o.Tag == 0x83 && n == 2:
			f.ID, have = uint16(o.Value[0])<<8|uint16(o.Value[1]), have|4
		case o.Tag == 0x84 && n <= 16:
			f.Name = slices.Clone(o.Value)
		case o.Tag == 0x85 && n == 2:
			f.Properties = [2]byte(o.Value)
		case o.Tag == 0x86 && n == 3:
			f.Access = [3]byte(o.Value)
		case o.Tag == 0x8A && n == 1:
		default:
			return nil, false
		}
	}
	switch f.Kind {
	case myEIDWorkingEF:
		f.Data = make([]byte, f.Size)
	case myEIDRSAKey, myEIDECKey, myEIDDF:
	default:
		return nil, false
	}
	const currentDF = 0x3FFF
	valid := have == 7 && f.ID != 0 && f.ID != masterFileID && f.ID != currentDF && f.ID != 0xFFFF && f.Size <= 0x7FFF
	return f, valid
}

// deleteFile is DELETE FILE, ISO/IEC 7816-9, of the current file with
// everything in it; the DF it was in is current then.
func (a *myEID) deleteFile(c iso7816.Command) iso7816.Status {
	f := a.current
	switch {
	case c.P1 != 0 || c.P2 != 0:
		return iso7816.StatusWrongP1P2
	case f == a.state.MF:
		return statusNotAllowed
	case !a.permits(f, accessDelete):
		return iso7816.StatusSecurityNotSatisfied
	}
	a.current = f.parent
	a.current.Children = slices.DeleteFunc(a.current.Children, func(other *myEIDFile) bool { return other == f })
	a.security = myEIDSecurity{}
	return a.changed()
}

// readBinary is READ BINARY, ISO/IEC 7816-4, of the current file. An Le that
// reaches beyond the end is an error, but for the greatest.
func (a *myEID) readBinary(c iso7816.Command) ([]byte, iso7816.Status) {
	const endOfFile iso7816.Status = 0x6282
	f, offset := a.current, int(c.P1)<<8|int(c.P2)
	switch {
	case c.P1&0x80 != 0:
		return nil, iso7816.StatusWrongP1P2
	case f.Kind != myEIDWorkingEF:
		return nil, iso7816.StatusConditionsNotSatisfied
	case !a.permits(f, accessRead):
		return nil, iso7816.StatusSecurityNotSatisfied
	case len(c.Data) != 0 || c.Ne == 0:
		return nil, iso7816.StatusWrongLength
	}
	end := offset + min(c.Ne, iso7816.MaxShortNe)
	if end > f.Size && (c.Ne < iso7816.MaxShortNe || offset >= f.Size) {
		return nil, endOfFile
	}
	return slices.Clone(f.Data[offset:min(end, f.Size)]), iso7816.StatusOK
}

// updateBinary is UPDATE BINARY, ISO/IEC 7816-4, of the current file, which
// keeps its size.
func (a *myEID) updateBinary(c iso7816.Command) iso7816.Status {
	f, offset := a.current, int(c.P1)<<8|int(c.P2)
	switch {
	case c.P1&0x80 != 0:
		return iso7816.StatusWrongP1P2
	case f.Kind != myEIDWorkingEF:
		return iso7816.StatusConditionsNotSatisfied
	case !a.permits(f, accessUpdate):
		return iso7816.StatusSecurityNotSatisfied
	case len(c.Data) == 0:
		return iso7816.StatusWrongLength
	case offset+len(c.Data) > f.Size:
		return iso7816.StatusWrongOffset
	}
	copy(f.Data[offset:], c.Data)
	return a.changed()
}
