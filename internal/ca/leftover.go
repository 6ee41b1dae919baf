package ca

import (
	"context"
	"os"
	"path/filepath"
	"slices"
)

// unusedKeys are files with keys that a renewal made that was interrupted: no certificate of
// the CA is for them. They are named and not removed, for another renewal may be on its way.
func (c *CA) unusedKeys(ctx context.Context) (unused []string, err error) {
	var used []string
	err = c.db.Rows(ctx, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		used = append(used, name)
		return err
	}, "SELECT file FROM authorities")
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(c.dir)
	for _, file := range files {
		name := file.Name()
		if made, _ := filepath.Match("ca-[0-9]*T[0-9]*Z.key", name); made && !slices.Contains(used, name) {
			unused = append(unused, filepath.Join(c.dir, name))
		}
	}
	return unused, err
}
