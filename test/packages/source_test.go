//go:build packages

package packages

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSourceBuildWithoutCgo: everything works but PC/SC and PKCS#11, and what
// does not work says why.
func TestSourceBuildWithoutCgo(t *testing.T) {
	p := platform{program: filepath.Join(t.TempDir(), "cardctl")}
	build := exec.Command("go", "build", "-o", p.program, "../../cmd/cardctl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var version struct{ PCSC, PKCS11 bool }
	if err := json.Unmarshal([]byte(p.run(t, t.TempDir(), "version", "-o", "json")), &version); err != nil {
		t.Fatal(err)
	}
	if version.PCSC || version.PKCS11 {
		t.Errorf("version says %+v", version)
	}
	checkWay(t, p)

	const notSupported = 7
	dir := t.TempDir()
	refused(t, p, dir, notSupported, "built without PC/SC", "list-readers")
	refused(t, p, dir, notSupported, "built without PC/SC", "info")
	refused(t, p, dir, notSupported, "needs cgo", "list-tokens", "--module", "opensc")
	p.run(t, dir, "sim", "create", "desk")
	p.run(t, dir, "list-readers")
}
