package secret

import (
	"os"

	"golang.org/x/sys/unix"
)

// Kept is a clone to be kept for long: in a page of its own, which is neither swapped, as far
// as the limits of the process allow, nor part of a core file; nil of nil.
func (s *Bytes) Kept() *Bytes {
	if s.Len() == 0 || s.Len() > os.Getpagesize() {
		return s.Clone()
	}
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return s.Clone()
	}
	_ = unix.Mlock(page)
	_ = unix.Madvise(page, unix.MADV_DONTDUMP)
	n := copy(page, s.b)
	return &Bytes{b: page[:n], release: func() { _ = unix.Munmap(page) }}
}
