//go:build unix

package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// fileArguments are the places of the command line that name a file to read, each with a
// command that reads @ there.
var fileArguments = map[string]string{
	"applet inspect FILE":       "applet inspect @",
	"applet install FILE":       "applet install @ --card-keys env:KEYS",
	"applet script FILE":        "applet script @",
	"applet store-data FILE":    "applet store-data @ --card-keys env:KEYS",
	"attest --ca":               "attest --key PIV.9A --ca @",
	"ca issue --profile":        "ca issue $W/ca $W/leaf.pem --profile @",
	"ca release SERIAL|FILE":    "ca release $W/ca @",
	"ca show SERIAL|FILE":       "ca show $W/ca @",
	"ca import FROM|FILE...":    "ca import $W/ca @",
	"ca init --certificate":     "ca init $W/new-ca --certificate @",
	"ca renew --certificate":    "ca renew $W/ca --certificate @",
	"ca ocsp SERIAL|FILE...":    "ca ocsp $W/ca @ --sign-with-ca --out $W/ocsp",
	"ca revoke SERIAL|FILE":     "ca revoke $W/ca @ --reason superseded",
	"ca issue --public-key":     "ca issue $W/ca --profile client --public-key @",
	"ca issue REQUEST...":       "ca issue $W/ca @ --profile client",
	"enroll --issuer-ca":        "enroll --key OPENPGP.3 --subject CN=a --issuer command:false --issuer-ca @",
	"enroll --public-key":       "enroll --key OPENPGP.3 --subject CN=a --issuer command:false --public-key @",
	"renew --issuer-ca":         "renew --key OPENPGP.3 --issuer-ca @",
	"renew --public-key":        "renew --key OPENPGP.3 --public-key @",
	"import-cert FILE":          "import-cert --key OPENPGP.3 @",
	"import-cert --chain":       "import-cert --key OPENPGP.3 $W/leaf.pem --chain @",
	"import-cert --ca":          "import-cert --key OPENPGP.3 $W/leaf.pem --ca @",
	"import-cert --public-key":  "import-cert --key OPENPGP.3 $W/leaf.pem --public-key @",
	"import-key FILE":           "import-key --key OPENPGP.3 @",
	"gen-csr --public-key":      "gen-csr --key OPENPGP.3 --subject CN=a --public-key @",
	"ledger import FILE":        "ledger import @",
	"ledger letters --identity": "ledger letters --out $W --identity @",
	"ledger letters --template": "ledger letters --out $W --identity $W/leaf.pem --template @",
	"ledger mark --issuer-ca":   "ledger mark A1 lost --revoke --issuer-ca @",
	"ledger reseal --identity":  "ledger reseal --to age1 --identity @",
	"ledger reveal --identity":  "ledger reveal A1 --secret puk --identity @",
	"ledger verify --anchor":    "ledger verify --anchor @",
	"openvpn CONFIG":            "openvpn --key OPENPGP.3 @",
	"provision --rows":          "provision $W/columns.yaml --rows @",
	"provision --identity":      "provision $W/plan.yaml --identity @",
	"setup --ca":                "setup firefox --key OPENPGP.3 --ca @",
	"smoke-test --chain":        "smoke-test --key OPENPGP.3 --tls --chain @",
	"smoke-test --ca":           "smoke-test --key OPENPGP.3 --tls-connect localhost:1 --ca @",
}

// writtenFiles are the flags that name a file to write.
var writtenFiles = []string{"keys-file", "request", "out", "trace", "attestation-ca", "generate-management-key", "picture", "backup"}

// TestEveryFileArgumentIsTried fails for a place that names a file and is in none of the
// lists.
func TestEveryFileArgumentIsTried(t *testing.T) {
	missing := maps.Clone(fileArguments)
	look := func(place string) {
		if fileArguments[place] == "" {
			t.Errorf("fileArguments has no %s", place)
		}
		delete(missing, place)
	}
	everyCommand(newRootCmd(newSession(newEnv())), func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), "cardctl ")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if kind, _ := pflag.UnquoteUsage(f); kind == "file" && !slices.Contains(writtenFiles, f.Name) {
				look(path + " --" + f.Name)
			}
		})
		words := strings.Fields(cmd.Use)
		for i, word := range words[1:] {
			ofFlag := strings.HasPrefix(words[i], "--") // the word before
			if strings.HasPrefix(strings.Trim(word, "[]"), "FILE") && !ofFlag && !strings.Contains(cmd.Use, "--keys-file") && cmd.Name() != "backup" {
				look(path + " FILE")
			}
			if slices.Contains([]string{"CONFIG", "REQUEST...", "SERIAL|FILE", "SERIAL|FILE...", "FROM|FILE..."}, strings.Trim(word, "[]")) {
				look(path + " " + strings.Trim(word, "[]"))
			}
		}
	})
	for place := range missing {
		t.Errorf("there is no %s", place)
	}
}

// TestOddFiles names what is no file, or never ends, at every place: the command ends
// with an error, at the latest with its context, and has sent nothing.
func TestOddFiles(t *testing.T) {
	d := newDesk(t, "KEYS="+testKey)
	dir := t.TempDir()
	d.must("init", "--yes")
	d.must("gen-key", "--key", "OPENPGP.3")
	d.must(d.words("gen-csr --key OPENPGP.3 --subject CN=a --self-signed --days 2 --out $W/leaf.pem")...)
	d.writeFile("plan.yaml", []byte("{schema: cardctl/v1, kind: Plan, keys: [{ref: OPENPGP.3}]}"))
	d.writeFile("columns.yaml", []byte("{schema: cardctl/v1, kind: Plan, person: {id: '{{.mail}}'}, keys: [{ref: OPENPGP.3}]}"))
	pipe, sparse := filepath.Join(dir, "pipe"), filepath.Join(d.state, "sparse")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	d.writeFile("sparse", nil)
	if err := syscall.Truncate(sparse, 1<<30); err != nil {
		t.Fatal(err)
	}
	for place, line := range fileArguments {
		for what, file := range map[string]string{
			"pipe": pipe, "endless": "/dev/zero", "directory": dir, "sparse": sparse, "unreadable": "/proc/self/mem", "missing": filepath.Join(dir, "missing"),
		} {
			trace := filepath.Join(t.TempDir(), "trace")
			if err := os.WriteFile(trace, nil, 0o600); err != nil { // the command may end before it opens it
				t.Fatal(err)
			}
			wait := 20 * time.Second
			if what == "pipe" {
				wait = 50 * time.Millisecond
			}
			ctx, stop := context.WithTimeout(t.Context(), wait)
			start := time.Now()
			r := d.run(ctx, append(d.words(strings.ReplaceAll(line, "@", file)), "--no-input", "--trace", trace))
			stop()
			if r.exit == 0 || r.exit == 10 || r.stdout != "" || !strings.Contains(r.stderr, "\nTry: ") {
				t.Errorf("%s, %s: %+v", place, what, r)
			}
			const most = 10 * time.Second
			if took := time.Since(start); took > most {
				t.Errorf("%s, %s: it took %s", place, what, took)
			}
			if sent := d.traced(trace); len(sent) > 0 {
				t.Errorf("%s, %s: sent %q", place, what, sent)
			}
		}
	}
}
