package piv

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// TestLiedTo has the card say of each command of each workflow something else than what
// it did: no PIN is sent twice, no key is lost, nobody loses the management key, and what
// the error says is so. With PULL_EVERY every status word is tried on each, else a third.
func TestLiedTo(t *testing.T) {
	for name, j := range jobs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := newTable(t, cmp.Or(j.profile, "piv-yubikey-5.7"))
			start.pins[secret.ManagementKey] = factoryKey
			if j.prepare != nil {
				j.prepare(start)
			}
			honest := j.table(t, start)
			if err := j.run(honest); err != nil {
				t.Fatal(err)
			}
			if wrong := j.done(honest, start.see(), honest.see()); wrong != "" {
				t.Fatal(wrong)
			}
			last := len(honest.sent)
			points, held := 0, 0
			for n := 1; n <= last; n++ {
				for i, status := range cardsim.Lies() {
					if os.Getenv("PULL_EVERY") == "" && (n+i)%3 != 0 {
						continue
					}
					for _, done := range []bool{true, false} {
						if status>>8 == 0x61 && !done {
							continue // 61xx is a normal end
						}
						points++
						at := fmt.Sprintf("APDU %d of %d, answered %04X, carried out: %v", n, last, uint16(status), done)
						if t.Run(at, func(t *testing.T) { j.lie(t, start, n, status, done) }) {
							held++
						}
					}
				}
			}
			stack.Held(t, "lied to", "PIV", name, "in-process", points, held)
		})
	}
}

// table is a twin of the card that was prepared, and what is typed at it.
func (j *job) table(t *testing.T, start *table) *table {
	t.Helper()
	twin, err := start.card.Twin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = twin.Close() })
	d := &table{t: t, card: twin, dir: t.TempDir()}
	d.pins = map[secret.Name]string{secret.PIN: app.FactoryPIN, secret.PUK: app.FactoryPUK, secret.ManagementKey: factoryKey}
	for name, value := range j.pins {
		d.pins[name] = value
	}
	d.allow.UnknownTries = true
	return d
}

// exchange is a command, and what the host was answered.
type exchange struct {
	cmd    iso7816.Command
	status iso7816.Status
}

// lies has the n-th command answered by a status word and no data, carried out or not.
// The table notes what was exchanged.
func (d *table) lies(n int, status iso7816.Status, done bool) *[]exchange {
	var heard []exchange
	said := []byte{byte(status >> 8), byte(status)}
	d.instead = func(iso7816.Command) []byte {
		if len(d.sent) == n && !done {
			return said
		}
		return nil
	}
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if len(d.sent) == n {
			answer = said
		}
		if end := len(answer); end >= 2 {
			heard = append(heard, exchange{cmd, iso7816.Status(answer[end-2])<<8 | iso7816.Status(answer[end-1])})
		}
		return answer
	}
	return &heard
}

func (j *job) lie(t *testing.T, start *table, n int, status iso7816.Status, done bool) {
	t.Helper()
	d := j.table(t, start)
	before := d.see()
	heard := d.lies(n, status, done)
	err := j.run(d)
	d.instead, d.answer = nil, nil
	now := d.see()
	checkSent(t, *heard)
	j.checkKept(t, d, before, now)
	if err == nil {
		if wrong := j.done(d, before, now); wrong != "" {
			t.Errorf("no error, and %s", wrong)
		}
		if d.has(cmp.Or(j.nextPIN, app.FactoryPIN), cmp.Or(j.nextPUK, app.FactoryPUK)) != "" {
			t.Errorf("no error, and other PINs: %s", d.has(cmp.Or(j.nextPIN, app.FactoryPIN), cmp.Or(j.nextPUK, app.FactoryPUK)))
		}
		return
	}
	j.checkClaims(t, d, err.Error(), before, now)
	if continues := regexp.MustCompile(`Run the same command again to finish|The same command continues`); !continues.MatchString(err.Error()) {
		return
	}
	if err := os.RemoveAll(d.keyFile()); err != nil {
		t.Error(err)
	}
	if err := j.run(d); err != nil {
		t.Errorf("the same command again: %v", err)
	} else if wrong := j.done(d, before, d.see()); wrong != "" {
		t.Errorf("the same command again: %s", wrong)
	}
}

