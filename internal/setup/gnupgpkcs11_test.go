//go:build unix

package setup

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// ofTokens is what the agent sends of an OpenPGP card, whose tokens have one PIN, and of
// another card. OWN is the key that is meant.
const ofTokens = `S KEY-FRIEDNLY OWN /CN=Floppy on card (User PIN)
S KEYPAIRINFO OWN OpenPGP/PKCS\x2315/fffe1/card\x20\x28User\x20PIN\x29/03
S KEYPAIRINFO AA OpenPGP/PKCS\x2315/fffe1/card\x20\x28User\x20PIN\x29/02
S KEYPAIRINFO BB OpenPGP/PKCS\x2315/fffe1/card\x20\x28sig\x29/01
S KEYPAIRINFO CC OpenPGP/PKCS\x2315/fffe2/card\x20\x28User\x20PIN\x29/03
S KEYPAIRINFO odd
OK`

// fakePrograms puts shell scripts before the programs.
func fakePrograms(t *testing.T, scripts map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, script := range scripts {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir
}

// onToken is a job for an RSA key that has a certificate.
func onToken(t *testing.T) *job {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	return &job{
		Options: Options{Home: t.TempDir(), Environ: append(os.Environ(), "GNUPGHOME="), Action: Write},
		target:  gnupgPKCS11(),
		key: &subject{
			Key: &lend.Key{
				Ref: "OPENPGP.3", Leave: func() error { return nil },
				Beside: func(context.Context) ([]*cert.Certificate, error) { return nil, nil },
			},
			module: "/usr/lib/module.so", public: &private.PublicKey,
			certificate: &cert.Certificate{NotBefore: time.Unix(1795000000, 0), Raw: []byte{0x30}},
		},
	}
}

func TestWhatGnuPGPKCS11DoesNotUse(t *testing.T) {
	j := onToken(t)
	for name, c := range map[string]struct {
		change func()
		code   problem.Code
		next   advice.Advice
	}{
		"no certificate": {func() { j.key.certificate = nil }, problem.NotFound, importCertificate("OPENPGP.3")},
		"an EC key": {func() {
			private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			check(t, err)
			j.key.public = &private.PublicKey
		}, problem.NotSupported, generateRSA()},
	} {
		t.Run(name, func(t *testing.T) {
			j = onToken(t)
			c.change()
			_, err := planGnuPGPKCS11(t.Context(), j)
			refused(t, err, c.code, c.next)
		})
	}
}

// TestKeysOfOneToken have the daemon show the key, with others of the same card, of other
// cards, and not at all.
func TestKeysOfOneToken(t *testing.T) {
	j := onToken(t)
	own := key.Keygrip(j.key.public)
	learn := `mkdir -p "$2/private-keys-v1.d" && cd "$2/private-keys-v1.d" || exit 1
for key in KEYS; do echo "Token: D2760001 $key" >$key.key; done
cat "$2/gpg-agent.conf" "$2/gnupg-pkcs11-scd.conf" >"$TOLD" || exit 1
cat <<'E'
` + strings.ReplaceAll(ofTokens, "OWN", own) + "\nE"
	told := filepath.Join(t.TempDir(), "told")
	j.Environ = append(j.Environ, "TOLD="+told)
	programs := map[string]string{
		"gnupg-pkcs11-scd": "", "gpgsm": "", "gpg": "", "gpg-agent": "", "gpgconf": "",
		"gpg-connect-agent": strings.ReplaceAll(learn, "KEYS", own+" AA BB CC"),
	}
	dir := fakePrograms(t, programs)
	p, err := planGnuPGPKCS11(t.Context(), j)
	check(t, err)
	var places []string
	for _, e := range p.entries {
		places = append(places, strings.TrimPrefix(e.place(), j.gnupgHome()))
	}
	want := []string{"/gnupg-pkcs11-scd.conf", "/gpg-agent.conf", ", certificate " + x509Name([]byte{0x30}), ", adopted key with the keygrip " + own}
	for _, name := range slices.Sorted(slices.Values([]string{own, "AA", "BB"})) {
		want = append(want, "/private-keys-v1.d/"+name+".key")
	}
	if !slices.Equal(places, want) {
		t.Errorf("%q, not %q", places, want)
	}
	text, err := os.ReadFile(told)
	check(t, err)
	for _, line := range []string{"scdaemon-program " + dir + "/gnupg-pkcs11-scd", "provider-cardctl-library /usr/lib/module.so"} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("the daemon that is asked has %s", text)
		}
	}
	fakePrograms(t, map[string]string{"gpg-connect-agent": strings.ReplaceAll(learn, "KEYS", "CC")})
	_, err = planGnuPGPKCS11(t.Context(), j)
	refused(t, err, problem.NotSupported, advice.Do(advice.ListTokens))
	put(t, j.agentConfig(), "# cardctl gnupg-pkcs11-scd: begin\n")
	if _, err = planGnuPGPKCS11(t.Context(), j); !problem.Is(err, problem.Mismatch) {
		t.Errorf("half a block: %v", err)
	}
}

