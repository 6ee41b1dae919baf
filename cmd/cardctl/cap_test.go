package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/hex"
)

// capFile is a package of applets to make a CAP file of (Java Card Virtual
// Machine Specification 2.2.2, chapter 6). Its code is zeros.
type capFile struct {
	pkg     string   // AIDs in hex
	applets []string // in the package
	imports []string // beside javacard.framework 1.2
	code    int      // bytes of the Method component
	folder  string   // where the components are
}

// The components in the order of the archive.
var capComponents = []string{
	"Header", "Directory", "Import", "Applet", "Class", "Method", "StaticField", "ConstantPool", "RefLocation", "Descriptor",
}

var capTags = map[string]byte{
	"Header": 1, "Directory": 2, "Applet": 3, "Import": 4, "ConstantPool": 5, "Class": 6, "Method": 7,
	"StaticField": 8, "RefLocation": 9, "Descriptor": 11,
}

// components are the components with tag and length.
func (c capFile) components() map[string][]byte {
	info := map[string][]byte{
		"Class": make([]byte, 20), "Method": make([]byte, max(1, c.code)), "StaticField": make([]byte, 10),
		"ConstantPool": make([]byte, 40), "RefLocation": make([]byte, 30), "Descriptor": make([]byte, 100),
	}
	const hasApplets, minor, major = 0x04, 2, 2
	flags := byte(0)
	if len(c.applets) > 0 {
		flags = hasApplets
		info["Applet"] = []byte{byte(len(c.applets))}
	}
	info["Header"] = append([]byte{0xDE, 0xCA, 0xFF, 0xED, minor, major, flags, 0, 1}, sized(c.pkg)...)
	info["Header"] = append(info["Header"], 9, 't', 'e', 's', 't', '/', 'd', 'e', 's', 'k')
	for _, aid := range c.applets {
		info["Applet"] = append(append(info["Applet"], sized(aid)...), 0, 0x10)
	}
	info["Import"] = append([]byte{byte(1 + len(c.imports)), 2, 1}, sized("A0000000620101")...)
	for _, aid := range c.imports {
		info["Import"] = append(append(info["Import"], 0, 1), sized(aid)...)
	}
	const sizes = 12
	directory := make([]byte, 2*sizes)
	info["Directory"] = append(directory, 0, 0, 0, 0, 0, 0, byte(1+len(c.imports)), byte(len(c.applets)), 0)
	for name, data := range info {
		binary.BigEndian.PutUint16(info["Directory"][2*(capTags[name]-1):], uint16(len(data)))
	}
	all := map[string][]byte{}
	for name, data := range info {
		all[name] = append([]byte{capTags[name], byte(len(data) >> 8), byte(len(data))}, data...)
	}
	return all
}

// sized is bytes in hex with their number before them.
func sized(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return append([]byte{byte(len(b))}, b...)
}

// bytes is the CAP file.
func (c capFile) bytes() ([]byte, error) {
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	all := c.components()
	for _, name := range capComponents {
		data, ok := all[name]
		if !ok {
			continue
		}
		f, err := archive.Create(c.folder + "javacard/" + name + ".cap")
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return b.Bytes(), err
}

// ijc is the same package as an IJC file: the components one after the other.
func (c capFile) ijc() []byte {
	var b []byte
	all := c.components()
	for _, name := range capComponents {
		b = append(b, all[name]...)
	}
	return b
}
