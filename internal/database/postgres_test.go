package database

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// A server elsewhere must prove who it is, and a password is not in an address.
func TestAddressesOfServers(t *testing.T) {
	t.Setenv("PGSSLMODE", "disable")
	for address, want := range map[string]string{
		"postgres://u@h.example/d":                                   "verified",
		"postgres://u@h.example/d?sslmode=verify-full":               "verified",
		"postgres://u@192.0.2.1/d":                                   "verified",
		"postgres://u@localhost/d":                                   "near",
		"postgres://u@127.0.0.1/d?sslmode=disable":                   "near",
		"postgres://u@[::1]/d":                                       "near",
		"postgres://u@/d?host=/run/postgresql":                       "near",
		"postgres://u@localhost/d?sslmode=verify-full":               "verified",
		"postgres://u@h.example/d?sslmode=disable":                   "",
		"postgres://u@h.example/d?sslmode=prefer":                    "",
		"postgres://u@h.example/d?sslmode=require":                   "",
		"postgres://u@h.example/d?sslmode=verify-ca":                 "",
		"postgres://u@localhost,h.example/d?sslmode=prefer":          "",
		"postgres://u@localhost/d?host=h.example&sslmode=allow":      "",
		"postgres://u@localhost.example/d?sslmode=require":           "",
		"postgres://u:secret@h.example/d":                            "",
		"postgres://u:@h.example/d":                                  "",
		"postgres://u@h.example/d?password=secret":                   "",
		"postgres://u@h.example/d?sslpassword=secret":                "",
		"postgres://u@h.example:port/d":                              "",
		"postgres://%zz/d":                                           "",
		"postgres://u@h.example/d?sslmode=secret&sslrootcert=secret": "",
	} {
		config, err := configure(address)
		switch {
		case want == "" && !problem.Is(err, problem.Usage):
			t.Errorf("%s: %v", address, err)
		case want == "" && strings.Contains(err.Error(), ":secret@"):
			t.Errorf("the password is shown: %v", err)
		case want == "":
		case err != nil:
			t.Errorf("%s: %v", address, err)
		case want == "verified" && (config.TLSConfig == nil || config.TLSConfig.InsecureSkipVerify || len(config.Fallbacks) != 0):
			t.Errorf("%s: nobody verifies the server", address)
		}
	}
}