// checkSent wants no PIN or PUK sent again that was not accepted, until the card is reset
// to the factory. Guesses are never the same.
func checkSent(t *testing.T, sent []exchange) {
	t.Helper()
	const reset = 0xFB
	refused := map[byte][][]byte{}
	for _, e := range sent {
		ref := e.cmd.P2
		switch e.cmd.INS {
		case reset:
			clear(refused)
			continue
		case iso7816.InsResetRetryCounter:
			ref = byte(app.PUK)
		case iso7816.InsVerify, iso7816.InsChangeReferenceData:
		default:
			continue
		}
		if len(e.cmd.Data) < app.LongestPIN {
			continue
		}
		value := e.cmd.Data[:app.LongestPIN]
		for _, earlier := range refused[ref] {
			if bytes.Equal(value, earlier) {
				t.Errorf("%q was sent again, and not accepted before", value)
			}
		}
		if e.status != iso7816.StatusOK && e.status>>8 != 0x61 {
			refused[ref] = append(refused[ref], value)
		}
	}
}

// checkKept wants everything on the card that the job was not to change, and that
// somebody has its management key.
func (j *job) checkKept(t *testing.T, d *table, before, now view) {
	t.Helper()
	if !j.erases && (now.PIN.Tries != before.PIN.Tries || now.PUK.Tries != before.PUK.Tries) {
		t.Errorf("%d and %d tries are left", now.PIN.Tries, now.PUK.Tries)
	}
	if !j.erases && !j.replaces {
		for slot, k := range before.Keys {
			if !now.holds(k.PKCS8) {
				t.Errorf("the key in %s is lost", slot)
			}
		}
	}
	for object, content := range before.Objects {
		if !j.mayWrite(object) && !bytes.Equal(now.Objects[object], content) {
			t.Errorf("object %s is another", object)
		}
	}
	file, _ := os.ReadFile(d.keyFile()) // not every job makes one
	for _, known := range []string{
		strings.Repeat("0102030405060708", 3), d.pins[secret.NewManagementKey], d.pins[secret.ManagementKey],
		strings.TrimSpace(string(file)), hex.EncodeToString(before.Management.Key),
	} {
		if strings.EqualFold(known, hex.EncodeToString(now.Management.Key)) {
			return
		}
	}
	if !bytes.Contains(now.Objects[objectPrinted], now.Management.Key) {
		t.Error("nobody has the management key")
	}
}

var (
	triesSaid = regexp.MustCompile(`(\d+) tr(?:y|ies) left`)
	wrongSaid = regexp.MustCompile(`wrong (?:user PIN|PUK)|is blocked|wrong management key`)
	cardSaid  = regexp.MustCompile(`\[[^]]*\]|verification failed, \d tr(?:y|ies) left`)
)

