package cardsim

import (
	"bytes"
	"encoding/binary"
)

// loadFile is what the card reads of a CAP file's components, one after
// another as they are loaded (Java Card Virtual Machine Specification 3.0.5,
// chapter 6).
type loadFile struct {
	format  byte // minor version of the CAP format 2
	header  packageInfo
	imports []importedPackage
	applets [][]byte
	size    int // bytes that stay on the card
}

// packageInfo is the package of the header component (6.4).
type packageInfo struct {
	major, minor byte
	aid          []byte
}

// importedPackage is one of the import component (6.7).
type importedPackage packageInfo

func (p importedPackage) satisfies(needed importedPackage) bool {
	return bytes.Equal(p.aid, needed.aid) && p.major == needed.major && p.minor >= needed.minor
}

// Component tags (6.2).
const (
	componentHeader       = 1
	componentDirectory    = 2
	componentApplet       = 3
	componentImport       = 4
	componentConstantPool = 5
	componentClass        = 6
	componentMethod       = 7
	componentStaticField  = 8
	componentReferences   = 9
	componentExport       = 10
	componentDescriptor   = 11
	componentDebug        = 12
	componentStatic       = 13 // static resources, since version 2.3
)

// loadOrder is the order in which components are loaded (6.1.1), and whether
// one may be missing.
func loadOrder() []struct {
	tag      byte
	optional bool
} {
	return []struct {
		tag      byte
		optional bool
	}{
		{componentHeader, false}, {componentDirectory, false}, {componentImport, false},
		{componentApplet, true}, {componentClass, false}, {componentMethod, false},
		{componentStaticField, false}, {componentExport, true}, {componentConstantPool, false},
		{componentReferences, false}, {componentStatic, true}, {componentDescriptor, true}, {componentDebug, true},
	}
}

// parseLoadFile reads components that fill data.
func parseLoadFile(data []byte) (*loadFile, bool) {
	components := map[byte][]byte{}
	order := loadOrder()
	for len(data) > 0 {
		if len(data) < 3 || data[0] == componentStatic && len(data) < 5 {
			return nil, false
		}
		tag, head, length := data[0], 3, int(binary.BigEndian.Uint16(data[1:]))
		if tag == componentStatic {
			head, length = 5, int(binary.BigEndian.Uint32(data[1:]))
		}
		if length > len(data)-head {
			return nil, false
		}
		for len(order) > 0 && order[0].tag != tag && order[0].optional {
			order = order[1:]
		}
		if len(order) == 0 || order[0].tag != tag {
			return nil, false
		}
		order = order[1:]
		components[tag] = data[head : head+length]
		data = data[head+length:]
	}
	for _, missing := range order {
		if !missing.optional {
			return nil, false
		}
	}
	var f loadFile
	ok := f.readHeader(components[componentHeader]) && f.readImports(components[componentImport])
	if applets, there := components[componentApplet]; there {
		ok = ok && f.readApplets(applets)
	}
	if !ok || !f.readDirectory(components) {
		return nil, false
	}
	for tag, component := range components {
		switch tag {
		case componentReferences, componentDescriptor, componentDebug: // for the linker alone
		default:
			f.size += len(component)
		}
	}
	return &f, true
}

// readHeader reads the header component (6.4), of the versions 2.1 to 2.3.
func (f *loadFile) readHeader(data []byte) bool {
	const magic = 0xDECAFFED
	if len(data) < 7 || binary.BigEndian.Uint32(data) != magic || data[5] != 2 || data[4] < 1 || data[4] > 3 {
		return false
	}
	const flags = 6
	var ok bool
	f.format = data[4]
	f.header.minor, f.header.major, f.header.aid, data, ok = readPackage(data[flags+1:])
	if !ok {
		return false
	}
	if len(data) > 0 { // the name of the package, from version 2.2 on
		_, data, ok = lengthValue(data)
	}
	return ok && len(data) == 0
}

// readPackage is package_info: minor and major version, AID.
func readPackage(data []byte) (minor, major byte, aid, rest []byte, ok bool) {
	if len(data) < 3 {
		return 0, 0, nil, nil, false
	}
	aid, rest, ok = lengthValue(data[2:])
	return data[0], data[1], aid, rest, ok && validAID(aid)
}

