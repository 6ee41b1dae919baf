package setup

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
)

// ikeSide is one of two charons of a check. It has a directory and a configuration of its
// own, and changes nothing in the network of the machine: no routes, no policies.
type ikeSide struct {
	job *job
	dir string
	// own and other are the ports, on loopback.
	own, other string
}

// checkStrongSwan has a charon with the files that were written prove to another one that it
// has the key. There is an IKE SA afterwards, without IPsec.
func checkStrongSwan(whole context.Context, j *job) (saw string, err error) {
	if err := j.tryPINFile(whole, j.strongSwanPIN()); err != nil {
		return "", err
	}
	dir, err := temporary()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ports, err := freePorts(2)
	if err != nil {
		return "", err
	}
	service := *j
	service.Environ = j.unitEnvironment(false)
	card := &ikeSide{&service, filepath.Join(dir, "card"), ports[0], ports[1]}
	peer := &ikeSide{&service, filepath.Join(dir, "peer"), ports[1], ports[0]}
	if err := card.configure(peer); err != nil {
		return "", err
	}
	ctx, stop := context.WithTimeout(whole, patience)
	defer stop()
	if err := service.betweenCharons(ctx, card, peer); err != nil {
		return "", cmp.Or(whole.Err(), err)
	}
	return "strongSwan proves to another one on this machine, in IKEv2, that it has the key", nil
}

// configure writes the configurations of both: the peer has a key of its own, and accepts
// the certificate of the card's key alone.
func (card *ikeSide) configure(peer *ikeSide) error {
	j := card.job
	ofPeer, accepted := peer.path("own.pem"), peer.path("accepted.pem")
	if _, err := serverIdentity(ofPeer, peer.path("private/own.pem")); err != nil {
		return err
	}
	return errors.Join(
		putFile(accepted, []byte(inPEM(j.key.certificate))),
		peer.write("strongswan.conf", "SETTINGS", ""),
		peer.write("swanctl.conf", "SETTINGS", "", "CERTIFICATE", ofPeer, "ACCEPTED", accepted),
		card.write("strongswan.conf", "SETTINGS", include(j.Root+charonSettings)),
		card.write("swanctl.conf", "SETTINGS", include(j.Root+swanctlSecrets), "CERTIFICATE", j.Root+swanctlDir+"/x509/"+serverCertificate, "ACCEPTED", ofPeer),
	)
}

func (s *ikeSide) path(name string) string { return filepath.Join(s.dir, name) }

// write writes one of the two configurations.
func (s *ikeSide) write(name string, values ...string) error {
	template, err := trials.ReadFile("trial/" + name)
	if err != nil {
		return err
	}
	// Charon sets this for the whole machine, so it is set to what it is.
	expires, err := os.ReadFile("/proc/sys/net/core/xfrm_acq_expires")
	if err != nil {
		expires = []byte("165")
	}
	values = append(values, "DIRECTORY", s.dir, "OWN", s.own, "OTHER", s.other, "EXPIRES", strings.TrimSpace(string(expires)))
	return putFile(s.path(name), []byte(strings.NewReplacer(values...).Replace(string(template))))
}

// settings is the variable that names the configuration to strongSwan's programs.
func (s *ikeSide) settings() []string {
	return []string{"STRONGSWAN_CONF=" + s.path("strongswan.conf")}
}

// control is the end of a run of swanctl with the charon.
func (s *ikeSide) control(ctx context.Context, args ...string) (runner.Result, error) {
	args = append(args, "--uri", "unix://"+s.path("vici"))
	return s.job.outcome(ctx, runner.Program{Name: "swanctl", Args: args, Env: s.settings()})
}

// betweenCharons starts both, and has that of the card connect to the other.
func (j *job) betweenCharons(ctx context.Context, card, peer *ikeSide) error {
	var daemons []*daemon
	defer func() {
		for _, d := range daemons {
			d.end()
		}
	}()
	for _, s := range []*ikeSide{peer, card} {
		d, err := j.start(ctx, s.settings(), "charon-systemd")
		if err != nil {
			return err
		}
		daemons = append(daemons, d)
		if err := s.load(ctx, d); err != nil {
			return err
		}
	}
	result, err := card.control(ctx, "--initiate", "--ike", "check", "--timeout", "10")
	if err != nil || result.Exit == 0 {
		return err
	}
	why := complaint(result.Stdout)
	if strings.Contains(why, "AUTHENTICATION_FAILED") { // the other one has the reason
		why = complaint(daemons[0].end())
	}
	return unusedByStrongSwan(cmp.Or(why, lastLine(result.Stderr)))
}

// load has a charon that starts read its configuration.
func (s *ikeSide) load(ctx context.Context, d *daemon) error {
	err := until(ctx, func() bool {
		select {
		case <-d.ended:
			return true
		default:
			_, err := os.Stat(s.path("vici"))
			return err == nil
		}
	})
	if err != nil {
		return unusedByStrongSwan(complaint(d.end()))
	}
	for _, what := range [][]string{{"--load-creds", "--noprompt"}, {"--load-conns"}} {
		result, err := s.control(ctx, append(what, "--file", s.path("swanctl.conf"))...)
		if err != nil {
			return err
		}
		if result.Exit != 0 || !strings.Contains(string(result.Stdout), "loaded ") {
			return unusedByStrongSwan(complaint(d.end()))
		}
	}
	return nil
}

func unusedByStrongSwan(why string) error {
	failed := problem.New(problem.Failed, "strongSwan does not use the key")
	if why != "" {
		failed = failed.Because("It reports: %s", problem.Sentence(why))
	}
	return failed
}

// complaint is the last line of charon's log about the configuration, keys or IKE, without
// the thread and the name of the part.
func complaint(log []byte) string {
	last := ""
	for line := range strings.Lines(string(log)) {
		_, part, _ := strings.Cut(line, "[")
		if part, text, is := strings.Cut(part, "] "); is && slices.Contains([]string{"CFG", "LIB", "IKE"}, part) {
			last = strings.TrimSpace(text)
		}
	}
	return last
}
