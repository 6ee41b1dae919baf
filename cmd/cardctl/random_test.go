package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
)

// randomCard is a kind of card for TestRandomCommands.
type randomCard struct {
	create string
	// quirks are profiles of which two are put together at random.
	quirks []string
	before []string
	// commands are what is run, $F? being the fingerprint of the key of the command, if
	// there is one, after --replace.
	commands []string
}

var randomCards = map[string]randomCard{
	"OpenPGP": {
		create: "--applications openpgp",
		quirks: []string{
			"short-apdus", "wrong-pin-6982", "certificate-limit-lies", "strict-rsa-attributes", "strict-lengths", "t0", "exact-le-6cxx",
			"extended-length-refused", "extended-length-unannounced", "chaining-refused", "empty-slot-6f00", "absent-certificate-6a88",
			"absent-certificate-6a82", "absent-certificate-8800", "certificate-with-tag", "occurrence-forgotten", "no-ec-generation", "kdf",
			"no-terminate", "terminate-when-blocked", "reset-code-counted", "t0-6100", "select-any", "objects-refused", "kdf-unreadable",
			"odd-objects", "ecdsa-33", "no-sha1", "no-room-for-import",
		},
		before: []string{"init --yes"},
		commands: []string{
			"init --yes", "info", "gen-key -k OPENPGP.3 -a p256", "gen-key -k OPENPGP.3 -a p384 --replace $F3", "gen-key -k OPENPGP.1 -a ed25519", "gen-key -k OPENPGP.1 -a ed25519 --replace $F1",
			"import-key -k OPENPGP.3 $W/key.pem", "import-key -k OPENPGP.3 $W/key.pem --replace $F3", "import-key -k OPENPGP.2 $W/key.pem",
			"gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2 --out $W/a.pem", "import-cert -k OPENPGP.3 $W/a.pem", "import-cert -k OPENPGP.3 $W/a.pem --yes",
			"export-cert -k OPENPGP.3", "export-key -k OPENPGP.3", "delete-cert -k OPENPGP.3 --yes", "delete-key -k OPENPGP.3 --yes",
			"set-pin user --new-pin env:CARDCTL_PIN", "set-pin admin --new-pin env:CARDCTL_ADMIN_PIN", "set-pin reset-code --new-pin env:CODE",
			"unblock-pin --new-pin env:CARDCTL_PIN", "unblock-pin --reset-code env:CODE --new-pin env:CARDCTL_PIN",
		},
	},
	"PIV": {
		create: "--applications piv",
		quirks: []string{
			"piv-nist", "piv-yubikey-4", "piv-yubikey-5", "piv-yubikey-5.7", "piv-yubikey-5.2", "piv-short-apdus", "piv-metadata-type-only",
			"piv-empty-slot-6a86", "t0", "t0-6100", "select-any", "exact-le-6cxx",
		},
		commands: []string{
			"info", "gen-key -k PIV.9A -a p256 --management-key default", "gen-key -k PIV.9C -a p384 --management-key default",
			"gen-key -k PIV.9A -a p256 --management-key default --replace $F9A", "gen-key -k PIV.9A -a p256 --management-key default --replace unknown",
			"import-key -k PIV.9D $W/key.pem --management-key default --pin env:FACTORY_PIN", "gen-csr -k PIV.9A --subject CN=a --self-signed --days 2 --pin env:FACTORY_PIN --out $W/a.pem",
			"import-cert -k PIV.9A $W/a.pem --management-key default", "export-cert -k PIV.9A", "delete-cert -k PIV.9A --yes --management-key default",
			"set-pin user --pin env:FACTORY_PIN --new-pin env:FACTORY_PIN", "set-pin puk --puk env:FACTORY_PUK --new-pin env:FACTORY_PUK",
			"unblock-pin --puk env:FACTORY_PUK --new-pin env:FACTORY_PIN",
		},
	},
	"Java card": {
		create: "--applications gp",
		quirks: []string{"short-apdus", "extended-length-refused", "extended-length-unannounced", "t0", "t0-6100", "exact-le-6cxx", "select-any"},
		commands: []string{
			"info", "applet list --card-keys env:KEYS", "applet install $W/new.cap --card-keys env:KEYS", "applet install $W/new.cap --card-keys env:KEYS --replace --yes",
			"applet install $W/new.cap --load-only --card-keys env:KEYS", "applet install --package F000000002 --applet F00000000201 --instance F0000000AA --card-keys env:KEYS",
			"applet delete F00000000201 --yes --card-keys env:KEYS", "applet delete F000000002 --with-applets --yes --card-keys env:KEYS",
			"applet state lock F00000000201 --card-keys env:KEYS", "applet state unlock F00000000201 --card-keys env:KEYS",
			"applet state initialized --yes --card-keys env:KEYS", "applet state secured --yes --card-keys env:KEYS",
			"applet state lock-card --card-keys env:KEYS", "applet state unlock-card --card-keys env:KEYS",
			"applet domain create F0000000DD --card-keys env:KEYS", "applet domain extradite F00000000201 --to F0000000DD --yes --card-keys env:KEYS",
			"applet domain list --card-keys env:KEYS", "applet store-data 4504A0B1C2D3 --card-keys env:KEYS",
		},
	},
}

