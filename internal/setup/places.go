package setup

import (
	"cmp"
	"path/filepath"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/secret"
)

// module is the file of the PKCS#11 module that the program will load.
func (j *job) module() (string, error) {
	return p11.DefaultPlaces().Locate(cmp.Or(j.Module, desk.DefaultModule))
}

// getenv is a variable of whoever runs cardctl, empty if it is not set.
func (o *Options) getenv(name string) string {
	value, _ := secret.Lookup(o.Environ, name)
	return value
}

// directory is the one that a variable names, empty for none.
func (o *Options) directory(variable string) string {
	if dir := o.getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	return ""
}

// config is the directory for configurations, of the XDG specification.
func (o *Options) config() string {
	return cmp.Or(o.directory("XDG_CONFIG_HOME"), filepath.Join(o.Home, ".config"))
}
