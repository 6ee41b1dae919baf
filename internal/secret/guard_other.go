//go:build !linux

package secret

// Guard does nothing: who may look into a process is told on Linux only.
func Guard() error { return nil }
