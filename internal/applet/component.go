package applet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/gp"
)

// Tags of the components of a CAP file (Java Card Virtual Machine
// Specification, 6.2).
const (
	tagHeader = iota + 1
	tagDirectory
	tagApplet
	tagImport
	tagConstantPool
	tagClass
	tagMethod
	tagStaticField
	tagReferenceLocation
	tagExport
	tagDescriptor
	tagDebug
	tagStaticResource
)

// componentNames are the names of the components, and of their files.
var componentNames = map[byte]string{
	tagHeader: "Header", tagDirectory: "Directory", tagApplet: "Applet", tagImport: "Import", tagConstantPool: "ConstantPool",
	tagClass: "Class", tagMethod: "Method", tagStaticField: "StaticField", tagReferenceLocation: "RefLocation",
	tagExport: "Export", tagDescriptor: "Descriptor", tagDebug: "Debug", tagStaticResource: "StaticResource",
}

// loadOrder is the order in which components reach a card (6.2.1 and
// GlobalPlatform's practice): those that are resolved first come first.
func loadOrder() []byte {
	return []byte{
		tagHeader, tagDirectory, tagImport, tagApplet, tagClass, tagMethod, tagStaticField, tagExport, tagConstantPool,
		tagReferenceLocation, tagStaticResource, tagDescriptor, tagDebug,
	}
}

// Version is a version of a package or of the CAP format.
type Version struct{ Major, Minor byte }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// MarshalText is the version as people write it.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Component is one component of a file, with its tag and length.
type Component struct {
	Tag  byte
	data []byte
}

// Name is the name of the component as its file is called, without ".cap".
func (c Component) Name() string {
	if name, ok := componentNames[c.Tag]; ok {
		return name
	}
	return fmt.Sprintf("component %d", c.Tag)
}

// Size is its length in bytes, tag and length included.
func (c Component) Size() int { return len(c.data) }

// headerLength is the length of tag and size: the size has two bytes, of
// static resources four.
func headerLength(tag byte) int {
	if tag == tagStaticResource {
		return 5
	}
	return 3
}

// info is what follows tag and size.
func (c Component) info() []byte { return c.data[headerLength(c.Tag):] }

// cutComponent reads one component from the start of data.
func cutComponent(data []byte) (c Component, rest []byte, err error) {
	if len(data) == 0 {
		return c, nil, badFile("the file ends where a component should begin")
	}
	c.Tag = data[0]
	if _, ok := componentNames[c.Tag]; !ok {
		return c, nil, badFile("%d is not the tag of a component", c.Tag)
	}
	n := headerLength(c.Tag)
	if len(data) < n {
		return c, nil, badFile("the %s component is truncated", c.Name())
	}
	size := 0
	for _, b := range data[1:n] {
		size = size<<8 | int(b)
	}
	if size > len(data)-n {
		return c, nil, badFile("the %s component states %d bytes, and has %d", c.Name(), size, len(data)-n)
	}
	if size == 0 {
		return c, nil, badFile("the %s component is empty", c.Name())
	}
	c.data = data[: n+size : n+size]
	return c, data[n+size:], nil
}

// reader reads a component's info; what is missing is an error of the whole.
type reader struct {
	name string
	rest []byte
	err  error
}

func read(c Component) *reader { return &reader{name: c.Name(), rest: c.info()} }

func (r *reader) bytes(n int) []byte {
	if r.err != nil || n > len(r.rest) {
		r.fail("is truncated")
		return make([]byte, n)
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u1() byte { return r.bytes(1)[0] }

func (r *reader) u2() int {
	b := r.bytes(2)
	return int(b[0])<<8 | int(b[1])
}

// aid reads an AID with its length before it.
func (r *reader) aid() gp.AID {
	aid := gp.AID(r.bytes(int(r.u1())))
	if err := aid.Check(); err != nil && r.err == nil {
		r.fail("has an AID of %d bytes", len(aid))
	}
	return aid
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = badFile("the %s component "+format, append([]any{r.name}, args...)...)
	}
}

// end is the error of what was read; bytes left over are one.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail("has %d bytes too many", len(r.rest))
	}
	return r.err
}

