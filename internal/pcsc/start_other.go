//go:build !linux && !windows

package pcsc

const startHint = "start the PC/SC service (pcscd) of this system"
