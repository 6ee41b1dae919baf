//go:build cgo && unix

package mutation

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// overlay is what the compiler gets instead of files, or in addition.
type overlay struct {
	dir     string
	files   int               // that were written
	Replace map[string]string // the files that are there, by the path that the compiler knows
}

func newOverlay(dir string) *overlay { return &overlay{dir: dir, Replace: map[string]string{}} }

// put has the compiler get this content at a path.
func (o *overlay) put(path, content string) error {
	o.files++
	there := filepath.Join(o.dir, fmt.Sprintf("%d-%s", o.files, filepath.Base(path)))
	o.Replace[path] = there
	return os.WriteFile(there, []byte(content), 0o600)
}

// flag writes the overlay, and returns the flag for it.
func (o *overlay) flag() (string, error) {
	file := filepath.Join(o.dir, "overlay")
	content, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	return "-overlay=" + file, os.WriteFile(file, content, 0o600)
}
