//go:build race

package certstore

// slowdown is how much longer work takes under the race detector, at most.
const slowdown = 10