// Package is a package with its version.
type Package struct {
	AID     gp.AID  `json:"aid"`
	Version Version `json:"version"`
	// Name is the name with dots; empty where it is not known.
	Name string `json:"name,omitempty"`
}

// packageInfo is the structure package_info (6.4).
func (r *reader) packageInfo() Package {
	minor, major := r.u1(), r.u1()
	return Package{AID: r.aid(), Version: Version{major, minor}}
}

// Flags of the Header component (table 6-3).
const (
	flagInt      = 0x01
	flagApplet   = 0x04
	flagExtended = 0x08
	magic        = "\xDE\xCA\xFF\xED"
)

// header reads the Header component (6.4).
func (f *File) header(c Component) error {
	r := read(c)
	if string(r.bytes(len(magic))) != magic && r.err == nil {
		return badFile("the Header component does not start with DECAFFED")
	}
	minor, major := r.u1(), r.u1()
	f.CAPVersion = Version{major, minor}
	f.flags = r.u1()
	if r.err != nil {
		return r.err
	}
	if major != 2 || minor < 1 || minor > 3 {
		return badFile("the file has version %s of the CAP format; versions 2.1 to 2.3 are supported", f.CAPVersion)
	}
	if f.flags&flagExtended != 0 {
		return errExtended()
	}
	f.Package = r.packageInfo()
	if len(r.rest) > 0 { // package_name_info, since 2.2
		f.Package.Name = strings.ReplaceAll(string(r.bytes(int(r.u1()))), "/", ".")
	}
	return r.end()
}

// applets reads the Applet component (6.6).
func (f *File) applets(c Component) error {
	r := read(c)
	for range r.u1() {
		aid := r.aid()
		_ = r.u2() // install_method_offset
		if r.err != nil {
			return r.err
		}
		if slices.ContainsFunc(f.Applets, aid.Equal) {
			return badFile("two applets have the AID %s", aid)
		}
		f.Applets = append(f.Applets, aid)
	}
	if len(f.Applets) == 0 {
		r.fail("names no applet")
	}
	return r.end()
}

// imports reads the Import component (6.7).
func (f *File) imports(c Component) error {
	r := read(c)
	for range r.u1() {
		p := r.packageInfo()
		p.Name = packageName(p.AID)
		if r.err != nil {
			return r.err
		}
		f.Imports = append(f.Imports, p)
	}
	return r.end()
}

// directory is the Directory component (6.5): the sizes by tag, and counts.
type directory struct {
	sizes            [tagStaticResource + 1]int
	imports, applets int
}

// readDirectory reads the Directory component. Its list of sizes has one entry
// for each component that the version of the format knows: 11 in 2.1, 12 in
// 2.2, and in 2.3 a last one of four bytes for static resources.
func readDirectory(c Component, version Version) (d directory, err error) {
	layouts := map[byte][]int{1: {11}, 2: {12}, 3: {13, 12}}[version.Minor]
	for _, count := range layouts {
		if d, err = readSizes(c, count); err == nil {
			return d, nil
		}
	}
	return d, err
}

func readSizes(c Component, count int) (d directory, err error) {
	r := read(c)
	for tag := 1; tag <= count; tag++ {
		if tag == tagStaticResource {
			d.sizes[tag] = r.u2() << 16
		}
		d.sizes[tag] |= r.u2()
	}
	_ = r.bytes(6) // static_field_size_info
	d.imports, d.applets = int(r.u1()), int(r.u1())
	for range r.u1() {
		_ = r.bytes(3) // tag and size of a custom component
		_ = r.aid()
		if r.err != nil {
			break
		}
	}
	return d, r.end()
}
