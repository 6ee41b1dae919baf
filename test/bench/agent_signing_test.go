//go:build stack

package bench

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

// signingVariable has this program sign as a process of its own: p11-kit-client.so is told
// once where its server is.
const signingVariable = "CARDCTL_BENCH_SIGN"

// signing is what such a process does.
type signing struct {
	Token, PIN string
	Times      int
}

// signAll prints how many nanoseconds a signature took, and how many, at the median, two calls
// that need no card.
func signAll(told string) int {
	var s signing
	err := json.Unmarshal([]byte(told), &s)
	if err == nil {
		err = s.run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (s signing) run(ctx context.Context) (err error) {
	m, err := p11.NewModules().Load(ctx, stack.AgentModule, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	session, err := m.Find(ctx, p11.Wanted{URI: p11.URI{Path: []p11.Attribute{{Name: p11.AttrToken, Value: s.Token}, {Name: p11.AttrObject, Value: "key0"}}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	if s.PIN != "" {
		value := secret.New([]byte(s.PIN))
		defer value.Wipe()
		if err := session.LoginWith(ctx, p11.User, value); err != nil {
			return err
		}
	}
	key, err := session.Key(ctx)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte("a message"))
	signer := key.Signer(ctx)
	if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
		return err
	}
	begun := time.Now()
	for range s.Times {
		if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			return err
		}
	}
	signature := time.Since(begun).Nanoseconds() / int64(s.Times)
	looks := make([]time.Duration, s.Times)
	for i := range looks {
		begun := time.Now()
		if _, err := m.Look(ctx, session.Token()); err != nil { // C_GetSlotList and C_GetTokenInfo
			return err
		}
		looks[i] = time.Since(begun)
	}
	slices.Sort(looks)
	fmt.Println(signature, looks[len(looks)/2].Nanoseconds())
	return nil
}

// TestAgentSigning compares the time of a signature on a token of SoftHSM2 through the agent
// with that through p11-kit's own server, in turn, until the ratio is as it should be: others
// work on the machine too. What it may be is more, for machines with slower threads.
func TestAgentSigning(t *testing.T) {
	const wanted, most, mostLook, rounds = 1.5, 2, 0.5, 40
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
	d.Run("cardctl", "init", "--app", "pkcs11", "--module", module, "--label", "desk", "--yes")
	d.Run("cardctl", "gen-key", "--module", module, "--key", "pkcs11:token=desk;object=key0", "--algorithm", "p256")
	run := stack.Shared(t, "run-")
	d.Setenv("XDG_RUNTIME_DIR", run)
	d.Setenv("PIN", tokenPIN)
	d.Run("cardctl", "agent", "--pin", "env:PIN", "--token-module", module)
	t.Cleanup(func() { d.Run("cardctl", "agent", "stop") })
	server := filepath.Join(run, "kit")
	d.Start("kit.log", "p11-kit", "server", "--foreground", "--provider", module, "--name", server, "pkcs11:")
	d.Eventually("p11-kit's server listens", func() bool { _, err := os.Stat(server); return err == nil })

	took := func(socket, pin string) (signature, look float64) {
		told, err := json.Marshal(signing{Token: "desk", PIN: pin, Times: 300})
		if err != nil {
			t.Fatal(err)
		}
		d.Setenv("P11_KIT_SERVER_ADDRESS", "unix:path="+socket)
		d.Setenv(signingVariable, string(told))
		if _, err := fmt.Sscan(d.Run(os.Args[0]), &signature, &look); err != nil {
			t.Fatal(err)
		}
		return signature / float64(time.Millisecond), look / float64(time.Millisecond)
	}
	ratio, ours, theirs, looks := 0.0, 0.0, 0.0, math.Inf(1)
	for round := 0; round < rounds && (ratio == 0 || ratio > wanted); round++ {
		agent, look := took(filepath.Join(run, "cardctl", "p11"), "")
		kit, _ := took(server, tokenPIN)
		looks = min(looks, look)
		if now := agent / kit; ratio == 0 || now < ratio {
			ratio, ours, theirs = now, agent, kit
		}
	}
	if looks > mostLook {
		t.Errorf("two calls that need no card take %.2f ms", looks)
	}
	if ratio > most {
		t.Errorf("a signature takes %.2f times as long as through p11-kit server, %d are allowed", ratio, most)
	}
	var signatures table
	signatures.row("a signature on a token of SoftHSM2, P-256", "ms", "ratio", "at most")
	signatures.row("`p11-kit server`", fmt.Sprintf("%.2f", theirs), "", "")
	signatures.row("`cardctl agent`", fmt.Sprintf("%.2f", ours), fmt.Sprintf("%.2f", ratio), fmt.Sprint(most))
	signatures.publish(t)
	var calls table
	calls.row("two calls that need no card, through `cardctl agent`", "ms", "at most")
	calls.row("C_GetSlotList, C_GetTokenInfo", fmt.Sprintf("%.2f", looks), fmt.Sprint(mostLook))
	calls.publish(t)
}
