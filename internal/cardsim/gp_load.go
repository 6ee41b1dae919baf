package cardsim

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// loading is a load file that is not complete: it is in volatile memory, and
// gone with the session.
type loading struct {
	aid, hash []byte
	domain    []byte // that the package belongs to, nil for the issuer's
	block     int    // the next one
	file      []byte
}

// loadBlock is LOAD (11.6): P1 says whether it is the last block, P2 numbers
// it.
func (a *gp) loadBlock(c iso7816.Command) ([]byte, iso7816.Status) {
	const last = 0x80
	load := a.load
	a.load = nil
	switch {
	case load == nil:
		return nil, iso7816.StatusConditionsNotSatisfied
	case c.P1&^last != 0 || int(c.P2) != load.block:
		return nil, iso7816.StatusWrongP1P2
	case len(c.Data) == 0:
		return nil, iso7816.StatusWrongLength
	}
	load.file = append(load.file, c.Data...)
	load.block++
	size, complete, status := load.progress()
	switch {
	case status != iso7816.StatusOK:
		return nil, status
	case min(size, len(load.file)) > a.state.free():
		return nil, iso7816.StatusNoSpace
	case c.P1&last == 0:
		a.load = load
		return confirmation(iso7816.StatusOK)
	case !complete:
		return nil, iso7816.StatusWrongData
	}
	return confirmation(a.link(load))
}

// tagLoadFile is the load file data block (11.6.2.3); before it may stand DAP
// blocks, and this card has nobody to verify them for.
const tagLoadFile = 0xC4

// progress reads the length of the load file, in bytes, and whether it is all
// there.
func (l *loading) progress() (size int, complete bool, status iso7816.Status) {
	if l.file[0] != tagLoadFile {
		return 0, false, iso7816.StatusWrongData
	}
	size, content, err := iso7816.ParseLength(l.file[1:])
	switch {
	case err != nil && len(l.file) >= 5:
		return 0, false, iso7816.StatusWrongData
	case err != nil: // a first block that ends in the length
		return 0, false, iso7816.StatusOK
	case len(content) > size:
		return 0, false, iso7816.StatusWrongData
	}
	return size, len(content) == size, iso7816.StatusOK
}

// link checks a complete load file and puts the package on the card.
func (a *gp) link(load *loading) iso7816.Status {
	_, content, err := iso7816.ParseLength(load.file[1:])
	if err != nil {
		return iso7816.StatusWrongData
	}
	if !hashMatches(load.hash, content) {
		return iso7816.StatusWrongData
	}
	file, ok := parseLoadFile(content)
	if !ok || !bytes.Equal(file.header.aid, load.aid) {
		return iso7816.StatusWrongData
	}
	for _, needed := range file.imports {
		if !a.provides(needed) {
			return statusNoImport
		}
	}
	p := file.entry()
	p.Domain = load.domain
	if p.Size > a.state.free() {
		return iso7816.StatusNoSpace
	}
	a.state.Packages = append(a.state.Packages, p)
	return a.save()
}

// hashLength reports whether a hash of this length, in bytes, is one of the
// card's: none, SHA-1, or of SHA-2.
func hashLength(n int) bool {
	switch n {
	case 0, sha1.Size, sha256.Size, sha512.Size384, sha512.Size:
		return true
	}
	return false
}

// hashMatches checks the load file data block hash (C.2).
func hashMatches(hash, content []byte) bool {
	switch len(hash) {
	case sha1.Size:
		sum := sha1.Sum(content)
		return bytes.Equal(hash, sum[:])
	case sha256.Size:
		sum := sha256.Sum256(content)
		return bytes.Equal(hash, sum[:])
	case sha512.Size384:
		sum := sha512.Sum384(content)
		return bytes.Equal(hash, sum[:])
	case sha512.Size:
		sum := sha512.Sum512(content)
		return bytes.Equal(hash, sum[:])
	}
	return true
}

// provides reports whether a package that another needs is on the card, in the
// chip or loaded: the same major version and at least the minor one (Java Card
// Virtual Machine Specification 3.0.5, 4.5.2).
func (a *gp) provides(needed importedPackage) bool {
	for _, own := range runtimePackages() {
		if own.satisfies(needed) {
			return true
		}
	}
	if p := a.state.findPackage(needed.aid); p != nil {
		return importedPackage{major: p.Version[0], minor: p.Version[1], aid: p.AID}.satisfies(needed)
	}
	return false
}
