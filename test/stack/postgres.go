//go:build unix

package stack

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// PostgreSQL is a server of the test's own, with one role that owns all. Programs of this
// machine reach it through a socket without a password, and through the network with one.
type PostgreSQL struct {
	tb   testing.TB
	bin  string // directory of its programs
	dir  string
	port string
	run  []string // more settings
	as   *syscall.SysProcAttr
	cmd  *exec.Cmd
	log  *os.File
}

// NewPostgreSQL makes a cluster and starts it; settings are such as fsync=off.
func NewPostgreSQL(tb testing.TB, settings ...string) *PostgreSQL {
	tb.Helper()
	p := &PostgreSQL{tb: tb, bin: postgreSQLPrograms(tb), dir: Shared(tb, "pg-"), port: FreePort(tb), run: settings}
	if os.Geteuid() == 0 { // which PostgreSQL refuses to be
		p.as = otherUser(tb, p.dir)
	}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		tb.Fatal(err)
	}
	p.log = log
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("PostgreSQL:\n%s", p.logged())
		}
		_ = log.Close()
	})
	p.must("initdb", "-D", p.data(), "-U", "owner", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
	p.write("pg_hba.conf", "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
	p.Start()
	tb.Cleanup(p.Stop)
	return p
}

// postgreSQLPrograms is the directory of the newest version.
func postgreSQLPrograms(tb testing.TB) string {
	tb.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		tb.Fatalf("there is no PostgreSQL: %v", err)
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) }))
}

// otherUser gives a directory to a user without rights.
func otherUser(tb testing.TB, dir string) *syscall.SysProcAttr {
	tb.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		who, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(who.Uid, 10, 32)
		gid, _ := strconv.ParseUint(who.Gid, 10, 32)
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			tb.Fatal(err)
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	tb.Fatal("there is no user for PostgreSQL")
	return nil
}

func (p *PostgreSQL) data() string { return filepath.Join(p.dir, "data") }

func (p *PostgreSQL) write(name, text string) {
	p.tb.Helper()
	if err := os.WriteFile(filepath.Join(p.data(), name), []byte(text), 0o644); err != nil {
		p.tb.Fatal(err)
	}
}

func (p *PostgreSQL) logged() string {
	text, err := endOf(p.log.Name(), 4000)
	if err != nil {
		return err.Error()
	}
	return text
}

func (p *PostgreSQL) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.SysProcAttr, cmd.Dir = p.as, p.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=" + p.dir}
	return cmd
}

// must runs one of its programs.
func (p *PostgreSQL) must(name string, args ...string) {
	p.tb.Helper()
	if out, err := p.command(name, args...).CombinedOutput(); err != nil {
		p.tb.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// Start starts the server, and waits until it answers.
func (p *PostgreSQL) Start() {
	p.tb.Helper()
	args := []string{"-D", p.data(), "-k", p.dir, "-p", p.port, "-c", "listen_addresses=127.0.0.1"}
	for _, setting := range p.run {
		args = append(args, "-c", setting)
	}
	p.cmd = p.command("postgres", args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.tb.Fatal(err)
	}
	for range 300 {
		if p.command("pg_isready", "-q", "-U", "owner", "-d", "postgres", "-h", p.dir, "-p", p.port).Run() == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.tb.Fatalf("PostgreSQL does not answer:\n%s", p.logged())
}

// Stop stops the server, and ends its connections.
func (p *PostgreSQL) Stop() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(os.Interrupt) // its fast shutdown
	_ = p.cmd.Wait()
	p.cmd = nil
}

// Address is that of a database, for a role, through the socket.
func (p *PostgreSQL) Address(role, database string) string {
	return fmt.Sprintf("postgres://%s@/%s?%s", role, database, url.Values{"host": {p.dir}, "port": {p.port}}.Encode())
}

// Through is an address whose socket is in another directory, where somebody passes on
// what is sent to Socket.
func (p *PostgreSQL) Through(dir, address string) string {
	return strings.Replace(address, url.QueryEscape(p.dir), url.QueryEscape(dir), 1)
}

// Socket is the file of the socket.
func (p *PostgreSQL) Socket() string { return filepath.Join(p.dir, ".s.PGSQL."+p.port) }

// HostPort is where it listens in the network.
func (p *PostgreSQL) HostPort() string { return "127.0.0.1:" + p.port }

// TLS gives the server a certificate with this name, and returns the file with that of its
// CA. The server starts again.
func (p *PostgreSQL) TLS(name string) (ca string) {
	p.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		p.tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.write("server.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	p.write("server.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	if p.as != nil {
		id := p.as.Credential
		if err := os.Chown(filepath.Join(p.data(), "server.key"), int(id.Uid), int(id.Gid)); err != nil {
			p.tb.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(p.data(), "server.key"), 0o600); err != nil {
		p.tb.Fatal(err)
	}
	p.run = append(p.run, "ssl=on")
	p.Stop()
	p.Start()
	return filepath.Join(p.data(), "server.crt")
}

// Query runs SQL as the owner of all, and returns what psql prints.
func (p *PostgreSQL) Query(database, sql string) string {
	p.tb.Helper()
	cmd := p.command("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", p.dir, "-p", p.port, "-U", "owner", "-d", database, "-f", "-")
	cmd.Stdin = strings.NewReader(sql)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		p.tb.Fatalf("%s: %v\n%s", sql, err, said.String())
	}
	return strings.TrimSpace(out.String())
}

// NewDatabase makes an empty one.
func (p *PostgreSQL) NewDatabase(name string) {
	p.tb.Helper()
	p.Query("postgres", `CREATE DATABASE "`+name+`"`)
}
