//go:build !race

package certstore

const slowdown = 1
