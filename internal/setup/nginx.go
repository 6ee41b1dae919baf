package setup

import (
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/opensslconf"
)

// nginx has a server use the key, through OpenSSL's engine. Its workers open the card.
func nginx() server {
	return server{
		name:    "nginx",
		program: program{names: []string{"nginx"}, pack: "nginx-light"},
		etc:     "/etc/nginx", user: webUser, unit: "nginx.service",
		args:     []string{"-e", "stderr", "-c"},
		settings: nginxSettings,
	}
}

func nginxSettings(j *job, etc string) plan {
	const heading = "# Written by cardctl setup nginx.\n"
	snippet := fmt.Sprintf("ssl_certificate %s/%s;\nssl_certificate_key \"engine:%s:%s\";\n", etc, serverCertificate, opensslconf.Engine, j.uriWithPIN(etc))
	variables := ""
	for _, entry := range j.passedOn() {
		variables += "env \"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(entry) + "\";\n"
	}
	return plan{
		entries: []entry{
			&file{Path: etc + "/modules-enabled/90-cardctl.conf", Mode: 0o644, Whole: &whole{heading + "ssl_engine " + opensslconf.Engine + ";\n" + variables}},
			&file{Path: etc + "/snippets/cardctl.conf", Mode: 0o644, Whole: &whole{heading + snippet}},
		},
		notes:  []string{"Write \"include snippets/cardctl.conf;\" into the server block."},
		next:   []string{j.withConfiguration("nginx -t"), "systemctl restart nginx"},
		undone: []string{"nginx -t", "systemctl restart nginx"},
	}
}
