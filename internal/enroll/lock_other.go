//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package enroll

// lock keeps nobody out here.
func lock(string) (unlock func(), err error) { return func() {}, nil }
