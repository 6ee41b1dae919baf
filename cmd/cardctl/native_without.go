//go:build !cgo && !windows

package main

// native says whether this build can call libraries of the system. Only Windows needs no cgo.
const native = false
