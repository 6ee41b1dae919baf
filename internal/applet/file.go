package applet

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
)

// maxFile is the greatest length of a CAP or IJC file in bytes. A package has
// at most a few hundred kilobytes; class files beside it a few times that.
const maxFile = 16 << 20

// Format is how the components are packed.
type Format string

// The formats.
const (
	FormatCAP Format = "CAP"
	FormatIJC Format = "IJC"
)

// File is a Java Card package as it can be loaded.
type File struct {
	Format     Format
	CAPVersion Version
	Package    Package
	Applets    []gp.AID
	Imports    []Package

	// Components are in the order in which they are loaded.
	Components []Component

	flags byte
}

// badFile is a file that is not what it claims to be.
func badFile(format string, args ...any) *problem.Error {
	return problem.New(problem.Mismatch, "this is not a CAP or IJC file that can be loaded").Because("%s.", sentenceOf(format, args...))
}

func sentenceOf(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if text == "" {
		return ""
	}
	s := problem.Sentence(text)
	return s[:len(s)-1]
}

func errExtended() error {
	p := badFile("the file has the extended format (.capx), which cards do not accept as one load file")
	p.Code = problem.Mismatch
	return p.Advise(advice.Say("Convert the package again in the compact format, with one package per file."))
}

// ReadFile reads a CAP or IJC file. A file that is none is a problem.Mismatch.
func ReadFile(ctx context.Context, path string) (*File, error) {
	data, err := input.File(ctx, path, maxFile)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil, err
	}
	if err == nil && len(data) > maxFile {
		err = badFile("the file has more than %d MiB", maxFile>>20)
	}
	if err == nil {
		var f *File
		if f, err = Parse(data); err == nil {
			return f, nil
		}
	}
	var known *problem.Error
	if errors.As(err, &known) {
		return nil, problem.Wrap(known.Code, err, filepath.Base(path))
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, problem.Wrap(problem.NotFound, err, path)
	}
	return nil, problem.Wrap(problem.Failed, err, path)
}

// Parse reads the bytes of a CAP or IJC file.
func Parse(data []byte) (*File, error) {
	var components []Component
	var err error
	f := &File{}
	switch {
	case len(data) == 0:
		return nil, badFile("the file is empty")
	case bytes.HasPrefix(data, []byte("PK")):
		f.Format = FormatCAP
		components, err = unpack(data)
	case data[0] == tagHeader:
		f.Format = FormatIJC
		components, err = split(data)
	default:
		return nil, badFile("the file starts neither as a ZIP archive nor with a Header component")
	}
	if err != nil {
		return nil, err
	}
	return f, f.take(components)
}

// split reads the components of an IJC file, one after the other.
func split(data []byte) ([]Component, error) {
	var components []Component
	for len(data) > 0 {
		c, rest, err := cutComponent(data)
		if err != nil {
			return nil, err
		}
		components, data = append(components, c), rest
	}
	return components, nil
}

// take checks the components against each other and reads what they say.
func (f *File) take(components []Component) error {
	byTag := map[byte]Component{}
	for _, c := range components {
		if _, twice := byTag[c.Tag]; twice {
			return badFile("the %s component occurs twice", c.Name())
		}
		byTag[c.Tag] = c
	}
	for _, tag := range []byte{
		tagHeader, tagDirectory, tagImport, tagConstantPool, tagClass, tagMethod, tagStaticField, tagReferenceLocation,
	} {
		if _, ok := byTag[tag]; !ok {
			return badFile("the %s component is missing", componentNames[tag])
		}
	}
	if err := f.header(byTag[tagHeader]); err != nil {
		return err
	}
	d, err := readDirectory(byTag[tagDirectory], f.CAPVersion)
	if err != nil {
		return err
	}
	if err := d.compare(byTag); err != nil {
		return err
	}
	if err := f.imports(byTag[tagImport]); err != nil {
		return err
	}
	if c, ok := byTag[tagApplet]; ok {
		if err := f.applets(c); err != nil {
			return err
		}
	}
	if (f.flags&flagApplet != 0) != (len(f.Applets) > 0) {
		return badFile("the Header and Applet components disagree about whether there are applets")
	}
	if len(f.Imports) != d.imports || len(f.Applets) != d.applets {
		return badFile("the Directory component counts %d imports and %d applets, and the file has %d and %d", d.imports, d.applets, len(f.Imports), len(f.Applets))
	}
	for _, tag := range loadOrder() {
		if c, ok := byTag[tag]; ok {
			f.Components = append(f.Components, c)
		}
	}
	return nil
}

// compare holds the sizes of the Directory component against the components.
// Descriptor and Debug may have been left out: a card does not need them.
func (d directory) compare(byTag map[byte]Component) error {
	for tag := byte(tagHeader); tag <= tagStaticResource; tag++ {
		c, there := byTag[tag]
		size := d.sizes[tag]
		switch {
		case !there && size > 0 && tag != tagDescriptor && tag != tagDebug:
			return badFile("the %s component is missing", componentNames[tag])
		case there && len(c.info()) != size && (size > 0 || tag != tagDebug):
			return badFile("the %s component has %d bytes, and the Directory component states %d", c.Name(), len(c.info()), size)
		}
	}
	return nil
}

// LoadFile is the load file data block: the components that a card gets, one
// after the other. A card needs neither Descriptor nor Debug, and they make it
// longer.
func (f *File) LoadFile(descriptor, debug bool) []byte {
	var data []byte
	for _, c := range f.Components {
		if c.Tag == tagDescriptor && !descriptor || c.Tag == tagDebug && !debug {
			continue
		}
		data = append(data, c.data...)
	}
	return data
}

// Hash is the load file data block hash: "sha1", 20 bytes, or "sha256", 32.
func (f *File) Hash(algorithm string, descriptor, debug bool) ([]byte, error) {
	switch data := f.LoadFile(descriptor, debug); algorithm {
	case "sha1":
		sum := sha1.Sum(data)
		return sum[:], nil
	case "sha256":
		sum := sha256.Sum256(data)
		return sum[:], nil
	}
	return nil, problem.New(problem.Usage, "unknown load file hash %q", algorithm).
		Because("Valid hashes: sha1, sha256, auto.").Advise(advice.Repeat(advice.Switch(advice.LoadHash)))
}

// listed is which applets the file has.
func (f *File) listed() string {
	if len(f.Applets) == 0 {
		return "The file is a library, and has no applets."
	}
	return "Applets: " + aids(f.Applets) + "."
}

// hasApplet reports whether the file has an applet with this AID.
func (f *File) hasApplet(aid gp.AID) bool { return slices.ContainsFunc(f.Applets, aid.Equal) }
