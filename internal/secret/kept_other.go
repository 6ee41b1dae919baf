//go:build !linux

package secret

// Kept is a clone to be kept for long; nil of nil.
func (s *Bytes) Kept() *Bytes { return s.Clone() }
