//go:build cgo && unix

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

// tokenPlan is a desk with a plan for one token of SoftHSM2, behind a module that disturbs
// one of its calls (testdata/nth.c).
type tokenPlan struct {
	*tokenDesk
	ledger *provisioning
}

const tokenKey = "pkcs11:object=vpn"

func newTokenPlan(t *testing.T) *tokenPlan {
	t.Helper()
	rows := newRowsDesk(t, `
card: {application: pkcs11, label: floppy}
pins: {user: {generate: 8 digits, keep: both}, so: {generate: 8 digits, keep: ledger}}
keys: [{ref: "`+tokenKey+`", algorithm: p256, `+certified)
	d := &tokenDesk{t: t, dir: rows.state}
	var err error
	if d.config, err = softhsm.Configure(d.dir); err != nil {
		t.Fatal(err)
	}
	module, err := p11.DefaultPlaces().Locate("softhsm2")
	if err != nil {
		t.Fatal(err)
	}
	nth := d.path("nth.so")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", nth, "testdata/nth.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	rows.rows("floppy@example.com,Floppy Head")
	d.vars = []string{"CARDCTL_MODULE=" + nth, "NTH_MODULE=" + module, "CA_PASSWORD=" + caPassword}
	return &tokenPlan{d, &provisioning{testDesk: rows.testDesk, identity: rows.identity}}
}

// in is the same plan with the tokens of another desk.
func (d *tokenPlan) in(other *tokenDesk) *tokenPlan {
	here := *d.tokenDesk
	here.config = other.config
	return &tokenPlan{&here, d.ledger}
}

// calls is how many calls of the module the plan needs, for a token that is restored then.
func (d *tokenPlan) calls(t *testing.T) int {
	t.Helper()
	restore := d.ledger.keep(t)
	defer restore()
	if r := d.provision(t, ""); r.exit != 0 {
		t.Fatalf("%+v", r)
	}
	calls, err := strconv.Atoi(string(d.ledger.fileOf("calls")))
	if err != nil || calls < 50 {
		t.Fatalf("%d calls, %v", calls, err)
	}
	d.complete(t)
	return calls
}

// provision runs the plan with one call disturbed; an empty order is none.
func (d *tokenPlan) provision(t *testing.T, order string, more ...string) result {
	t.Helper()
	here := *d.tokenDesk
	here.t, here.vars = t, append(d.vars[:len(d.vars):len(d.vars)], "NTH="+order, "NTH_CALLS="+d.path("calls"))
	return here.run("cardctl", append([]string{"provision", d.path("plan.yaml"), "--rows", d.path("rows.csv"), "--yes"}, more...)...)
}

