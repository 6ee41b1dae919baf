package setup

import (
	"fmt"

	"github.com/cardctl/cardctl/internal/opensslconf"
)

// stunnel has a service use the key, through OpenSSL's engine. Engines are set up in the
// part for all services, so there are two parts to include: stunnel(8).
func stunnel() server {
	return server{
		name:    "stunnel",
		program: program{names: []string{"stunnel"}, pack: "stunnel4"},
		etc:     "/etc/stunnel", user: "root", // in Debian
		settings: stunnelSettings,
	}
}

func stunnelSettings(j *job, etc string) plan {
	const heading = "; Written by cardctl setup stunnel.\n"
	all := fmt.Sprintf("engine = %s\nengineCtrl = MODULE_PATH:%s\n", opensslconf.Engine, j.key.module)
	one := fmt.Sprintf("engineId = %s\ncert = %s/%s\nkey = %s\n", opensslconf.Engine, etc, serverCertificate, j.uriWithPIN(etc))
	restart := []string{"systemctl restart stunnel4"}
	return plan{
		entries: []entry{
			&file{Path: etc + "/cardctl.d/global/cardctl.conf", Mode: 0o644, Whole: &whole{heading + all}},
			&file{Path: etc + "/cardctl.d/service/cardctl.conf", Mode: 0o644, Whole: &whole{heading + one}},
		},
		notes: []string{
			fmt.Sprintf("Write \"include = %s/cardctl.d/global\" before the first service.", etc),
			fmt.Sprintf("Write \"include = %s/cardctl.d/service\" into the service.", etc),
		},
		next: restart, undone: restart,
	}
}