// TestRandomCommands runs commands in random order on cards with two quirks at a time,
// and pulls the card out, cuts its power or lets it lie at random points. RANDOM_SEED
// repeats a run, RANDOM_RUNS makes more of them.
func TestRandomCommands(t *testing.T) {
	seed, runs := uint64(20261129), 6
	if text := os.Getenv("RANDOM_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	if text := os.Getenv("RANDOM_RUNS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		runs = n
	}
	for run := range runs {
		for _, kind := range slices.Sorted(maps.Keys(randomCards)) {
			own := seed + uint64(run)
			t.Run(fmt.Sprintf("%s, RANDOM_SEED=%d", kind, own), func(t *testing.T) {
				t.Parallel()
				runRandom(t, randomCards[kind], rand.New(rand.NewPCG(own, 0)))
			})
		}
	}
}

func runRandom(t *testing.T, kind randomCard, r *rand.Rand) {
	quirks := slices.Clone(kind.quirks)
	r.Shuffle(len(quirks), func(i, j int) { quirks[i], quirks[j] = quirks[j], quirks[i] })
	profile := strings.Join(quirks[:2], "+")
	d := newDesk(t, "CODE=27182818", "KEYS="+testKey, "FACTORY_PIN=123456", "FACTORY_PUK=12345678")
	d.must("sim", "delete", "desk", "--yes")
	d.must(append([]string{"sim", "create", "desk", "--profile", profile}, strings.Fields(kind.create)...)...)
	d.writeKey("key.pem")
	file, err := capFile{pkg: "F000000002", applets: []string{"F00000000201"}, code: 400}.bytes()
	if err != nil {
		t.Fatal(err)
	}
	d.writeFile("new.cap", file)
	for _, line := range kind.before {
		d.run(context.Background(), strings.Fields(line)) // some quirks do not allow it
	}
	const steps = 12
	for range steps {
		line := kind.commands[r.IntN(len(kind.commands))]
		before := d.save()
		words := d.words(d.withFingerprint(line))
		if slices.Contains(words, "") {
			continue // there is no key to be replaced
		}
		faults, what, inside := randomFault(r)
		result := d.run(context.Background(), words, faults...)
		if problem := d.broken(line, before, result, inside); problem != "" {
			t.Fatalf("profile %s, %s, %s: %s\nexit status %d\n%s", profile, line, what, problem, result.exit, result.stderr)
		}
		if triesOf(d.save()).less(triesOf(before)) {
			d.restore(before) // the power was cut while the card counted
		} else if strings.HasPrefix(line, "init") && result.exit != 0 {
			d.restore(before) // it has the factory PINs, or those of this test, or one of each
		}
	}
}

// randomFault is a fault at one of the first commands, or none.
func randomFault(r *rand.Rand) (faults []cardsim.Fault, what string, inside bool) {
	n := 1 + r.IntN(25)
	switch kind := r.IntN(8); kind {
	case 0, 1:
		return []cardsim.Fault{cardsim.RemoveBefore(n)}, fmt.Sprintf("pulled before command %d", n), false
	case 2, 3:
		return []cardsim.Fault{cardsim.RemoveAfter(n)}, fmt.Sprintf("pulled after command %d", n), false
	case 4:
		n = 1 + n%6
		return []cardsim.Fault{cardsim.PowerLossBeforeWrite(n)}, fmt.Sprintf("without power before write %d", n), true
	case 5:
		n = 1 + n%6
		return []cardsim.Fault{cardsim.PowerLossAfterWrite(n)}, fmt.Sprintf("without power after write %d", n), true
	case 6:
		status, done := cardsim.Lies()[r.IntN(len(cardsim.Lies()))], r.IntN(2) == 0
		return []cardsim.Fault{cardsim.Lie(n, status, done)}, fmt.Sprintf("%04X to command %d, carried out: %t", uint16(status), n, done), true
	}
	return nil, "undisturbed", false
}

