//go:build !cgo

package p11

import "github.com/cardctl/cardctl/internal/problem"

func openLibrary(path string) (library, error) {
	return nil, problem.New(problem.NotSupported, "%s: this cardctl cannot load PKCS#11 modules", path).
		Because("It was built without cgo, which PKCS#11 needs.").
		Hint("build it with a C compiler at hand: CGO_ENABLED=1 go build ./cmd/cardctl")
}