// TestKeysWithTheSamePIN are those of the token, or of a card that has one PIN.
func TestKeysWithTheSamePIN(t *testing.T) {
	j := onToken(t)
	found := &cardKeys{report: strings.Split(strings.ReplaceAll(ofTokens, "OWN", key.Keygrip(j.key.public)), "\n")}
	if got := found.samePIN(j.key); !slices.Equal(got, []string{"AA"}) {
		t.Errorf("of several PINs: %q", got)
	}
	j.key.Holder.SharedPIN = true
	if got := found.samePIN(j.key); !slices.Equal(got, []string{"AA", "BB"}) {
		t.Errorf("of one PIN: %q", got)
	}
}

// TestAnotherCardDaemon is foreign, and what needs GnuPG's own is refused beside this one.
func TestAnotherCardDaemon(t *testing.T) {
	fakePrograms(t, map[string]string{pkcs11Daemon: ""})
	j := onToken(t)
	settings := j.pkcs11Daemon()
	is := func(f *file, want state) {
		t.Helper()
		if got, shown, err := f.look(t.Context()); got != want || err != nil || (shown != "") != (want == foreign) {
			t.Errorf("%s: %v, %q, %v", f.Path, got, shown, err)
		}
	}
	const theirs = "default-cache-ttl 1\nscdaemon-program /usr/lib/gnupg/scdaemon\n"
	put(t, settings[1].Path, theirs)
	put(t, settings[0].Path, "providers p1\nprovider-p1-cert-private\n")
	for _, f := range settings {
		is(f, foreign)
		written(t, f)
		is(f, present)
	}
	_, err := j.cardKeys(t.Context())
	refused(t, err, problem.NotSupported, setUp(pkcs11Daemon))
	if err == nil || !strings.Contains(err.Error(), "uses gnupg-pkcs11-scd here") {
		t.Errorf("beside another daemon: %v", err)
	}
	for _, f := range settings {
		check(t, f.remove(t.Context()))
		is(f, absent) // as it was when it was written
	}
	left, err := os.ReadFile(settings[1].Path)
	if check(t, err); string(left) != theirs {
		t.Errorf("left: %q", left)
	}
	put(t, settings[1].Path, "default-cache-ttl 1\n")
	settings = j.pkcs11Daemon()
	is(settings[1], absent)
}

// TestAdoptToken makes a key for signatures alone if it does not decrypt, and has another
// one of the card do that.
func TestAdoptToken(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	const gpg = `cat >/dev/null
out=
for word; do
	case $before in --homedir) home=$word ;; --output) out=$word ;; --command-file) echo $(cat "$word") >>"$LOG" ;; esac
	before=$word
	case $word in
	--full-generate-key) echo "[GNUPG:] KEY_CREATED P F00D" ;;
	--delete-keys) echo delete >>"$LOG" ;;
	--decrypt)
		echo >>"$LOG.tries"
		[ $(wc -l <"$LOG.tries") -ge "$AT" ] || exit 2
		cp "$home/message" "$out" ;;
	--export) echo public ;;
	esac
done`
	fakePrograms(t, map[string]string{"gpg": gpg, "gpg-connect-agent": "echo OK", "gpgconf": ""})
	j := onToken(t)
	own := key.Keygrip(j.key.public)
	j.key.Holder.SharedPIN = true
	j.Environ = append(j.Environ, "LOG="+log)
	found := &cardKeys{report: strings.Split(strings.ReplaceAll(ofTokens, "OWN", own), "\n")}
	made := func(usage string) string { return "13 " + own + " " + usage + " 0 Floppy f@example.com O\n" }
	const first, second = "addkey 13 AA =e 0 save\n", "addkey 13 BB =e 0 save\n"
	for at, want := range map[string]string{
		"1": made("=sce"),
		"2": made("=sce") + "delete\n" + made("=sc") + first,
		"3": made("=sce") + "delete\n" + made("=sc") + first + "key 1 delkey y save\n" + second,
		"9": made("=sce") + "delete\n" + made("=sc") + first + "key 1 delkey y save\n" + second + "key 1 delkey y save\n",
	} {
		_, _ = os.Remove(log), os.Remove(log+".tries")
		j.Environ = append(j.Environ, "AT="+at)
		g, err := j.gnupgTrial()
		check(t, err)
		public, err := g.adoptToken(t.Context(), "Floppy <f@example.com>", found, secret.New([]byte("123456")))
		g.close(t.Context())
		did, _ := os.ReadFile(log)
		if err != nil || public != "public\n" || string(did) != want {
			t.Errorf("%s: %q, %v, %s", at, public, err, did)
		}
	}
	fakePrograms(t, map[string]string{"gpg": "cat >/dev/null"})
	g, err := j.gnupgTrial()
	check(t, err)
	defer g.close(t.Context())
	if _, err := g.adoptToken(t.Context(), "Floppy", found, secret.New([]byte("123456"))); !problem.Is(err, problem.Failed) {
		t.Errorf("no key: %v", err)
	}
}

