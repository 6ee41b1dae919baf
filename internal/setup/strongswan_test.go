//go:build unix

package setup

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// forStrongSwan is a job for a key that it can use.
func forStrongSwan(t *testing.T) *job {
	t.Helper()
	identity := clientIdentity(t)
	certificate, err := cert.Parse(identity.Certificate[0])
	check(t, err)
	j := asRoot(withKey(t, certificate.PublicKey, certificate, nil))
	j.target, j.key.known.SerializedID = strongSwan(), "token/03"
	return j
}

// TestStrongSwanFiles: the token is found by the key, and nothing else than its PIN is
// handed out.
func TestStrongSwanFiles(t *testing.T) {
	j := forStrongSwan(t)
	j.CA = []*cert.Certificate{j.key.certificate, j.key.certificate}
	j.Environ = []string{"OPENSC_CONF=/etc/mine.conf"}
	p := j.strongSwanFiles(`/lib/"module".so`)
	pem := inPEM(j.key.certificate)
	for i, want := range []struct{ path, text string }{
		{"/etc/swanctl/cardctl.pin", "the PIN of pkcs11:id=%03, which only root can read\n"},
		{"/etc/strongswan.d/cardctl.conf", `# Written by cardctl setup strongswan.
charon {
	plugins {
		pkcs11 {
			load = yes
			modules {
				cardctl {
					path = "/lib/\"module\".so"
					load_certs = no
				}
			}
		}
	}
}
`},
		{"/etc/swanctl/conf.d/cardctl.conf", fmt.Sprintf(`# Written by cardctl setup strongswan.
secrets {
	token-cardctl {
		handle = %x
		module = cardctl
		include "%s/etc/swanctl/cardctl.pin"
	}
}
`, sha1.Sum(j.key.certificate.RawSubjectPublicKeyInfo), j.Root)},
		{"/etc/swanctl/x509/cardctl.pem", pem},
		{"/etc/systemd/system/strongswan.service.d/cardctl.conf", "# Written by cardctl setup strongswan.\n[Service]\nEnvironment=\"OPENSC_CONF=/etc/mine.conf\"\n"},
		{"/etc/swanctl/x509ca/cardctl-1.pem", pem},
		{"/etc/swanctl/x509ca/cardctl-2.pem", pem},
	} {
		if e := p.entries[i]; e.place() != j.Root+want.path || e.text() != want.text {
			t.Errorf("%s\n%s\nnot %s\n%s", e.place(), e.text(), want.path, want.text)
		}
	}
	const typed = "systemctl daemon-reload, systemctl restart strongswan"
	if strings.Join(p.next, ", ") != typed || strings.Join(p.undone, ", ") != typed || len(p.notes) != 1 {
		t.Errorf("%+v", p)
	}
}

// TestKeysThatStrongSwanDoesNotUse are refused before anything is written.
func TestKeysThatStrongSwanDoesNotUse(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	j := forStrongSwan(t)
	check(t, j.suitsStrongSwan())
	j.CA = []*cert.Certificate{j.key.certificate} // of a server
	refused(t, j.suitsStrongSwan(), problem.Mismatch, advice.Repeat())
	j.CA, j.key.known.SerializedID = nil, ""
	_, err = planStrongSwan(t.Context(), j)
	refused(t, err, problem.NotSupported, advice.Do(advice.ImportCertificate))
	j.key.public = &pubkey.Other{}
	refused(t, j.suitsStrongSwan(), problem.NotSupported, advice.Do(advice.GenerateKey))
	refused(t, asRoot(withKey(t, key.Public(), nil, nil)).suitsStrongSwan(), problem.NotFound, advice.Do(advice.ImportCertificate))
}

// fakeCharon listens until it is ended, and reports where the settings are.
const fakeCharon = `#!/bin/sh
dir=$(dirname "$STRONGSWAN_CONF")
echo "00[CFG] settings of $(basename "$dir")"
>"$dir/vici"
trap 'echo "00[DMN] SIGTERM received"; exit' TERM
while :; do sleep 0.05; done
`

