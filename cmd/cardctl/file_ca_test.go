package main

import (
	"os"
	"os/exec"
	"path/filepath"
)

// caPassword is that of the key of a CA in a file, which commands have in CA_PASSWORD.
const caPassword = "canary-736451"

// newFileCA makes a CA in $W/ca whose key is in a file.
func (d *testDesk) newFileCA() {
	d.t.Helper()
	d.must(d.words("ca init $W/ca --subject CN=CA --algorithm p256 --password env:CA_PASSWORD")...)
	d.openFast(caPassword)
}

// openFast encrypts the key of the CA in $W/ca again, so that its password is hashed once.
// Tests that use it hundreds of times would do little but hash it.
func (d *testDesk) openFast(password string) {
	d.t.Helper()
	file := filepath.Join(d.state, "ca", "ca.key")
	cmd := exec.Command("openssl", "pkcs8", "-topk8", "-in", file, "-out", file+".fast", "-iter", "1",
		"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256", "-passin", "env:PASSWORD", "-passout", "env:PASSWORD")
	cmd.Env = append(os.Environ(), "PASSWORD="+password)
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
	if err := os.Rename(file+".fast", file); err != nil {
		d.t.Fatal(err)
	}
}
