package setup

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/opensslconf"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/smoke"
)

// server is a program that proves itself with the key.
type server struct {
	// name is that of the target, and of its trial.
	name    string
	program program
	// etc is the directory of its configuration, and user whom its workers are, in Debian.
	etc, user string
	// unit is that of systemd, if the program can neither name a module to the engine nor
	// start it, which its service then does.
	unit string
	// args come before the file with a configuration.
	args []string
	// settings are what it needs besides the certificate and the PIN.
	settings func(j *job, etc string) plan
}

// webUser is whom the workers of web servers are, in Debian.
const webUser = "www-data"

func (s server) target() target {
	return target{
		name: s.name, needs: []program{s.program, opensslEngine()}, accepts: []Option{advice.System, advice.CA}, machine: true,
		plan: s.plan, check: s.check,
	}
}

func (s server) plan(ctx context.Context, j *job) (plan, error) {
	etc := j.Root + s.etc
	entries, err := j.serverFiles(ctx, etc, s.user)
	if err != nil {
		return plan{}, err
	}
	p := s.settings(j, etc)
	if s.unit != "" {
		service := j.opensslForUnit(s.unit, opensslconf.Additions{Module: j.key.module, Started: true})
		entries = append(entries, service.entries...)
		p.next, p.undone = append(service.next, p.next...), append(service.undone, p.undone...)
	}
	p.entries = append(entries, p.entries...)
	return p, nil
}

func (s server) check(ctx context.Context, j *job) (string, error) {
	if s.unit != "" {
		j.Environ = append(slices.Clone(j.Environ), opensslconf.Variable+"="+j.opensslConf())
	}
	return j.checkServer(ctx, j.Root+s.etc, s.name+".conf", s.program.names[0], s.args...)
}

// The files of a server's key, in the directory of its configuration.
const (
	serverCertificate = "cardctl.pem"
	serverPIN         = "cardctl.pin"
)

// serverFiles are the entries that every server has: the certificate, with the issuers
// that were named, and the PIN, which only the user of the workers can read; and, where
// polkit guards the readers, a rule for that user.
func (j *job) serverFiles(ctx context.Context, etc, user string) ([]entry, error) {
	if err := j.asRoot(); err != nil {
		return nil, err
	}
	if j.key.certificate == nil {
		return nil, problem.New(problem.NotFound, "there is no certificate for %s", j.key.Ref).
			Because("A server needs one.").Advise(importCertificate(j.key.Ref))
	}
	if _, _, err := idsOf(user); err != nil {
		return nil, err
	}
	able, err := j.able(ctx, smoke.OpenSSL)
	if err != nil {
		return nil, err
	}
	if able.TLS13 != "" {
		return nil, doesNotUse(j.target.name, j.key.Ref, able.TLS13)
	}
	chain := inPEM(j.key.certificate)
	for _, issuer := range j.CA {
		chain += inPEM(issuer)
	}
	entries := []entry{
		&file{Path: etc + "/" + serverCertificate, Mode: 0o644, Whole: &whole{chain}},
		j.pinFile(etc, user),
	}
	if user != "root" && find("pkcheck") != "" {
		entries = append(entries, j.polkitRule(j.target.name, "subject.user == "+inJSON(user)))
	}
	return entries, nil
}

// asRoot refuses anybody else, who could not write the files of the system.
func (j *job) asRoot() error {
	if os.Geteuid() == 0 || j.Root != "" || j.Action == Print {
		return nil
	}
	return problem.New(problem.Refused, "only root sets up %s", j.target.name).Advise(printInstead())
}

func (j *job) pinFile(etc, user string) *pinFile {
	return &pinFile{Path: etc + "/" + serverPIN, User: user, Key: j.key.known.URI, send: j.key.SendPIN}
}

// uriWithPIN is the URI of the key with the file that has its PIN (RFC 7512).
func (j *job) uriWithPIN(etc string) string {
	return j.key.known.URI + "?pin-source=file:" + etc + "/" + serverPIN
}

// passedOn are the variables by which modules find their configuration, and OpenSC the
// card, with their values.
func (j *job) passedOn() []string {
	var entries []string
	for _, variable := range []string{"SOFTHSM2_CONF", "OPENSC_CONF", p11.DriverVariable} {
		if value := j.getenv(variable); value != "" {
			entries = append(entries, variable+"="+value)
		}
	}
	return entries
}

// patience is how long a server has to start, and to answer.
const patience = 20 * time.Second

// trials are configurations of servers of which each has one page on loopback, with the
// files that were written.
//
//go:embed trial
var trials embed.FS

// tryPINFile sends the PIN in a file once, by the policy. A server would send a wrong one
// with each start of each worker.
func (j *job) tryPINFile(ctx context.Context, p *pinFile) error {
	value, err := p.value()
	if value == nil || err != nil {
		return err
	}
	defer value.Wipe()
	if err := j.key.Accepts(ctx, value); err != nil {
		failed := problem.Wrap(problem.Failed, err, "the PIN in "+p.Path)
		if problem.Is(err, problem.PINIncorrect) {
			failed = failed.Advise(setUp(j.target.name, advice.Switch(advice.Undo)))
		}
		return failed
	}
	return nil
}

// checkServer starts a server, and compares the key that it shows. The last argument is
// its configuration, which follows args.
func (j *job) checkServer(ctx context.Context, etc, trial, name string, args ...string) (saw string, err error) {
	if err := j.tryPINFile(ctx, &pinFile{Path: etc + "/" + serverPIN}); err != nil {
		return "", err
	}
	configuration, err := trials.ReadFile("trial/" + trial)
	if err != nil {
		return "", err
	}
	dir, err := temporary()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // the workers are another user
		return "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	if err := listener.Close(); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "configuration")
	text := strings.NewReplacer("DIRECTORY", dir, "PORT", port, "ETC", etc, "USER", webUser).Replace(string(configuration))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", err
	}
	return j.proves(ctx, "127.0.0.1:"+port, name, append(slices.Clone(args), path)...)
}

// proves runs a server until it has proved at an address that it has the key.
func (j *job) proves(whole context.Context, address, name string, args ...string) (saw string, err error) {
	ctx, stop := context.WithTimeout(whole, patience)
	defer stop()
	server, err := j.start(ctx, nil, name, args...)
	if err != nil {
		return "", err
	}
	err = j.connect(ctx, address, server.ended)
	words := server.end()
	if whole.Err() != nil {
		return "", whole.Err()
	}
	if err != nil {
		why := problem.Sentence(err.Error())
		if said := lastLine(words); said != "" {
			why = problem.Sentences(why, "It reports: "+problem.Sentence(said))
		}
		return "", problem.New(problem.Failed, "%s does not use the key", name).Because("%s", why)
	}
	return name + " answers with the certificate of the key, and proves that it has the key", nil
}

// connect makes a handshake with a server that is starting.
func (j *job) connect(ctx context.Context, address string, ended <-chan struct{}) error {
	dialer := tls.Dialer{Config: &tls.Config{
		InsecureSkipVerify: true, // the certificate is compared
		VerifyPeerCertificate: func(shown [][]byte, _ [][]*x509.Certificate) error {
			if !bytes.Equal(shown[0], j.key.certificate.Raw) {
				return errors.New("the server shows another certificate")
			}
			return nil
		},
	}}
	for {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close() // the server may have closed it: the handshake is the proof
			return nil
		}
		var refused *net.OpError
		if !errors.As(err, &refused) || !errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
		select {
		case <-ended:
			return errors.New("it ended")
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
