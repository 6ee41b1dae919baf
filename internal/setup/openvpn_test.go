//go:build cgo && unix

package setup

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/softhsm"
)

func TestMain(m *testing.M) { os.Exit(softhsm.Main(m)) }

// tokenWithKey is a new token with a key and a certificate for TLS clients.
func tokenWithKey(t *testing.T, kind string) softhsm.Token {
	t.Helper()
	token := softhsm.New(t, "desk")
	token.Generate(t, kind, 0x45, "vpn")
	public := filepath.Join(t.TempDir(), "public.der")
	token.Tool(t, "--read-object", "--type", "pubkey", "--id", "45", "--output-file", public)
	parsed, err := x509.ParsePKIXPublicKey([]byte(get(t, public)))
	check(t, err)
	token.WriteCertificate(t, softhsm.NewCA(t, "CA").Issue(t, parsed, nil).Raw, 0x45, "vpn")
	return token
}

// TestOpenVPNByItself writes what it includes, and takes that back.
func TestOpenVPNByItself(t *testing.T) {
	token := tokenWithKey(t, "EC:prime256v1")
	bin := filepath.Join(t.TempDir(), "bin")
	put(t, filepath.Join(bin, "openvpn"), "#!/bin/sh\necho no such option\nexit 1\n")
	check(t, os.Chmod(filepath.Join(bin, "openvpn"), 0o700))
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	o := Options{Target: "openvpn", Key: "pkcs11:token=desk;object=vpn", Module: "softhsm2", Home: t.TempDir(), Dir: t.TempDir(), Environ: []string{"PATH=" + os.Getenv("PATH")}}
	o.Stored = func(context.Context, key.Key) ([]byte, error) {
		return nil, problem.New(problem.NotFound, "no certificate")
	}
	access := desk.Access{Ask: func(context.Context, secret.Request) (*secret.Bytes, error) {
		return secret.New([]byte(token.PIN)), nil
	}}
	run := func(action Action) (Report, error) {
		o.Action = action
		return Run(t.Context(), &desk.Desk{Modules: desk.NewModules()}, access, o)
	}
	report, err := run(Write)
	check(t, err)
	path := filepath.Join(o.Home, ".config/cardctl/openvpn.conf")
	if text := get(t, path); !strings.Contains(text, "pkcs11-id 'SoftHSM\\x20project/") || !strings.Contains(text, "pkcs11-providers '/") || strings.Contains(text, token.PIN) {
		t.Error(text)
	}
	if !slices.Equal(report.Next, []string{"openvpn --config NAME.conf"}) || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "config '"+path+"'") {
		t.Errorf("%+v", report)
	}
	if _, err := run(Check); !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "OpenVPN") {
		t.Errorf("an OpenVPN that does not connect: %v", err)
	}
	_, err = run(Undo)
	check(t, err)
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("after --undo: %v", err)
	}
}

// TestWhatOpenVPNRunsWith is a drop-in for the service, and a command for a person.
func TestWhatOpenVPNRunsWith(t *testing.T) {
	j := &job{Options: Options{Home: "/home/me", Environ: []string{"OPENSC_DRIVER=PIV-II", "PATH=/bin", "SECRET=1"}}, target: openVPN()}
	p := j.openvpnRuns(true)
	const conf = "/home/me/.config/cardctl/openvpn.cnf"
	if want := "OPENSSL_CONF=" + conf + " OPENSC_DRIVER=PIV-II openvpn --config NAME.conf"; !slices.Equal(p.next, []string{want}) || len(p.entries) != 1 || p.entries[0].place() != conf {
		t.Errorf("%+v", p)
	}
	if env := j.unitEnvironment(true); !slices.Equal(env, append(j.Environ, "OPENSSL_CONF="+conf)) {
		t.Error(env)
	}
	j.System = true
	p = j.openvpnRuns(true)
	restart := []string{"systemctl daemon-reload", "systemctl restart openvpn-client@NAME"}
	if !slices.Equal(p.next, restart) || !slices.Equal(p.undone, restart) || len(p.entries) != 2 || !strings.Contains(p.entries[1].text(), `Environment="OPENSC_DRIVER=PIV-II"`) {
		t.Errorf("%+v", p)
	}
	if env := j.unitEnvironment(true); !slices.Equal(env, []string{"OPENSC_DRIVER=PIV-II", "PATH=/bin", "OPENSSL_CONF=/etc/cardctl/openvpn.cnf"}) {
		t.Error(env)
	}
	if path := j.openvpnConf(); path != "/etc/openvpn/cardctl/key.conf" {
		t.Errorf("%s: every *.conf in /etc/openvpn and /etc/openvpn/client is a connection", path)
	}
}

// TestKeysThatOpenVPNDoesNotUse are refused before anything is written.
func TestKeysThatOpenVPNDoesNotUse(t *testing.T) {
	j := withKey(t, nil, &cert.Certificate{}, nil)
	_, err := planOpenVPN(t.Context(), j)
	refused(t, err, problem.NotSupported, advice.Do(advice.ShowCard))
	j.key.known.SerializedID = "maker/model/0815/label/45"
	j.key.EachUse = func(context.Context) (bool, error) { return true, nil }
	_, err = planOpenVPN(t.Context(), j)
	refused(t, err, problem.NotSupported, advice.Repeat())
	failure := errors.New("the card is gone")
	j.key.EachUse = func(context.Context) (bool, error) { return false, failure }
	if _, err := planOpenVPN(t.Context(), j); !errors.Is(err, failure) {
		t.Error(err)
	}
	j.key.certificate = nil
	_, err = planOpenVPN(t.Context(), j)
	refused(t, err, problem.NotFound, advice.Do(advice.ImportCertificate))
}