// seen is the fingerprint of the only key of the token, and how many tokens there are.
func (d *tokenPlan) seen(t *testing.T) (key string, tokens int) {
	t.Helper()
	var list struct{ Tokens []struct{ Initialized bool } }
	r := d.run("cardctl", "list-tokens", "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil {
		t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	for _, token := range list.Tokens {
		if token.Initialized {
			tokens++
		}
	}
	if tokens == 0 {
		return "", 0
	}
	var info cardInfo
	r = d.run("cardctl", "info", "--app", "pkcs11", "--token", "floppy", "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &info); err != nil || len(info.Keys) > 1 {
		t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	if len(info.Keys) == 1 {
		key = info.Keys[0].Fingerprint
	}
	return key, tokens
}

// TestProvisionPulledToken and TestProvisionLiedToByToken disturb calls of the module while a
// plan makes a token: it is gone from then on, or says of what it did that it failed. There
// is one token in the end, with one key and one certificate, and the PINs of the ledger.
func TestProvisionPulledToken(t *testing.T) {
	disturbTokens(t, "pulled out", map[string]string{"before call": "pulled-before", "after call": "pulled-after"})
}

func TestProvisionLiedToByToken(t *testing.T) {
	disturbTokens(t, "lied to", map[string]string{
		"CKR_FUNCTION_FAILED, carried out": "failed-after", "CKR_FUNCTION_FAILED": "failed-before",
		"CKR_DEVICE_ERROR, carried out": "error-after", "CKR_DEVICE_ERROR": "error-before",
	})
}

func disturbTokens(t *testing.T, what string, deeds map[string]string) {
	t.Parallel()
	d := newTokenPlan(t)
	calls, restore := d.calls(t), d.ledger.keep(t)
	points, held, stride := 0, 0, strideOf(calls*len(deeds), 14)
	first := 1
	for name, deed := range deeds {
		first = first%stride + 1 // not the same calls
		for n := first; n <= calls; n += stride {
			restore()
			points++
			if t.Run(fmt.Sprintf("%s %d of %d", name, n, calls), func(t *testing.T) { d.goesOn(t, d.provision(t, fmt.Sprintf("%d:%s", n, deed))) }) {
				held++
			}
		}
	}
	stack.Held(t, what, "PKCS#11 token", "provision", "SoftHSM2", points, held)
}

// strideOf is from one of all points to the next in this run, which has so many in quick.
func strideOf(all, quick int) int {
	if everyPoint() {
		return 1
	}
	return all / quick
}

// TestProvisionSwappedToken has other tokens in the place of those that there were, from a
// call of the module on: blank ones, and one of the same label. They are not changed, and
// no try of a PIN is lost. Only a blank one that comes before one is initialised is the one
// that is meant.
func TestProvisionSwappedToken(t *testing.T) {
	t.Parallel()
	d := newTokenPlan(t)
	calls, restore := d.calls(t), d.ledger.keep(t)
	points, held, stride := 0, 0, strideOf(2*calls, 16)
	for what, label := range map[string]string{"blank": "", "of the same label": "floppy"} {
		for n := 1; n <= calls; n += stride {
			restore()
			points++
			if t.Run(fmt.Sprintf("%s %d of %d", what, n, calls), func(t *testing.T) { d.swapped(t, n, label) }) {
				held++
			}
		}
	}
	stack.Held(t, "swapped", "PKCS#11 token", "provision", "SoftHSM2", points, held)
}

// swapped has tokens come at a call; without a label they are blank.
func (d *tokenPlan) swapped(t *testing.T, call int, label string) {
	t.Helper()
	came := newTokenDesk(t)
	if label != "" {
		came.token(label)
	}
	before := came.files()
	with := d.in(d.tokenDesk)
	with.vars = append(with.vars[:len(with.vars):len(with.vars)], "NTH_CONFIG="+came.config)
	r := with.provision(t, fmt.Sprintf("%d:swapped", call))
	if _, tokens := d.seen(t); label == "" && r.exit == 0 && tokens == 0 {
		d.in(came).complete(t)
		return
	}
	if !maps.Equal(before, came.files()) {
		t.Errorf("a token that came was changed: exit status %d\n%s", r.exit, r.stderr)
	}
	d.goesOn(t, r)
}

// goesOn runs the same command again, after one that was disturbed.
func (d *tokenPlan) goesOn(t *testing.T, r result) {
	t.Helper()
	if r.exit < 0 || r.exit > 10 {
		t.Errorf("exit status %d\n%s", r.exit, r.stderr)
	}
	d.ledger.notDone(t, r)
	d.ledger.sealedOnly(t, r)
	key, tokens := d.seen(t)
	if tokens > 1 {
		t.Errorf("%d tokens", tokens)
	}
	again := d.provision(t, "")
	if again.exit == 9 && strings.Contains(again.stderr, "--identity") {
		again = d.provision(t, "", "--identity", d.path("desk.key"))
	}
	if again.exit != 0 {
		t.Fatalf("after exit status %d\n%s\nexit status %d\n%s", r.exit, r.stderr, again.exit, again.stderr)
	}
	d.ledger.sealedOnly(t, again)
	d.complete(t)
	if now, _ := d.seen(t); key != "" && now != key {
		t.Errorf("the key is another one, after exit status %d\n%s", r.exit, r.stderr)
	}
}

// complete wants one token as the plan says, by the ledger and by itself.
func (d *tokenPlan) complete(t *testing.T) {
	t.Helper()
	if key, tokens := d.seen(t); key == "" || tokens != 1 {
		t.Fatalf("%d tokens, key %q", tokens, key)
	}
	cards := d.ledger.inLedger(t, ledger.Filter{})
	if len(cards) != 1 {
		t.Fatalf("%+v", cards)
	}
	c := cards[0]
	if c.State != ledger.Active || c.Person == nil || c.Person.ID != "floppy@example.com" || len(c.Credentials) != 1 || len(c.Secrets) != 2 {
		t.Fatalf("%+v", c)
	}
	here := *d.tokenDesk
	for _, s := range c.Secrets {
		value, err := ledger.Unseal(t.Context(), s.Blob, d.ledger.identity)
		if err != nil || !s.Set {
			t.Fatalf("%s: %+v, %v", s.Kind, s, err)
		}
		here.vars = append(here.vars[:len(here.vars):len(here.vars)], s.Kind.Variable()+"="+string(value.Reveal()))
	}
	here.t = t
	here.must("cardctl", "set-pin", "user", "--token", "floppy", "--new-pin", "env:"+secret.PIN.Variable())
	here.must("cardctl", "set-pin", "so", "--token", "floppy", "--new-pin", "env:"+secret.SOPIN.Variable())
	if r := d.provision(t, "", "-o", "json"); r.exit != 0 || strings.Contains(r.stdout, `"done"`) || !strings.Contains(r.stdout, `"already"`) {
		t.Errorf("done again: %+v", r)
	}
	if issued := strings.Count(here.run("cardctl", "ca", "list", filepath.Join(d.dir, "ca"), "-o", "json").stdout, `"serialNumber"`); issued != 1 {
		t.Errorf("%d certificates were issued", issued)
	}
}
