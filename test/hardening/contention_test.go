//go:build cgo && linux && stack

package hardening

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/test/stack"
)

const (
	// contended is how long all are at the card at once.
	contended = 8 * time.Second
	// patience is how long each cardctl waits for the card, and grace what it
	// may need beside that on a busy machine.
	patience = 2 * time.Second
	grace    = 8 * time.Second
)

// TestOneCardForAll lets two cardctl, scdaemon and what a browser does with a
// PKCS#11 module work on one card at once. Nobody gets a wrong answer, what is
// written is whole, no try is lost, and who has to wait does so no longer than
// --timeout says, and then names who has the card.
func TestOneCardForAll(t *testing.T) {
	c := newContention(t)
	// By itself scdaemon wants the card alone, and does not get it while a
	// browser runs.
	c.Write("gnupg/scdaemon.conf", string(c.Read("gnupg/scdaemon.conf"))+"pcsc-shared\n", 0o600)
	before := c.Info()
	var all sync.WaitGroup
	for _, work := range []func(time.Time){c.request, c.write, c.gnupgAtWork, c.browse} {
		all.Go(func() { work(time.Now().Add(contended)) })
	}
	all.Wait()

	for _, who := range []string{requesting, writing, browsing, gnupgging} {
		t.Logf("%s: %d done, %d times the card was busy", who, c.done[who], c.busy[who])
		// scdaemon begins anew whenever another program resets the card.
		if c.done[who] == 0 && who != gnupgging {
			t.Errorf("%s never got the card", who)
		}
	}
	c.gnupg.SCD("SERIALNO")
	c.gnupg.SCD("READKEY " + contendedKey)
	c.gnupg.Release()
	after := c.Info()
	if !reflect.DeepEqual(before.Keys, after.Keys) {
		t.Errorf("the keys were\n%+v\nand are\n%+v", before.Keys, after.Keys)
	}
	for i, pin := range after.PINs {
		if pin != before.PINs[i] {
			t.Errorf("the PIN was %+v and is %+v", before.PINs[i], pin)
		}
	}
	if len(after.Certificates) != 1 || !after.Certificates[0].MatchesKey {
		t.Errorf("the certificates are %+v", after.Certificates)
	}
	d := c.Run("cardctl", "smoke-test", "--key", contendedKey, "--module", "opensc", "--timeout", "30s")
	if !strings.Contains(d, "pass") {
		t.Error(d)
	}
}

// TestTheLoserNamesTheWinner holds the card with scdaemon, which does not share
// it.
func TestTheLoserNamesTheWinner(t *testing.T) {
	c := newContention(t)
	c.gnupg.SCD("SERIALNO")
	for _, args := range [][]string{{"info"}, {"gen-csr", "--key", contendedKey, "--subject", "CN=a"}, {"set-pin", "user", "--new-pin", "env:CARDCTL_PIN"}} {
		start := time.Now()
		refused := c.Refused(append(args, "--timeout", patience.String())...)
		if took := time.Since(start); took > patience+grace {
			t.Errorf("%v: took %v", args, took)
		}
		if refused.Exit != 6 || refused.Code != "card-busy" || !strings.Contains(refused.Message, "scdaemon") || !strings.Contains(refused.Hint, "gpgconf --kill scdaemon") {
			t.Errorf("%v: %+v", args, refused)
		}
	}
	c.gnupg.Release()
	c.Info()
}

const (
	contendedKey = "OPENPGP.3"

	requesting = "cardctl gen-csr"
	writing    = "cardctl import-cert"
	browsing   = "browser"
	gnupgging  = "scdaemon"
)

// contention is a card with a key and two certificates to choose from, and what
// everybody came to.
type contention struct {
	*stack.Desk
	t      *testing.T
	gnupg  *stack.GnuPG
	public *ecdsa.PublicKey

	mu         sync.Mutex
	done, busy map[string]int
}

func newContention(t *testing.T) *contention {
	d := stack.NewDesk(t)
	d.Card("all", 0).Initialise()
	d.Run("cardctl", "gen-key", "--key", contendedKey, "--algorithm", "p256")
	public := d.Write("public.pem", d.Run("cardctl", "export-key", "--key", contendedKey), 0o600)
	ca := d.Authority()
	ca.Certify(public, "/CN=Floppy Head", "0.pem")
	ca.Certify(public, "/CN=Floppy Head/OU=the other", "1.pem")
	d.Run("cardctl", "import-cert", "--key", contendedKey, "0.pem")
	block, _ := pem.Decode(d.Read("public.pem"))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return &contention{
		Desk: d, t: t, gnupg: d.GnuPG(0, stack.UserPIN, stack.AdminPIN), public: key.(*ecdsa.PublicKey),
		done: map[string]int{}, busy: map[string]int{},
	}
}

