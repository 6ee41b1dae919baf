package cardsim

import (
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// fileControl is what the applet understands of file control information
// (ISO/IEC 7816-4, 7.4.3).
type fileControl struct {
	id        uint16
	dedicated bool
	size      int    // bytes of a transparent EF
	name      []byte // of a DF; nil where it has none
	shortID   byte   // of an EF; 0 where it has none
	access    []byte // access mode byte FF and seven conditions; nil: everything is allowed
}

// Values of the file descriptor byte.
const (
	descriptorShareable   = 0x40
	descriptorDF          = 0x38
	descriptorTransparent = 0x01 // working EF
	descriptorInternal    = 0x08 // bit that makes it an internal EF
)

// defaultFileSize is the room of an EF for which no size was given, in bytes.
const defaultFileSize = 128

var (
	errFileControl = errors.New("malformed file control information")

	// errFileKind is a file of a kind that the applet does not have, such
	// as one with records.
	errFileKind = errors.New("no such kind of file")
)

// parseFileControl reads an FCP or FCI template.
func parseFileControl(fci []byte) (fileControl, error) {
	const (
		tagFCP, tagFCI  = 0x62, 0x6F
		tagSizeData     = 0x80
		tagSize         = 0x81
		tagDescriptor   = 0x82
		tagID           = 0x83
		tagName         = 0x84
		tagSecurity     = 0x86
		tagShortID      = 0x88
		accessLength    = 8
		everyCondition  = 0xFF
		nameLengthLimit = 16
	)
	outer, rest, err := iso7816.ParseTLV(fci)
	if err != nil || len(rest) != 0 || outer.Tag != tagFCP && outer.Tag != tagFCI {
		return fileControl{}, errFileControl
	}
	objects, err := iso7816.ParseTLVs(outer.Value)
	if err != nil {
		return fileControl{}, errFileControl
	}
	value := map[iso7816.Tag][]byte{}
	for _, object := range objects {
		if _, twice := value[object.Tag]; twice {
			return fileControl{}, errFileControl
		}
		value[object.Tag] = object.Value
	}
	id, descriptor, access := value[tagID], value[tagDescriptor], value[tagSecurity]
	if len(id) != 2 || len(descriptor) == 0 || len(value[tagName]) > nameLengthLimit {
		return fileControl{}, errFileControl
	}
	if access != nil && (len(access) != accessLength || access[0] != everyCondition) {
		return fileControl{}, errFileControl
	}
	c := fileControl{id: uint16(id[0])<<8 | uint16(id[1]), access: access}
	switch descriptor[0] &^ descriptorShareable {
	case descriptorDF:
		c.dedicated, c.name = true, value[tagName]
		return c, nil
	case descriptorTransparent, descriptorTransparent | descriptorInternal:
	default:
		return fileControl{}, errFileKind
	}
	size, given := value[tagSize]
	if !given {
		size, given = value[tagSizeData]
	}
	switch {
	case !given:
		c.size = defaultFileSize
	case len(size) == 1:
		c.size = int(size[0])
	case len(size) == 2:
		c.size = int(size[0])<<8 | int(size[1])
	default:
		return fileControl{}, errFileControl
	}
	c.shortID = id[1] & 0x1F
	if short, ok := value[tagShortID]; ok {
		c.shortID = 0
		if len(short) == 1 {
			c.shortID = short[0] >> 3
		}
	}
	return c, nil
}
