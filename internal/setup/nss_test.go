//go:build unix

package setup

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
)

// The tools of NSS have to be installed: "modutil" and "certutil".
func toolsOf() tools {
	return (&job{Options: Options{Environ: os.Environ()}}).runProgram
}

// database makes one, with a CA and a module of somebody else.
func database(t *testing.T) nss {
	t.Helper()
	n := nss{Dir: filepath.Join(t.TempDir(), "made", "nssdb"), run: toolsOf()}
	written(t, &nssDatabase{nss: n})
	written(t, authority(t, n, "their CA"))
	return n
}

// authority is the certificate of a new CA, whose subject is the name.
func authority(t *testing.T, n nss, name string) *nssAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	return &nssAuthority{nss: n, Name: name, Subject: "CN=" + name, DER: der, Trust: "C,,"}
}

// shows is what the tools list.
func (n *nss) shows(t *testing.T) string {
	t.Helper()
	modules, err := n.modutil(t.Context(), "-rawlist")
	check(t, err)
	certificates, err := n.certutil(t.Context(), "-L")
	check(t, err)
	return modules + certificates
}

// TestNSSEntries writes into a database, looks, and takes back.
func TestNSSEntries(t *testing.T) {
	found, err := filepath.Glob("/usr/lib/*/libnssckbi.so")
	if err != nil || len(found) == 0 {
		t.Fatal("NSS has no module of CAs here")
	}
	library := found[0]
	for name, c := range map[string]struct {
		before func(t *testing.T, n nss)
		entry  func(t *testing.T, n nss) entry
		found  state
	}{
		"a module": {nil, func(_ *testing.T, n nss) entry { return &nssModule{nss: n, Name: "cards", Library: library} }, absent},
		"a module in the place of another": {func(t *testing.T, n nss) {
			written(t, &nssModule{nss: n, Name: "cards", Library: "libnssckbi.so"})
		}, func(_ *testing.T, n nss) entry { return &nssModule{nss: n, Name: "cards", Library: library} }, foreign},
		"a module of another name": {func(t *testing.T, n nss) {
			written(t, &nssModule{nss: n, Name: "theirs", Library: library})
		}, func(_ *testing.T, n nss) entry { return &nssModule{nss: n, Name: "cards", Library: library} }, present},
		"a CA": {nil, func(t *testing.T, n nss) entry { return authority(t, n, "ours") }, absent},
	} {
		t.Run(name, func(t *testing.T) {
			n := database(t)
			if c.before != nil {
				c.before(t, n)
			}
			before, e := n.shows(t), c.entry(t, n)
			if is := look(t, e); is != c.found {
				t.Fatalf("found %d", is)
			}
			if c.found == present {
				return
			}
			written(t, e)
			if is := look(t, e); is != present {
				t.Errorf("state %d after it was written", is)
			}
			undone(t, e)
			if after := n.shows(t); after != before {
				t.Errorf("taken back:\n%s\nnot:\n%s", after, before)
			}
			if is := look(t, e); is != absent {
				t.Errorf("state %d after it was taken back", is)
			}
		})
	}
}

// TestTrustOfOthers keeps a certificate that was there, with its name and its trust.
func TestTrustOfOthers(t *testing.T) {
	n := database(t)
	theirs := authority(t, n, "known CA")
	theirs.Trust = ",,"
	written(t, theirs)
	before := n.shows(t)
	ours := &nssAuthority{nss: n, Name: "ours", DER: theirs.DER, Trust: "C,,"}
	if is, difference, err := ours.look(t.Context()); err != nil || is != foreign || difference != "- trusted for C,,\n+ trusted for ,,\n" {
		t.Errorf("%d, %q, %v", is, difference, err)
	}
	written(t, ours)
	if is := look(t, ours); is != present {
		t.Errorf("state %d", is)
	}
	undone(t, ours)
	if after := n.shows(t); after != before {
		t.Errorf("taken back:\n%s\nnot:\n%s", after, before)
	}
}

