//go:build stack

package bench

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

const (
	// mostOfOpenSSL is what gen-csr may take of the time of openssl req.
	mostOfOpenSSL = 1.0
	tokenRounds   = 51
	tokenKeys     = 10

	tokenPIN = "canary-736451"
	module   = "/usr/lib/softhsm/libsofthsm2.so"
)

// TestTokens measures jobs on a SoftHSM2 token, in turn, so that what else the
// machine does meets all of them.
func TestTokens(t *testing.T) {
	d := stack.NewDesk(t)
	if err := os.MkdirAll(d.Path("hsm"), 0o700); err != nil {
		t.Fatal(err)
	}
	config, err := softhsm.Configure(d.Path("hsm"))
	if err != nil {
		t.Fatal(err)
	}
	d.Setenv(softhsm.Variable, config)
	d.Setenv("CARDCTL_PIN", tokenPIN)
	d.Setenv("CARDCTL_SO_PIN", "officer-2846")
	d.Setenv("CARDCTL_MODULE", module)
	d.Run("cardctl", "init", "--app", "pkcs11", "--label", "desk", "--yes")
	var ten []string
	for i := range tokenKeys {
		key := fmt.Sprintf("pkcs11:token=desk;object=key%d", i)
		d.Run("cardctl", "gen-key", "--key", key, "--algorithm", "rsa2048")
		ten = append(ten, "--key", key)
	}
	one := ten[1]

	// The engine goes through p11-kit, unless it is told the module.
	request := []string{"openssl", "req", "-new", "-engine", "pkcs11", "-keyform", "engine",
		"-key", one + ";type=private;pin-value=" + tokenPIN, "-subj", "/CN=Floppy Head"}
	jobs := []struct {
		name string
		args []string
	}{
		{"`openssl req -engine pkcs11`", request},
		{"the same, with `PKCS11_MODULE_PATH`", append([]string{"env", "PKCS11_MODULE_PATH=" + module}, request...)},
		{"`cardctl gen-csr`", []string{"cardctl", "gen-csr", "--key", one, "--subject", subject}},
		{"`cardctl smoke-test`, one key", []string{"cardctl", "smoke-test", "--key", one}},
		{fmt.Sprintf("`cardctl smoke-test`, %d keys", tokenKeys), append([]string{"cardctl", "smoke-test"}, ten...)},
	}
	times := make([][]time.Duration, len(jobs))
	for range tokenRounds {
		for i, job := range jobs {
			times[i] = append(times[i], d.Measure(job.args[0], job.args[1:]...).Time)
		}
	}
	var table table
	table.row("on a SoftHSM2 token, RSA 2048", "at most", "start to end, ratio to openssl req", "logins")
	for i, job := range jobs {
		ratio := medianRatio(times[i], times[0])
		limit, logins := "–", "1"
		if job.args[1] == "gen-csr" {
			limit = fmt.Sprintf("%.1f", mostOfOpenSSL)
			if ratio > mostOfOpenSSL {
				t.Errorf("gen-csr takes %.2f times what openssl req takes", ratio)
			}
		}
		if job.args[0] == "cardctl" {
			logins = fmt.Sprint(countLogins(d, job.args[1:]))
			if logins != "1" {
				t.Errorf("%s: %s logins", job.name, logins)
			}
		}
		table.row(job.name, limit, fmt.Sprintf("%.2f", ratio), logins)
	}
	table.publish(t)
}

// medianRatio is the median of the ratios of each round: what else the machine
// does changes from one round to the next.
func medianRatio(times, to []time.Duration) float64 {
	ratios := make([]float64, len(times))
	for i := range times {
		ratios[i] = times[i].Seconds() / to[i].Seconds()
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// countLogins counts the logins of a command.
func countLogins(d *stack.Desk, args []string) int {
	spyOn(d, args)
	return strings.Count(string(d.Read("spy")), ": C_Login\n")
}

// spyOn runs cardctl with OpenSC's spy between it and the module.
func spyOn(d *stack.Desk, args []string) {
	d.Setenv("PKCS11SPY", module)
	d.Setenv("PKCS11SPY_OUTPUT", d.Path("spy"))
	d.Write("spy", "", 0o600)
	d.Run("cardctl", append(args, "--module", "pkcs11-spy.so")...)
}
