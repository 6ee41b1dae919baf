package openvpn

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/opensslconf"
	"github.com/cardctl/cardctl/internal/p11"
)

// environment is that of OpenVPN. OpenSC looks for the driver of the card alone, so that
// it shows the right one of a card with several applications. What is limited to TLS 1.2
// is OpenVPN alone, by a file in a directory that is taken away with it.
func (s *setting) environment(driver, dir string) ([]string, error) {
	env := slices.Clone(s.desk.ChildEnv)
	if driver != "" && !slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, p11.DriverVariable+"=") }) {
		env = append(env, p11.DriverVariable+"="+driver)
	}
	if !s.options.AllowTLS12 {
		return env, nil
	}
	path := filepath.Join(dir, "openssl.cnf")
	text := opensslconf.Text(env, opensslconf.Additions{TLS12: true})
	return append(env, opensslconf.Variable+"="+path), os.WriteFile(path, []byte(text), 0o600)
}
