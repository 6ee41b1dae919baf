package applet

import (
	"archive/zip"
	"bytes"
	"io"
	"path"
	"strings"
)

// Bounds on a ZIP archive.
const (
	maxEntries   = 1 << 12
	maxComponent = 5 + 1<<20 // static resources may be long; the others have two bytes of length
)

// unpack reads the components of a CAP file, a ZIP archive in which they are
// the files of a folder called javacard (6.1.1). Names are not case sensitive.
func unpack(data []byte) ([]Component, error) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, badFile("the ZIP archive cannot be read: %v", err)
	}
	if len(archive.File) > maxEntries {
		return nil, badFile("the ZIP archive has %d entries", len(archive.File))
	}
	folder, found := "", map[byte]*zip.File{}
	for _, entry := range archive.File {
		name := strings.ReplaceAll(entry.Name, `\`, "/")
		if path.IsAbs(name) || strings.Contains("/"+name+"/", "/../") {
			return nil, badFile("the ZIP archive has an entry whose name leads outside it")
		}
		tag, ok := componentFile(name)
		if !ok {
			if strings.EqualFold(path.Ext(name), ".capx") {
				return nil, errExtended()
			}
			continue
		}
		if len(found) == 0 {
			folder = path.Dir(name)
		}
		if path.Dir(name) != folder {
			return nil, badFile("the ZIP archive has several packages, %s and %s", folder, path.Dir(name))
		}
		if found[tag] != nil {
			return nil, badFile("the %s component occurs twice", componentNames[tag])
		}
		found[tag] = entry
	}
	if len(found) == 0 {
		return nil, badFile("the ZIP archive has no components of a CAP file")
	}
	var components []Component
	for _, tag := range loadOrder() {
		entry := found[tag]
		if entry == nil {
			continue
		}
		c, err := extract(entry, tag)
		if err != nil {
			return nil, err
		}
		components = append(components, c)
	}
	return components, nil
}

// componentFile tells which component a file is: one of a known name in a
// folder called javacard.
func componentFile(name string) (byte, bool) {
	folder, base := path.Split(name)
	if !strings.EqualFold(path.Base(folder), "javacard") || !strings.EqualFold(path.Ext(base), ".cap") {
		return 0, false
	}
	base = strings.TrimSuffix(strings.ToLower(base), ".cap")
	for tag, known := range componentNames {
		if base == strings.ToLower(known) || tag == tagStaticResource && base == "staticresources" || tag == tagReferenceLocation && base == "referencelocation" {
			return tag, true
		}
	}
	return 0, false
}

// extract reads one component, and no more than one may have, whatever the
// archive says of its length.
func extract(entry *zip.File, tag byte) (Component, error) {
	name := componentNames[tag]
	limit := int64(headerLength(tag) + 0xFFFF)
	if tag == tagStaticResource {
		limit = maxComponent
	}
	if entry.UncompressedSize64 > uint64(limit) {
		return Component{}, badFile("the %s component would have %d bytes", name, entry.UncompressedSize64)
	}
	r, err := entry.Open()
	if err != nil {
		return Component{}, badFile("the %s component cannot be unpacked: %v", name, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return Component{}, badFile("the %s component cannot be unpacked: %v", name, err)
	}
	c, rest, err := cutComponent(data)
	if err != nil {
		return Component{}, err
	}
	if c.Tag != tag {
		return Component{}, badFile("%s.cap contains the %s component", name, c.Name())
	}
	if len(rest) > 0 {
		return Component{}, badFile("the %s component has %d bytes too many", name, len(rest))
	}
	return c, nil
}