// withFingerprint puts in the fingerprint of the key that a command replaces.
func (d *testDesk) withFingerprint(line string) string {
	command, slot, found := strings.Cut(line, "$F")
	if !found {
		return line
	}
	r := d.run(context.Background(), []string{"info", "-o", "json"})
	var info cardInfo
	if r.exit != 0 || json.Unmarshal([]byte(r.stdout), &info) != nil {
		return "info"
	}
	ref := map[string]string{"1": "OPENPGP.1", "3": "OPENPGP.3", "9A": "PIV.9A"}[slot]
	if fingerprint := fingerprintOf(info, ref); strings.Trim(fingerprint, "0") != "" {
		return command + fingerprint
	}
	return "info"
}

// broken says what does not hold after a command, "" for nothing.
func (d *testDesk) broken(line string, before []byte, r result, inside bool) string {
	after := d.save()
	var was, is any
	if json.Unmarshal(before, &was) != nil || json.Unmarshal(after, &is) != nil {
		return "the state of the card cannot be read"
	}
	destroys := strings.Contains(line, "--replace") || strings.HasPrefix(line, "init") || strings.HasPrefix(line, "delete-key")
	for at, key := range textsOf(was, "pkcs8") {
		if now := textsOf(is, "pkcs8")[at]; now != key && !destroys {
			return "a key was changed: " + at
		}
	}
	if !strings.HasPrefix(line, "init") {
		for at, tries := range triesOf(before) {
			if now := triesOf(after)[at]; now < tries-1 || now < tries && !inside {
				return fmt.Sprintf("%s: %d tries of %d are left", at, now, tries)
			}
		}
	}
	if strings.Contains(r.stderr, "Nothing on the card was changed") && plainState(was) != plainState(is) {
		return fmt.Sprintf("the card was changed\nfrom %s\nto %s", plainState(was), plainState(is))
	}
	switch {
	case r.exit == 4 && (strings.HasPrefix(line, "init") || strings.Contains(line, "--reset-code")):
		// init says itself that it tries the factory PIN where a card cannot be erased;
		// a resetting code may not be set, and some cards count it all the same.
	case r.exit < 0 || r.exit > 10, r.exit == 4 && !inside, strings.Contains(r.stderr, "panic"):
		return "an exit status that cannot be"
	case r.exit != 0 && !strings.Contains(r.stderr, "\nTry: "):
		return "no advice"
	}
	// Some PIV cards do not tell their keys, and a card that was terminated does not.
	told := !strings.Contains(string(after), `"piv"`) && !(strings.HasPrefix(line, "init") && r.exit != 0)
	return d.misreported(told && len(textsOf(is, "pkcs8")) > 0)
}

// misreported says what info does not report as it is.
func (d *testDesk) misreported(keys bool) string {
	r := d.run(context.Background(), []string{"info", "-o", "json"})
	var info cardInfo
	switch {
	case r.exit != 0:
		return fmt.Sprintf("info exits with %d\n%s", r.exit, r.stderr)
	case json.Unmarshal([]byte(r.stdout), &info) != nil:
		return "info is no JSON"
	case keys && len(info.Keys) == 0:
		return fmt.Sprintf("info reports the keys %+v", info.Keys)
	}
	return ""
}

// tries are those of every secret of a card, by their place in its state.
type tries map[string]int

func (t tries) less(other tries) bool {
	for at, n := range other {
		if t[at] < n {
			return true
		}
	}
	return false
}

func triesOf(state []byte) tries {
	var parsed any
	list := tries{}
	if json.Unmarshal(state, &parsed) == nil {
		visit(parsed, "", func(at, name string, value any) {
			if n, ok := value.(float64); ok && name == "tries" {
				list[at] = int(n)
			}
		})
	}
	return list
}

// textsOf are the values of a name anywhere in a state, by their place.
func textsOf(state any, wanted string) map[string]string {
	list := map[string]string{}
	visit(state, "", func(at, name string, value any) {
		if text, ok := value.(string); ok && name == wanted && text != "" {
			list[at] = text
		}
	})
	return list
}

// plainState is a state without what every session changes.
func plainState(state any) string {
	var list []string
	visit(state, "", func(at, name string, value any) {
		if !slices.Contains([]string{"tries", "counter", "signatureCounter"}, name) {
			list = append(list, fmt.Sprintf("%s=%v", at, value))
		}
	})
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// visit visits every value of a state that is no object and no list.
func visit(state any, at string, leaf func(at, name string, value any)) {
	switch value := state.(type) {
	case map[string]any:
		for name, v := range value {
			if _, nested := v.(map[string]any); !nested {
				if _, list := v.([]any); !list {
					leaf(at+"/"+name, name, v)
					continue
				}
			}
			visit(v, at+"/"+name, leaf)
		}
	case []any:
		for i, v := range value {
			visit(v, fmt.Sprintf("%s/%d", at, i), leaf)
		}
	default:
		leaf(at, "", value)
	}
}
