//go:build !cgo

package main

// cgo says whether this build can call C libraries.
const cgo = false