// TestSeveralOfOneName deletes none if certutil would choose one: NSS gives certificates
// with the same subject the same name.
func TestSeveralOfOneName(t *testing.T) {
	n := database(t)
	ours, renewed := authority(t, n, "ours"), authority(t, n, "ours")
	written(t, ours)
	renewed.Name = "renewed"
	written(t, renewed)
	before := n.shows(t)
	if err := ours.remove(t.Context()); !problem.Is(err, problem.Refused) {
		t.Errorf("%v", err)
	}
	if after := n.shows(t); after != before {
		t.Errorf("now:\n%s\nnot:\n%s", after, before)
	}
}

// TestDatabaseOfOurs goes if nothing came into it.
func TestDatabaseOfOurs(t *testing.T) {
	for name, into := range map[string]func(t *testing.T, n nss){
		"nothing":       func(*testing.T, nss) {},
		"a certificate": func(t *testing.T, n nss) { written(t, authority(t, n, "theirs")) },
		"a module":      func(t *testing.T, n nss) { written(t, &nssModule{nss: n, Name: "theirs", Library: "libnssckbi.so"}) },
		"a key":         generated,
		"a key behind a password": func(t *testing.T, n nss) {
			generated(t, n)
			empty, password := filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "password")
			put(t, empty, "\n")
			put(t, password, "correct horse\n")
			_, err := n.certutil(t.Context(), "-W", "-f", empty, "-@", password)
			check(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			made := filepath.Join(t.TempDir(), "made")
			d := &nssDatabase{nss: nss{Dir: filepath.Join(made, "nssdb"), run: toolsOf()}}
			written(t, d)
			into(t, d.nss)
			undone(t, d)
			if _, err := os.Stat(made); (err == nil) != (name != "nothing") {
				t.Errorf("after it was taken back: %v", err)
			}
		})
	}
}

// generated is a key of the database itself.
func generated(t *testing.T, n nss) {
	noise := filepath.Join(t.TempDir(), "noise")
	put(t, noise, strings.Repeat("0123456789", 10))
	_, err := n.certutil(t.Context(), "-G", "-z", noise, "-k", "ec", "-q", "nistp256")
	check(t, err)
}

// TestDatabaseWithAPassword gets no CA, because nobody is asked for the password.
func TestDatabaseWithAPassword(t *testing.T) {
	n := nss{Dir: t.TempDir(), run: toolsOf()}
	password := filepath.Join(t.TempDir(), "password")
	put(t, password, "correct horse\n")
	_, err := n.certutil(t.Context(), "-N", "-f", password)
	check(t, err)
	before, ours := n.shows(t), authority(t, n, "ours")
	if err := ours.write(t.Context()); !problem.Is(err, problem.NotSupported) {
		t.Errorf("%v", err)
	}
	if after := n.shows(t); after != before {
		t.Errorf("now: %s", after)
	}
}

// TestBrokenOffInADatabase has a module not load, after the database was made. The same
// command completes it, and Undo takes it back.
func TestBrokenOffInADatabase(t *testing.T) {
	for _, then := range []Action{Write, Undo} {
		t.Run(string(then), func(t *testing.T) {
			home, library := t.TempDir(), "missing.so"
			run := func(action Action) error {
				j := &job{Options: Options{Action: action, Home: home, Dir: filepath.Join(home, "state"), Environ: os.Environ()}}
				j.target = target{name: "browser", plan: func(context.Context, *job) (plan, error) {
					n := nss{Dir: filepath.Join(home, "made/nssdb"), run: j.runProgram}
					return plan{entries: n.entries(library, nil, forServers)}, nil
				}}
				_, err := j.do(t.Context())
				return err
			}
			if err := run(Write); !problem.Is(err, problem.Failed) {
				t.Fatalf("not broken off: %v", err)
			}
			library = "libnssckbi.so"
			check(t, run(then))
			n := nss{Dir: filepath.Join(home, "made/nssdb"), run: toolsOf()}
			if modules, err := n.modules(t.Context()); err != nil || (len(modules) == 1) != (then == Write) {
				t.Errorf("%q, %v", modules, err)
			}
			if then == Write {
				check(t, run(Undo))
			}
			if _, err := os.Stat(filepath.Join(home, "made")); !os.IsNotExist(err) {
				t.Errorf("after it was taken back: %v", err)
			}
		})
	}
}