// TestAdoptedByKeygrip finds an OpenPGP key by its first key, whatever its fingerprint is.
func TestAdoptedByKeygrip(t *testing.T) {
	const listed = `pub:u:2048:1:AA:1:::u:::scESC:::::::0:
fpr:::::::::F00D:
grp:::::::::11:
uid:u::::1::X::Floppy::::::::::0:
sub:u:2048:1:BB:1::::::e::::::0:
fpr:::::::::FEED:
grp:::::::::22:
`
	for keygrip, want := range map[string]string{"11": "F00D", "22": "", "33": ""} {
		if got := fingerprintWith(listed, keygrip); got != want {
			t.Errorf("%s: %q", keygrip, got)
		}
	}
	log := filepath.Join(t.TempDir(), "log")
	fakePrograms(t, map[string]string{"gpg": `case "$*" in
*--list-keys*) cat "$LISTED" ;;
*) echo "$*" "$(cat)" >>"$LOG" ;;
esac`})
	j := &job{Options: Options{Home: t.TempDir()}}
	put(t, filepath.Join(j.gnupgHome(), "pubring.kbx"), "")
	j.Environ = append(os.Environ(), "GNUPGHOME=", "LOG="+log, "LISTED="+filepath.Join(j.gnupgHome(), "listed"))
	k := &adoptedKey{Home: j.gnupgHome(), Keygrip: "11", run: j.runProgram, adopt: func(context.Context) (string, error) { return "public", nil }}
	is := func(want state) {
		t.Helper()
		if got, _, err := k.look(t.Context()); got != want || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
	put(t, filepath.Join(k.Home, "listed"), "")
	is(absent)
	put(t, filepath.Join(k.Home, "listed"), listed)
	is(present)
	check(t, k.write(t.Context()))
	check(t, k.remove(t.Context()))
	did, err := os.ReadFile(log)
	check(t, err)
	for _, want := range []string{"--import public\n", "--import-ownertrust F00D:6:\n", "--delete-keys F00D \n", "--import-ownertrust F00D:2:\n"} {
		if !strings.Contains(string(did), want) {
			t.Errorf("%q is not in %s", want, did)
		}
	}
	if !k.whole() || (&adoptedKey{Home: k.Home}).whole() {
		t.Error("one without a name is whole, or one with a keygrip is not")
	}
}

// TestWayIntoGnuPG is another card daemon for a key that GnuPG's own does not use.
func TestWayIntoGnuPG(t *testing.T) {
	j := onToken(t)
	if next := withGnuPG(j.key); next.Action != advice.SetUp || next.Object != pkcs11Daemon {
		t.Errorf("%+v", next)
	}
	j.key.certificate = nil
	if next := withGnuPG(j.key); next.Action == advice.SetUp {
		t.Errorf("%+v", next)
	}
}

// TestByScute: a module that asks for the PIN itself gets none, and what it reports after
// another program used the card has a way out.
func TestByScute(t *testing.T) {
	j := &job{key: &subject{}}
	given := secret.New([]byte("nobody's"))
	check(t, j.lendPIN(t.Context(), func(_ context.Context, pin *secret.Bytes) error { given = pin; return nil }))
	if given != nil {
		t.Error("a PIN was given to a token that needs no login")
	}
	lost := problem.New(problem.Failed, "C_GetSlotList failed")
	refused(t, throughGnuPG("/usr/lib/scute/scute.so", lost), problem.Failed, advice.Run("gpgconf", "--kill", "gpg-agent"))
	if err := throughGnuPG("/usr/lib/opensc-pkcs11.so", lost); err != lost {
		t.Error(err)
	}
	other := problem.New(problem.NotFound, "no card")
	if err := throughGnuPG("/usr/lib/scute/scute.so", other); err != other {
		t.Error(err)
	}
}
