// Package opensslconf writes configurations of OpenSSL that include the one of the
// system, which itself stays as it is. config(5) of OpenSSL has the format.
package opensslconf

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/input"
)

// Variable names the configuration that a program with OpenSSL reads.
const Variable = "OPENSSL_CONF"

// Engine is the name of libp11's engine, to which a key is a URI.
const Engine = "pkcs11"

// Additions are what a configuration has besides that of the system.
type Additions struct {
	// Module is the PKCS#11 module that the engine of libp11 loads; empty for no engine.
	Module string
	// Started has OpenSSL itself start the engine, for programs that use it without.
	Started bool
	// TLS12 limits TLS to version 1.2, and to signatures that cards make of RSA keys
	// without RSA-PSS.
	TLS12 bool
}

// Text is a configuration with the additions. Environ is that of the program, which may
// name another configuration than that of the system.
func Text(environ []string, a Additions) string {
	var text strings.Builder
	section := "cardctl_init"
	if systems := systemConf(environ); systems != "" {
		text.WriteString(".include " + quoted(systems) + "\n")
		if conf, err := os.ReadFile(systems); err == nil {
			section = sectionOf(string(conf), section)
		}
	}
	text.WriteString("[default]\nopenssl_conf = " + section + "\n[" + section + "]\n")
	if a.Module != "" {
		text.WriteString("engines = cardctl_engines\n")
	}
	if a.TLS12 {
		text.WriteString("ssl_conf = cardctl_ssl\n")
	}
	if a.Module != "" {
		start := "0"
		if a.Started {
			start = "1"
		}
		text.WriteString("[cardctl_engines]\npkcs11 = cardctl_pkcs11\n[cardctl_pkcs11]\nengine_id = pkcs11\nMODULE_PATH = " + quoted(a.Module) + "\ninit = " + start + "\n")
	}
	if a.TLS12 {
		text.WriteString(`[cardctl_ssl]
system_default = cardctl_tls12
[cardctl_tls12]
MinProtocol = TLSv1.2
MaxProtocol = TLSv1.2
ClientSignatureAlgorithms = ECDSA+SHA256:RSA+SHA256:RSA+SHA384
`)
	}
	return text.String()
}

// quoted is a value in which nothing is expanded, and nothing ends it.
func quoted(value string) string {
	if strings.ContainsAny(value, " \t$#;\"'`\\") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
	}
	return value
}

// systemConf is the configuration that OpenSSL reads otherwise; empty for none.
func systemConf(environ []string) string {
	places := []string{"/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/usr/lib/ssl/openssl.cnf"}
	for _, entry := range slices.Backward(environ) {
		if path, ok := strings.CutPrefix(entry, Variable+"="); ok && path != "" {
			if absolute, err := filepath.Abs(path); err == nil {
				path = absolute
			}
			places = []string{path}
			break
		}
	}
	for _, place := range places {
		if input.Exists(place) {
			return place
		}
	}
	return ""
}

// sectionOf is the section with what a configuration sets up: openssl_conf, before any
// section or in [default].
func sectionOf(conf, otherwise string) string {
	in := "default"
	for line := range strings.Lines(conf) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, _ = strings.Cut(name, "]")
			in = strings.TrimSpace(name)
		}
		name, value, isSetting := strings.Cut(line, "=")
		if in == "default" && isSetting && strings.TrimSpace(name) == "openssl_conf" {
			otherwise = strings.TrimSpace(value)
		}
	}
	return otherwise
}
