package applet

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"

	"github.com/cardctl/cardctl/internal/gp"
)

// Report is what is in a file.
type Report struct {
	Format     Format   `json:"format"`
	CAPVersion Version  `json:"capVersion"`
	Package    Package  `json:"package"`
	Applets    []gp.AID `json:"applets"`

	// JavaCard and GlobalPlatform are the versions that the imports need,
	// "" where they do not tell.
	JavaCard       string `json:"javaCard,omitempty"`
	GlobalPlatform string `json:"globalPlatform,omitempty"`

	// Integers tells that the package uses the type int, which not every
	// card has.
	Integers bool `json:"integers"`

	Imports    []Package         `json:"imports"`
	Components []ComponentReport `json:"components"`

	// LoadSize is what is loaded, in bytes, without Descriptor and Debug.
	LoadSize     int    `json:"loadSize"`
	LoadSizeFull int    `json:"loadSizeWithDescriptorAndDebug"`
	SHA1         string `json:"sha1"`
	SHA256       string `json:"sha256"`
}

// ComponentReport is one component: its length in bytes with tag and size, and
// whether it is loaded.
type ComponentReport struct {
	Name   string `json:"name"`
	Size   int    `json:"size"`
	Loaded bool   `json:"loaded"`
}

// Report says what is in the file.
func (f *File) Report() *Report {
	data := f.LoadFile(false, false)
	r := &Report{
		Format: f.Format, CAPVersion: f.CAPVersion, Package: f.Package, Applets: append([]gp.AID{}, f.Applets...),
		JavaCard: f.javaCard(), GlobalPlatform: globalPlatform(f.Imports), Integers: f.flags&flagInt != 0,
		Imports: append([]Package{}, f.Imports...), LoadSize: len(data), LoadSizeFull: len(f.LoadFile(true, true)),
		SHA1: fmt.Sprintf("%X", sha1.Sum(data)), SHA256: fmt.Sprintf("%X", sha256.Sum256(data)),
	}
	for _, c := range f.Components {
		r.Components = append(r.Components, ComponentReport{Name: c.Name(), Size: c.Size(), Loaded: c.Tag != tagDescriptor && c.Tag != tagDebug})
	}
	return r
}
