//go:build cgo && unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

// The PINs of the tokens.
const tokenPIN, tokenSOPIN = "246813", "87654321"

// tokenDesk is a desk with SoftHSM2 tokens of its own. Its commands are processes:
// the module looks for its tokens when it is loaded.
type tokenDesk struct {
	t           *testing.T
	dir, config string
	vars        []string // of the commands
}

func newTokenDesk(t *testing.T) *tokenDesk {
	t.Helper()
	d := &tokenDesk{t: t, dir: t.TempDir()}
	var err error
	if d.config, err = softhsm.Configure(d.dir); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *tokenDesk) run(program string, args ...string) result {
	d.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), softhsm.Variable+"="+d.config, "CARDCTL_STATE_DIR="+d.dir, "CARDCTL_MODULE=softhsm2", "PCSCLITE_CSOCK_NAME=/nonexistent", "TOKEN_PIN="+tokenPIN)
	cmd.Env = append(cmd.Env, d.vars...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var status *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &status) {
		d.t.Fatal(err)
	}
	return result{exit: cmd.ProcessState.ExitCode(), stdout: out.String(), stderr: errs.String()}
}

func (d *tokenDesk) must(program string, args ...string) {
	d.t.Helper()
	if r := d.run(program, args...); r.exit != 0 {
		d.t.Fatalf("%s %s: exit status %d\n%s%s", program, strings.Join(args, " "), r.exit, r.stdout, r.stderr)
	}
}

// token makes a token.
func (d *tokenDesk) token(label string) {
	d.t.Helper()
	d.must("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", tokenSOPIN, "--pin", tokenPIN)
}

// fingerprint is that of the only key of the token "ours".
func (d *tokenDesk) fingerprint() string {
	d.t.Helper()
	var info cardInfo
	r := d.run("cardctl", "info", "--app", "pkcs11", "--token", "ours", "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &info); err != nil || len(info.Keys) != 1 {
		d.t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	return info.Keys[0].Fingerprint
}

// words are the arguments of a command: $F is the fingerprint of the key, and files
// are in the directory of the desk.
func (d *tokenDesk) words(args []string) []string {
	words := slices.Clone(args)
	for i, arg := range words {
		switch {
		case arg == "$F":
			words[i] = d.fingerprint()
		case strings.HasSuffix(arg, ".pem"):
			words[i] = filepath.Join(d.dir, arg)
		}
	}
	return words
}

// files are what the module keeps of its tokens.
func (d *tokenDesk) files() map[string]string {
	d.t.Helper()
	kept := map[string]string{}
	found, err := filepath.Glob(filepath.Join(d.dir, "tokens", "*", "*"))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, path := range found {
		content, err := os.ReadFile(path)
		if err != nil {
			d.t.Fatal(err)
		}
		kept[path] = string(content)
	}
	return kept
}

// TestSwappedToken has the token that was named deleted, and in most cases another
// one of its label made, by the program that gives the PIN. Nothing reaches another
// token then.
func TestSwappedToken(t *testing.T) {
	remove := "softhsm2-util --delete-token --token ours >&2"
	again := remove + "; softhsm2-util --init-token --free --label ours --so-pin 11111111 --pin 111111 >&2"
	module, err := p11.DefaultPlaces().Locate("softhsm2")
	if err != nil {
		t.Fatal(err)
	}
	const ref = "pkcs11:token=ours;object=k"
	makeKey := []string{"gen-key", "--key", ref, "--pin", "env:TOKEN_PIN"}
	withFile := [][]string{makeKey, {"gen-csr", "--key", ref, "--pin", "env:TOKEN_PIN", "--subject", "CN=a", "--self-signed", "--days", "2", "--out", "a.pem"}}
	withCert := append(slices.Clone(withFile), []string{"import-cert", "--key", ref, "--pin", "env:TOKEN_PIN", "a.pem"})
	for name, w := range map[string]struct {
		flag, value string // of the secret that the program gives
		before      [][]string
		command     []string
	}{
		"init":         {"so-pin", tokenSOPIN, nil, []string{"init", "--app", "pkcs11", "--token", "ours", "--label", "new", "--yes", "--pin", "env:TOKEN_PIN"}},
		"set-pin user": {"pin", tokenPIN, nil, []string{"set-pin", "user", "--token", "ours", "--new-pin", "env:TOKEN_PIN"}},
		"set-pin so":   {"so-pin", tokenSOPIN, nil, []string{"set-pin", "so", "--token", "ours", "--new-pin", "env:TOKEN_PIN"}},
		"unblock-pin":  {"so-pin", tokenSOPIN, nil, []string{"unblock-pin", "--token", "ours", "--new-pin", "env:TOKEN_PIN"}},
		"gen-key":      {"pin", tokenPIN, nil, []string{"gen-key", "--key", ref}},
		"import-key":   {"pin", tokenPIN, nil, []string{"import-key", "--key", ref, "key.pem"}},
		"gen-csr":      {"pin", tokenPIN, [][]string{makeKey}, []string{"gen-csr", "--key", ref, "--subject", "CN=a"}},
		"import-cert":  {"pin", tokenPIN, withFile, []string{"import-cert", "--key", ref, "a.pem"}},
		"delete-cert":  {"pin", tokenPIN, withCert, []string{"delete-cert", "--key", ref, "--yes"}},
		"delete-key":   {"pin", tokenPIN, [][]string{makeKey}, []string{"delete-key", "--key", ref, "--yes", "--fingerprint", "$F"}},
		"smoke-test":   {"pin", tokenPIN, [][]string{makeKey}, []string{"smoke-test", "--key", ref}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			points, held := 0, 0
			for what, program := range map[string]string{"gone": remove, "another of its label": again} {
				points++
				if t.Run(what, func(t *testing.T) {
					d := newTokenDesk(t)
					(&testDesk{t: t, state: d.dir}).writeKey("key.pem")
					d.token("theirs")
					theirs := d.files()
					d.token("ours")
					for _, args := range w.before {
						d.must("cardctl", d.words(args)...)
					}
					r := d.run("cardctl", append(d.words(w.command), "-o", "json", "--"+w.flag, fmt.Sprintf("command:(%s) && echo %s", program, w.value))...)
					var e errorReport
					lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
					if err := json.Unmarshal([]byte(lines[len(lines)-1]), &e); err != nil {
						t.Fatalf("%v: %s", err, r.stderr)
					}
					if r.exit != 10 || e.Code != problem.CardRemoved && e.Code != problem.CardChanged {
						t.Errorf("exit status %d\n%s%s", r.exit, r.stdout, r.stderr)
					}
					now := d.files()
					for path, content := range theirs {
						if now[path] != content {
							t.Errorf("%s was changed", path)
						}
					}
					there := d.run("pkcs11-tool", "--module", module, "--list-token-slots").stdout
					if strings.Contains(there, "count low") || strings.Contains(there, "token label        : ours") != (what != "gone") {
						t.Errorf("the tokens are now:\n%s", there)
					}
				}) {
					held++
				}
			}
			stack.Held(t, "swapped", "PKCS#11 token", name, "SoftHSM2", points, held)
		})
	}
}