// TestCheckOfStrongSwan: what the two charons report of a failure is shown, and nothing of
// them stays.
func TestCheckOfStrongSwan(t *testing.T) {
	for name, c := range map[string]struct{ charon, swanctl, why string }{
		"works":                        {fakeCharon, "echo loaded 1", ""},
		"the key is not found":         {fakeCharon, "case $* in *peer*) echo loaded 1;; *) echo unloaded;; esac", "settings of card"},
		"there is no connection":       {fakeCharon, `case $1 in --load-conns) echo loaded 0 of 1; exit 22;; *) echo loaded 1;; esac`, "settings of peer"},
		"it does not sign":             {fakeCharon, `echo loaded 1; case $1 in --initiate) echo "[IKE] no private key"; echo "[NET] sent"; exit 1;; esac`, "no private key"},
		"the other does not accept it": {fakeCharon, `echo loaded 1; case $1 in --initiate) echo "[IKE] received AUTHENTICATION_FAILED"; exit 1;; esac`, "settings of peer"},
		"it reports nothing":           {fakeCharon, `echo loaded 1; case $1 in --initiate) echo "no daemon" >&2; exit 1;; esac`, "no daemon"},
		"it ends":                      {"#!/bin/sh\necho '00[LIB] no kernel'\n", "echo unloaded", "no kernel"},
	} {
		t.Run(name, func(t *testing.T) {
			j := withFakes(t, c.charon, "#!/bin/sh\n"+c.swanctl+"\n")
			saw, err := checkStrongSwan(t.Context(), j)
			if (err == nil) != (c.why == "") || err != nil && !strings.Contains(strings.ToLower(err.Error()), c.why) {
				t.Errorf("%q, %v", saw, err)
			}
			nothingStays(t, j.Home)
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		j := withFakes(t, fakeCharon, "#!/bin/sh\nsleep 60\n")
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := checkStrongSwan(ctx, j); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		nothingStays(t, j.Home)
	})
}

// withFakes has these programs in the place of strongSwan's.
func withFakes(t *testing.T, charon, swanctl string) *job {
	t.Helper()
	j := forStrongSwan(t)
	for name, script := range map[string]string{"charon-systemd": charon, "swanctl": swanctl} {
		put(t, filepath.Join(j.Home, "bin", name), script)
		check(t, os.Chmod(filepath.Join(j.Home, "bin", name), 0o700))
	}
	check(t, os.Mkdir(filepath.Join(j.Home, "tmp"), 0o700))
	t.Setenv("PATH", filepath.Join(j.Home, "bin")+":"+os.Getenv("PATH"))
	t.Setenv("TMPDIR", filepath.Join(j.Home, "tmp"))
	j.Environ = os.Environ()
	return j
}

// TestTheCheckOfStrongSwanKeepsToLoopback, and sets nothing that is for the machine.
func TestTheCheckOfStrongSwanKeepsToLoopback(t *testing.T) {
	j := forStrongSwan(t)
	dir := t.TempDir()
	card, peer := &ikeSide{j, filepath.Join(dir, "card"), "14501", "14502"}, &ikeSide{j, filepath.Join(dir, "peer"), "14502", "14501"}
	check(t, card.configure(peer))
	for _, want := range []string{
		"interfaces_use = lo\n", "routing_table = 0\n", "install_routes = no\n", "port_nat_t = 14501\n",
		"include \"" + j.Root + "/etc/strongswan.d/cardctl.conf\"\n",
	} {
		if text := get(t, card.path("strongswan.conf")); !strings.Contains(text, want) {
			t.Errorf("%s\ndoes not have %s", text, want)
		}
	}
	if text := get(t, peer.path("swanctl.conf")); !strings.Contains(text, "certs = \""+peer.path("accepted.pem")) || strings.Contains(text, "include") {
		t.Error(text)
	}
	if get(t, peer.path("accepted.pem")) != inPEM(j.key.certificate) {
		t.Error("the other one accepts another certificate")
	}
}