// TestNamesInDatabases reads lines of certutil and modutil.
func TestNamesInDatabases(t *testing.T) {
	for line, want := range map[string][2]string{
		"old name                                                     C,,  ": {"old name", "C,,"},
		"a name that is longer than the sixty columns that it may have here ,,   ": {
			"a name that is longer than the sixty columns that it may have here", ",,",
		},
		"Certificate Nickname                                         Trust Attributes":   {},
		"                                                             SSL,S/MIME,JAR/XPI": {},
		"\n": {},
	} {
		if name, trust, _ := nssCertLine(line); name != want[0] || trust != want[1] {
			t.Errorf("%q: %q, %q", line, name, trust)
		}
	}
	n := nss{Dir: t.TempDir(), run: func(context.Context, runner.Program) (string, error) {
		return "library= name=\"NSS Internal\"\n\nlibrary=\"/a\\\"b.so\" name=\"my \\\\ cards\" NSS=\"x\"\n", nil
	}}
	put(t, filepath.Join(n.Dir, "cert9.db"), "")
	if modules, err := n.modules(t.Context()); err != nil || len(modules) != 1 || modules[0] != (nssListed{`my \ cards`, `/a"b.so`}) {
		t.Errorf("%q, %v", modules, err)
	}
}

// TestHolders finds programs that run, by their locks.
func TestHolders(t *testing.T) {
	dir := t.TempDir()
	link := func(target string) string {
		path := filepath.Join(t.TempDir(), "lock")
		check(t, os.Symlink(target, path))
		return path
	}
	locked := filepath.Join(dir, "locked")
	put(t, locked, "")
	release := lockElsewhere(t, locked)
	for name, c := range map[string]struct {
		lock string
		open bool
	}{
		"no lock":                     {filepath.Join(dir, "none"), false},
		"a link to a process":         {link("host-" + strconv.Itoa(os.Getpid())), true},
		"a link of Firefox":           {link("127.0.1.1:+" + strconv.Itoa(os.Getpid())), true},
		"a link to none":              {link("host-4194305"), false}, // more than Linux has
		"a link to something else":    {link("nowhere"), false},
		"a file that another locked":  {locked, true},
		"a file that nobody locked":   {filepath.Join(t.TempDir(), "free"), false},
		"a program without any files": {"", false},
	} {
		err := free(map[int]entry{0: &file{Holder: holder{"Firefox", c.lock}}})
		if problem.Is(err, problem.Refused) != c.open || (err == nil) == c.open {
			t.Errorf("%s: %v", name, err)
		}
	}
	release()
	if err := (holder{"Firefox", locked}).free(); err != nil {
		t.Errorf("after it was closed: %v", err)
	}
}

const lockVariable = "CARDCTL_TEST_LOCK"

// TestLockElsewhere is the process that has a lock.
func TestLockElsewhere(t *testing.T) {
	path := os.Getenv(lockVariable)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	check(t, syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK}))
	_, _ = os.Stdout.WriteString("locked\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// lockElsewhere has another process lock a file.
func lockElsewhere(t *testing.T, path string) (release func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockElsewhere$")
	cmd.Env = append(os.Environ(), lockVariable+"="+path)
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
}

// TestProgramsThatRunKeepTheirFiles changes nothing while a program has a file open.
func TestProgramsThatRunKeepTheirFiles(t *testing.T) {
	w := newWorld(t)
	lock := filepath.Join(w.dir, "lock")
	check(t, os.Symlink("host-"+strconv.Itoa(os.Getpid()), lock))
	w.holder = holder{"Firefox", lock}
	w.fails(Write, problem.Refused)
	w.has("own", "")
	if left, _ := os.ReadDir(filepath.Join(w.dir, "state")); len(left) > 0 {
		t.Errorf("remembered: %v", left)
	}
	check(t, os.Remove(lock))
	w.must(Write)
	check(t, os.Symlink("host-"+strconv.Itoa(os.Getpid()), lock))
	w.fails(Undo, problem.Refused)
	w.has("own", "one\n")
	w.has("shared", blockOf("one"))
}