// checkClaims holds every sentence about the card against the card.
func (j *job) checkClaims(t *testing.T, d *table, said string, before, now view) {
	t.Helper()
	said = cardSaid.ReplaceAllString(said, "")
	oldPINs := func() bool { return d.has(app.FactoryPIN, app.FactoryPUK) == "" }
	newPINs := func() bool {
		return d.has(cmp.Or(j.nextPIN, app.FactoryPIN), cmp.Or(j.nextPUK, app.FactoryPUK)) == ""
	}
	oldKey := func() bool { return bytes.Equal(before.Management.Key, now.Management.Key) }
	factoryKey := func() bool {
		return hex.EncodeToString(now.Management.Key) == strings.Repeat("0102030405060708", 3)
	}
	erased := func() bool { return now.Keys["9A"].PKCS8 == nil && now.Objects[certificate9A] == nil }
	kept := func() bool { return before.sameKeys(now) }
	for claim, so := range map[string]func() bool{
		"Nothing on the card was changed":                                    func() bool { return before.same(now) && oldPINs() },
		"No PIN was changed":                                                 oldPINs,
		"The card confirmed the new PIN but does not accept it":              func() bool { return !newPINs() },
		"The previous key is still in the slot":                              func() bool { return now.Keys["9A"].PKCS8 != nil && kept() },
		"A new key is in the slot":                                           func() bool { return now.Keys["9A"].PKCS8 != nil && !kept() },
		"The key is still at PIV.9A":                                         kept,
		"The key is at PIV.82":                                               func() bool { return now.Keys["82"].PKCS8 != nil && now.Keys["9A"].PKCS8 == nil },
		"The keys are still on the card":                                     kept,
		"the keys are still on the card":                                     kept,
		"The card is erased":                                                 erased,
		"The card is erased and has the factory PIN, PUK and management key": func() bool { return oldPINs() && factoryKey() },
		"The card is erased and has the factory management key":              factoryKey,
		"its management key is the factory one":                              factoryKey,
		"The card is erased and has the new PIN and PUK":                     newPINs,
		"Its management key is still the factory one":                        factoryKey,
		"The card still has its old management key":                          oldKey,
		"The card has the new management key":                                func() bool { return !oldKey() },
		"The card confirmed the new management key but does not accept it":   oldKey,
		"The card still has a certificate":                                   func() bool { return now.Objects[certificate9A] != nil },
		"PIN and PUK are blocked":                                            func() bool { return now.PIN.Tries+now.PUK.Tries == 0 },
		"The new key is in the file":                                         func() bool { _, err := os.Stat(d.keyFile()); return err == nil },
	} {
		if strings.Contains(said, claim) && !so() {
			t.Errorf("%q is not so", said)
		}
	}
	if j.profile == "piv-yubikey-4" && strings.Contains(said, "wrong PUK") {
		return // nothing tells its tries but what the card says
	}
	if wrongSaid.MatchString(said) {
		t.Errorf("what was sent is right, and %q", said)
	}
	if tries := triesSaid.FindStringSubmatch(said); tries != nil {
		if n, _ := strconv.Atoi(tries[1]); n != now.PIN.Tries && n != now.PUK.Tries {
			t.Errorf("%d and %d tries are left, and %q", now.PIN.Tries, now.PUK.Tries, said)
		}
	}
}

// view is what is on a card.
type view struct {
	PIN, PUK   pinView
	Management struct{ Key []byte }
	Keys       map[string]struct{ PKCS8 []byte }
	Objects    map[string][]byte
}

type pinView struct {
	Hash         []byte
	Tries, Total int
}

// see looks at the card behind everybody's back.
func (d *table) see() view {
	d.t.Helper()
	var state struct {
		Applications []struct{ State view }
	}
	if err := json.Unmarshal(d.card.State(), &state); err != nil {
		d.t.Fatal(err)
	}
	return state.Applications[0].State
}

func (v view) holds(pkcs8 []byte) bool {
	for _, k := range v.Keys {
		if bytes.Equal(k.PKCS8, pkcs8) {
			return true
		}
	}
	return false
}

func (v view) sameKeys(o view) bool {
	for slot, k := range v.Keys {
		if !bytes.Equal(o.Keys[slot].PKCS8, k.PKCS8) {
			return false
		}
	}
	return len(v.Keys) == len(o.Keys)
}

// same leaves out the tries, which have a sentence of their own.
func (v view) same(o view) bool {
	for object, content := range v.Objects {
		if !bytes.Equal(o.Objects[object], content) {
			return false
		}
	}
	return len(v.Objects) == len(o.Objects) && v.sameKeys(o) && bytes.Equal(v.Management.Key, o.Management.Key) &&
		bytes.Equal(v.PIN.Hash, o.PIN.Hash) && bytes.Equal(v.PUK.Hash, o.PUK.Hash)
}

// has is which PINs a card does not have: a twin is asked, so no try is used up.
func (d *table) has(userPIN, puk string) string {
	d.t.Helper()
	twin, err := d.card.Twin()
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = twin.Close() }()
	conn, err := twin.Connect(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = conn.Close(true) }()
	c, err := app.Select(d.t.Context(), iso7816.NewChannel(conn, iso7816.Capabilities{}))
	if err != nil {
		d.t.Fatal(err)
	}
	var wrong []string
	if err := c.Verify(d.t.Context(), app.ApplicationPIN, secret.New([]byte(userPIN))); err != nil {
		wrong = append(wrong, fmt.Sprintf("the PIN is not %s: %v", userPIN, err))
	}
	if err := c.ChangeReferenceData(d.t.Context(), app.PUK, secret.New([]byte(puk)), secret.New([]byte(puk))); err != nil {
		wrong = append(wrong, fmt.Sprintf("the PUK is not %s: %v", puk, err))
	}
	return strings.Join(wrong, ", ")
}
