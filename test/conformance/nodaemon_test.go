//go:build !stack && cgo

package conformance

// throughDaemon is empty where no PC/SC daemon is meant to run.
var throughDaemon []kind
