//go:build !cgo && !windows

package p11

import (
	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

func openLibrary(path string) (library, error) {
	return nil, problem.New(problem.NotSupported, "%s: this build of cardctl cannot load PKCS#11 modules", path).
		Because("PKCS#11 needs cgo, and so a C compiler when cardctl is built.").
		Advise(advice.Run("CGO_ENABLED=1", "go", "build", "./cmd/cardctl"))
}
