package setup

import (
	"fmt"

	"github.com/cardctl/cardctl/internal/opensslconf"
)

// apache has a server use the key, through OpenSSL's engine, with mod_ssl. Its workers
// open the card.
func apache() server {
	return server{
		name:    "apache",
		program: program{names: []string{"apache2"}, pack: "apache2"},
		etc:     "/etc/apache2", user: webUser, unit: "apache2.service",
		args:     []string{"-D", "FOREGROUND", "-f"},
		settings: apacheSettings,
	}
}

func apacheSettings(j *job, etc string) plan {
	const heading = "# Written by cardctl setup apache.\n"
	host := fmt.Sprintf("SSLEngine on\nSSLCertificateFile %s/%s\nSSLCertificateKeyFile \"%s\"\n", etc, serverCertificate, j.uriWithPIN(etc))
	return plan{
		entries: []entry{
			&file{Path: etc + "/conf-enabled/cardctl.conf", Mode: 0o644, Whole: &whole{heading + "<IfModule ssl_module>\nSSLCryptoDevice " + opensslconf.Engine + "\n</IfModule>\n"}},
			&file{Path: etc + "/cardctl-host.conf", Mode: 0o644, Whole: &whole{heading + host}},
		},
		notes:  []string{"Write \"Include cardctl-host.conf\" into the virtual host."},
		next:   []string{"a2enmod ssl", j.withConfiguration("apache2ctl configtest"), "systemctl restart apache2"},
		undone: []string{"apache2ctl configtest", "systemctl restart apache2"},
	}
}
