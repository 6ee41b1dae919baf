//go:build !cgo && !windows

package p11

// Without cgo no module is loaded that could look.
func setForModules(string, string) {}
func unsetForModules(string)       {}