func (f *loadFile) readImports(data []byte) bool {
	if len(data) == 0 {
		return false
	}
	count, data := int(data[0]), data[1:]
	for range count {
		var p importedPackage
		var ok bool
		if p.minor, p.major, p.aid, data, ok = readPackage(data); !ok {
			return false
		}
		f.imports = append(f.imports, p)
	}
	return len(data) == 0
}

// readApplets reads the applet component (6.6).
func (f *loadFile) readApplets(data []byte) bool {
	if len(data) == 0 || data[0] == 0 {
		return false
	}
	count, data := int(data[0]), data[1:]
	for range count {
		aid, rest, ok := lengthValue(data)
		if !ok || !validAID(aid) || len(rest) < 2 { // the offset of the install method
			return false
		}
		f.applets = append(f.applets, aid)
		data = rest[2:]
	}
	return len(data) == 0
}

// readDirectory compares the directory component (6.5) with what is there. It
// knows the size of components that were left out too.
func (f *loadFile) readDirectory(components map[byte][]byte) bool {
	const static, counts = 6, 3
	data := components[componentDirectory]
	sizes, resources := componentDescriptor, 0
	if room := 2*componentDebug + static + counts; len(data) >= room && len(data)-room == customLength(data[room-1:]) {
		sizes = componentDebug // from version 2.2 on
	}
	if f.format == 3 {
		sizes, resources = componentDebug, 4 // the length of static resources has four bytes
	}
	if len(data) < 2*sizes+resources+static+counts {
		return false
	}
	if resources > 0 && int(binary.BigEndian.Uint32(data[2*sizes:])) != len(components[componentStatic]) {
		return false
	}
	for tag := byte(1); int(tag) <= sizes; tag++ {
		said := int(binary.BigEndian.Uint16(data[2*(tag-1):]))
		component, there := components[tag]
		if there && said != len(component) || !there && said != 0 && tag < componentDescriptor {
			return false
		}
	}
	tail := data[2*sizes+resources+static:]
	return int(tail[0]) == len(f.imports) && int(tail[1]) == len(f.applets) && customLength(tail[2:]) == len(tail)-counts
}

// customLength is the length of the custom components that the directory
// counts and names, in bytes; -1 where it is malformed. Each has a tag, a size
// and an AID.
func customLength(data []byte) int {
	if len(data) == 0 {
		return -1
	}
	count, rest := int(data[0]), data[1:]
	total := len(rest)
	for range count {
		if len(rest) < 3 {
			return -1
		}
		var ok bool
		if _, rest, ok = lengthValue(rest[3:]); !ok {
			return -1
		}
	}
	return total - len(rest)
}

// entry is the package in the registry.
func (f *loadFile) entry() *javaPackage {
	p := &javaPackage{AID: f.header.aid, Version: []byte{f.header.major, f.header.minor}, Modules: f.applets, Size: f.size}
	for _, needed := range f.imports {
		p.Imports = append(p.Imports, needed.aid)
	}
	return p
}

// runtimePackages are those of a card of Java Card 3.1 with the API of
// GlobalPlatform.
func runtimePackages() []importedPackage {
	sun := func(tail ...byte) []byte { return append([]byte{0xA0, 0x00, 0x00, 0x00, 0x62}, tail...) }
	return []importedPackage{
		{1, 0, sun(0x00, 0x01)},                                  // java.lang
		{1, 0, sun(0x00, 0x02)},                                  // java.io
		{1, 0, sun(0x00, 0x03)},                                  // java.rmi
		{1, 8, sun(0x01, 0x01)},                                  // javacard.framework
		{1, 1, sun(0x01, 0x01, 0x01)},                            // javacard.framework.service
		{1, 8, sun(0x01, 0x02)},                                  // javacard.security
		{1, 8, sun(0x02, 0x01)},                                  // javacardx.crypto
		{1, 0, sun(0x02, 0x02)},                                  // javacardx.biometry
		{1, 0, sun(0x02, 0x03)},                                  // javacardx.external
		{1, 0, sun(0x02, 0x05)},                                  // javacardx.framework
		{1, 0, sun(0x02, 0x08)},                                  // javacardx.framework.util
		{1, 0, sun(0x02, 0x08, 0x01)},                            // javacardx.framework.util.intx
		{1, 0, sun(0x02, 0x09)},                                  // javacardx.apdu
		{1, 6, []byte{0xA0, 0x00, 0x00, 0x01, 0x51, 0x00}},       // org.globalplatform
		{1, 1, []byte{0xA0, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00}}, // visa.openplatform
	}
}
