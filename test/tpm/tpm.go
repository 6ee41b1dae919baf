// Package tpm gives tests a TPM in software, with a resource manager before it, as the
// kernel is before a real one.
package tpm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// daemons run until standard input ends. The first argument is their directory, which is
// removed then.
const daemons = `
cd "$1"
swtpm socket --tpm2 --tpmstate dir=. --server type=unixio,path=tpm --ctrl type=unixio,path=tpm.ctrl --flags not-need-init,startup-clear &
running=$!
dbus-daemon --session --nofork --nopidfile --address=unix:path="$1/bus" &
running="$running $!"
until [ -S tpm ] && [ -S tpm.ctrl ] && [ -S bus ]; do sleep 0.02; done
DBUS_SESSION_BUS_ADDRESS=unix:path="$1/bus" tpm2-abrmd --session --allow-root --tcti swtpm:path="$1/tpm" &
running="$running $!"
cat >/dev/null
kill $running
wait
rm -rf "$1"
`

// Tries are how many wrong PINs it takes.
const Tries = 8

// TPM is one that runs.
type TPM struct {
	dir   string
	end   io.Closer
	shell *exec.Cmd
}

// Start starts a TPM. It ends with Stop, or with this process.
func Start() (*TPM, error) {
	dir, err := os.MkdirTemp("/tmp", "tpm-") // a short name, for sockets
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	shell := exec.Command("sh", "-c", daemons, "sh", dir)
	shell.Stdout, shell.Stderr = log, log
	end, err := shell.StdinPipe()
	if err == nil {
		err = shell.Start()
	}
	if err != nil {
		return nil, err
	}
	t := &TPM{dir, end, shell}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = t.Tool("tpm2_getcap", "properties-fixed"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("the TPM does not start: %w\n%s", err, said)
		}
	}
	return t, t.Clear()
}

// Environment is what programs need to use it.
func (t *TPM) Environment() map[string]string {
	const manager = "tabrmd:bus_type=session"
	return map[string]string{
		"DBUS_SESSION_BUS_ADDRESS": "unix:path=" + t.dir + "/bus",
		"TPM2_PKCS11_TCTI":         manager,
		"TPM2TOOLS_TCTI":           manager,
		Store:                      t.dir,
	}
}

// Store is the variable that names the directory in which the module keeps its tokens.
const Store = "TPM2_PKCS11_STORE"

// Tool runs one of the TPM's own tools.
func (t *TPM) Tool(name string, args ...string) error {
	tool := exec.Command(name, args...)
	tool.Env = os.Environ()
	for variable, value := range t.Environment() {
		tool.Env = append(tool.Env, variable+"="+value)
	}
	if out, err := tool.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
	}
	return nil
}

// Unlock forgets wrong PINs.
func (t *TPM) Unlock() error { return t.Tool("tpm2_dictionarylockout", "--clear-lockout") }

// Clear makes it new: the keys of all tokens are lost.
func (t *TPM) Clear() error {
	return errors.Join(t.Unlock(), t.Tool("tpm2_clear"), t.Tool("tpm2_dictionarylockout", "--setup-parameters",
		"--max-tries", fmt.Sprint(Tries), "--recovery-time", "1000", "--lockout-recovery-time", "1000"))
}

// Stop ends it.
func (t *TPM) Stop() {
	_ = t.end.Close()
	_ = t.shell.Wait()
}