// note counts what somebody came to.
func (c *contention) note(list map[string]int, who string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list[who]++
}

// run runs cardctl, which has to succeed, or to lose in order.
func (c *contention) run(who string, args ...string) (stdout string, ok bool) {
	start := time.Now()
	r := c.Try("cardctl", append(args, "--timeout", patience.String())...)
	if took := time.Since(start); took > patience+grace {
		c.t.Errorf("%s: took %v\n%v", who, took, r)
	}
	switch r.Exit {
	case 0:
		c.note(c.done, who)
		return r.Stdout, true
	case 6:
		c.note(c.busy, who)
		named := false
		for _, holder := range []string{"scdaemon", "browser", "cardctl", "reset by another program"} {
			named = named || strings.Contains(r.Stderr, holder)
		}
		if !named || !strings.Contains(r.Stderr, "\nTry: ") {
			c.t.Errorf("%s: %v", who, r)
		}
	default:
		c.t.Errorf("%s: %v", who, r)
	}
	return "", false
}

// request has cardctl sign requests.
func (c *contention) request(until time.Time) {
	for time.Now().Before(until) {
		text, ok := c.run(requesting, "gen-csr", "--key", contendedKey, "--subject", "CN=contended")
		if !ok {
			continue
		}
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			c.t.Errorf("gen-csr: %q", text)
			continue
		}
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil || request.CheckSignature() != nil || !c.public.Equal(request.PublicKey) {
			c.t.Errorf("gen-csr: %v, %v", request, err)
		}
	}
}

// write has cardctl write the one certificate and the other in turn.
func (c *contention) write(until time.Time) {
	for n := 1; time.Now().Before(until); n++ {
		c.run(writing, "import-cert", "--key", contendedKey, "--yes", fmt.Sprintf("%d.pem", n%2))
	}
}

// gnupgAtWork has scdaemon read the card, and let it go.
func (c *contention) gnupgAtWork(until time.Time) {
	point := elliptic(c.public)
	for time.Now().Before(until) {
		r := c.Try("gpg-connect-agent", "SCD SERIALNO", "SCD READKEY "+contendedKey, "/bye")
		switch {
		case strings.Contains(r.Stdout, "ERR "):
			c.note(c.busy, gnupgging)
		case !bytes.Contains(unescaped(r.Stdout), point):
			c.t.Errorf("scdaemon: %v", r)
		default:
			c.note(c.done, gnupgging)
		}
		// One agent does not find a second scdaemon, so both go.
		c.Try("gpgconf", "--kill", "all")
		for ended := time.Now().Add(grace); c.gnupg.Runs() && time.Now().Before(ended); {
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// elliptic is the point of a key, uncompressed.
func elliptic(public *ecdsa.PublicKey) []byte {
	point, err := public.Bytes()
	if err != nil {
		panic(err) // it is on its curve
	}
	return point
}

// unescaped undoes the percent escapes of gpg-connect-agent's data lines.
func unescaped(text string) []byte {
	var out []byte
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if b, err := hex.DecodeString(text[i+1 : i+3]); err == nil {
				out = append(out, b...)
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
}

// browse lets a program sign through OpenSC's PKCS#11 module, as a browser
// would.
func (c *contention) browse(until time.Time) {
	module, err := p11.DefaultPlaces().Locate("opensc")
	if err != nil {
		c.t.Error(err)
		return
	}
	program := c.Path("browser")
	if out, err := exec.Command("gcc", "-o", program, "testdata/browser.c").CombinedOutput(); err != nil {
		c.t.Errorf("gcc: %v\n%s", err, out)
		return
	}
	digest := sha256.Sum256([]byte("what a browser signs"))
	cmd := exec.Command(program, module, stack.UserPIN, "03", hex.EncodeToString(digest[:]))
	cmd.Env = append(cmd.Environ(), "OPENSC_DEBUG=0")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.t.Error(err)
		return
	}
	stop := time.AfterFunc(time.Until(until), func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), "signed ")
		if !ok {
			c.note(c.busy, browsing)
			continue
		}
		signature, err := hex.DecodeString(text)
		if err != nil || len(signature) != 64 {
			c.t.Errorf("browser: %q", text)
			continue
		}
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		if !ecdsa.Verify(c.public, digest[:], r, s) {
			c.t.Error("browser: the signature is wrong")
		}
		c.note(c.done, browsing)
	}
	_ = cmd.Wait() // killed
}
