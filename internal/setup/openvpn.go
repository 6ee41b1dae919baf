package setup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/opensslconf"
	"github.com/cardctl/cardctl/internal/openvpn"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/smoke"
	"github.com/cardctl/cardctl/internal/typed"
)

// openVPN has an OpenVPN that runs without cardctl use the key: a service, or a person's.
// A configuration of OpenVPN includes the file that is written.
func openVPN() target {
	return target{
		name:    "openvpn",
		needs:   []program{{names: []string{"openvpn"}, pack: "openvpn"}},
		accepts: []Option{advice.User, advice.System, advice.AllowTLS12, advice.Agent},
		loads:   true,
		plan:    planOpenVPN,
		check:   checkOpenVPN,
	}
}

// openvpnUnit has the connections of clients, one instance each.
const openvpnUnit = "openvpn-client@.service"

func planOpenVPN(ctx context.Context, j *job) (plan, error) {
	if j.System {
		if j.Agent {
			return plan{}, problem.New(problem.Usage, "an agent does not serve a service of the system").
				Because("It serves the user who started it. Leave out the agent.")
		}
		if err := j.asRoot(); err != nil {
			return plan{}, err
		}
	}
	lines, err := j.openvpnLines()
	if err == nil && !j.Agent {
		err = j.key.AskedOnce(ctx, "OpenVPN")
	}
	if err != nil {
		return plan{}, err
	}
	lower, err := j.forTLS(ctx, "OpenVPN", smoke.OpenSSL)
	if err == nil && !j.Agent {
		err = j.tellDriver(ctx)
	}
	if err != nil {
		return plan{}, err
	}
	own := &file{Path: j.openvpnConf(), Mode: 0o644, Public: j.System, Whole: &whole{"# Written by cardctl setup openvpn.\n" + lines}}
	p := j.openvpnRuns(lower)
	p.entries = append([]entry{own}, p.entries...)
	p.notes = append(p.notes, j.agentNotes()...)
	p.notes = append(p.notes, "Write this line into NAME.conf: config "+openvpn.Quoted(own.Path))
	return p, nil
}

// openvpnLines name the module, and the certificate of the key.
func (j *job) openvpnLines() (string, error) {
	if err := j.certified("OpenVPN"); err != nil {
		return "", err
	}
	if j.key.known.SerializedID == "" {
		return "", problem.New(problem.NotSupported, "OpenVPN cannot name the certificate of %s", j.key.Ref).
			Because("%s shows none for it, or several.", j.key.module).Advise(advice.Do(advice.ShowCard))
	}
	module, err := filepath.Abs(j.key.module) // a service works in another directory
	if err != nil {
		return "", err
	}
	return openvpn.Lines(module, j.key.known.SerializedID, j.key.Ref)
}

// openvpnConf names the key. In /etc/openvpn and its directory client, every file *.conf
// is a connection.
func (j *job) openvpnConf() string {
	if j.System {
		return j.Root + "/etc/openvpn/cardctl/key.conf"
	}
	return filepath.Join(j.config(), "cardctl/openvpn.conf")
}

// openvpnRuns is what OpenVPN needs in its environment: a service by a drop-in of systemd,
// a person on the command line.
func (j *job) openvpnRuns(lower bool) plan {
	if j.System {
		p := j.opensslForUnit(openvpnUnit, opensslconf.Additions{TLS12: lower})
		restart := "systemctl restart openvpn-client@NAME"
		p.next, p.undone = append(p.next, restart), append(p.undone, restart)
		p.notes = append(p.notes, "The service asks for the PIN through systemd. Answer with: systemd-tty-ask-password-agent")
		return p
	}
	var p plan
	command := typed.Quoted("openvpn", "--config", "NAME.conf")
	if driver := j.getenv(p11.DriverVariable); driver != "" {
		command = p11.DriverVariable + "=" + typed.Quoted(driver) + " " + command
	}
	if lower {
		p.entries = []entry{j.opensslFile(opensslconf.Additions{TLS12: true})}
		p.notes = []string{"An OpenVPN with this OPENSSL_CONF is limited to TLS 1.2."}
		command = j.withConfiguration(command)
	}
	p.next = []string{command}
	return p
}

// checkOpenVPN has OpenVPN connect to another one on this machine, which accepts no other
// certificate.
func checkOpenVPN(ctx context.Context, j *job) (saw string, err error) {
	dir, err := temporary()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ports, err := freePorts(1)
	if err != nil {
		return "", err
	}
	lower, err := j.lowersOpenSSL(ctx, "OpenVPN")
	if err != nil {
		return "", err
	}
	certificate, key := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	server, err := serverIdentity(certificate, key)
	if err != nil {
		return "", err
	}
	t := &openvpn.Trial{Key: j.key.Key, Config: j.openvpnConf(), Token: j.key.token, ServerEnv: j.Environ, ClientEnv: j.unitEnvironment(lower)}
	t.Server = []string{
		"--dev", "null", "--tls-server", "--dh", "none", "--local", "127.0.0.1", "--port", ports[0], "--proto", "udp",
		"--cert", certificate, "--key", key, "--peer-fingerprint", fingerprintOf(j.key.certificate.Raw),
	}
	t.Client = []string{"--dev", "null", "--tls-client", "--nobind", "--remote", "127.0.0.1", ports[0], "udp", "--peer-fingerprint", fingerprintOf(server), "--tls-exit"}
	err = j.sendPIN(ctx, func(ctx context.Context, value *secret.Bytes) error {
		if err := j.key.Leave(); err != nil {
			return err
		}
		t.PIN = value
		return t.Run(ctx)
	})
	return "openvpn connects with the certificate of the key", err
}

// fingerprintOf is that of a certificate, as --peer-fingerprint takes it.
func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}
