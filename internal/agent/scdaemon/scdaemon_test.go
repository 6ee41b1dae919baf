package scdaemon_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/scdaemon"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/softtoken"
)

func TestCardsAreSelected(t *testing.T) {
	desk := softtoken.New()
	c := connect(t, desk, scdaemon.Options{})
	c.fails("SERIALNO", 112)
	c.fails("LEARN --force", 112)
	c.says("GETINFO status", "D r; OK")
	first, second := openPGP(t), other(t)
	desk.Insert(first)
	desk.Insert(second)
	c.says("SERIALNO", "S SERIALNO "+aid+"; OK")
	c.says("SERIALNO --all", "S SERIALNO "+aid+"; OK")
	c.says("GETINFO status", "D u; OK")
	serial := strings.TrimPrefix(c.ask("SERIALNO p15")[0], "S SERIALNO ")
	if len(serial) != 32 || !strings.HasPrefix(serial, "FF02") {
		t.Error(serial)
	}
	c.says("SERIALNO", "S SERIALNO "+serial+"; OK")
	c.says("SERIALNO --demand="+strings.ToLower(aid), "S SERIALNO "+aid+"; OK")
	c.says("SERIALNO --demand="+serial, "S SERIALNO "+serial+"; OK")
	c.fails("SERIALNO --demand=00", 112)
	c.fails("SERIALNO --demand", 280)
	c.fails("SERIALNO nks", 60)
	c.says("GETINFO card_list", "S SERIALNO "+aid+"; S SERIALNO "+serial+"; OK")
	c.says("GETINFO active_apps", "S SERIALNO "+serial+" p15; OK")
	c.says("GETINFO all_active_apps", "S SERIALNO "+aid+" openpgp; S SERIALNO "+serial+" p15; OK")
	c.says("GETINFO reader_list", "D Reader 00%0AReader 01%0A; OK")
	c.says("SWITCHCARD "+aid, "S SERIALNO "+aid+" openpgp; OK")
	desk.Remove(first)
	c.fails("GETATTR SERIALNO", 110)
	c.fails("PKSIGN OPENPGP.1", 110)
	c.says("SERIALNO", "S SERIALNO "+serial+"; OK")
}

func TestSerialNumbersAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, about := range []agent.About{{}, {Kind: "a"}, {Serial: "a"}, {Label: "a"}, {Serial: "ab"}, {Serial: "a", Label: "b"}, {Kind: "a", Number: 5, Reader: "R"}} {
		c := connect(t, softtoken.New(&softtoken.Token{What: about}), scdaemon.Options{})
		seen[c.ask("SERIALNO")[0]] = true
	}
	if len(seen) != 6 { // the last one is the second one in another reader
		t.Errorf("%v", seen)
	}
}

func TestLearn(t *testing.T) {
	k := private()
	c := connect(t, softtoken.New(openPGP(t), other(t)), scdaemon.Options{})
	keys := fmt.Sprintf("S KEYPAIRINFO %s OPENPGP.1 sc 1700000000 rsa2048; S KEYPAIRINFO %s OPENPGP.2 e - nistp256; S KEYPAIRINFO %s OPENPGP.3 sa - ed25519; OK",
		key.Keygrip(&k.rsa.PublicKey), key.Keygrip(&k.p256.PublicKey), key.Keygrip(k.ed25519.Public()))
	c.says("LEARN --force", "S READER Reader+00; S SERIALNO "+aid+"; S APPTYPE openpgp; "+
		"S EXTCAP gc=0+ki=0+fc=0+pd=0+mcl3=0+aac=0+sm=0+si=0+dec=0+bt=1+kdf=1; S MANUFACTURER 65534 test + card; "+
		"S DISP-NAME M\xFCller<Huber<<J\xF6rg; S DISP-LANG deen; S DISP-SEX 1; S PUBKEY-URL https://example.com/a%2Bb%2520c; S LOGIN-DATA floppy+head; "+
		"S KEY-FPR 1 0000000000000000000000000000000000000000; S KEY-TIME 1 1700000000; S CHV-STATUS +1+127+127+127+3+0+3; "+
		"S SIG-COUNTER 258; S KDF \x81%01%00; S UIF-1 %02+; "+keys)
	c.says("LEARN --keypairinfo", keys)
	serial := strings.TrimPrefix(c.ask("SERIALNO p15")[0], "S SERIALNO ")
	grip := key.Keygrip(&k.rsa.PublicKey)
	keys = fmt.Sprintf("S KEYPAIRINFO %s PKCS15.45 sa - nistp521; S KEYPAIRINFO %s KEY.%s scea - rsa2048; S KEYPAIRINFO %s PKCS15.47 e - cv25519; OK",
		key.Keygrip(&k.p521.PublicKey), grip, grip, key.Keygrip(k.x25519.PublicKey()))
	c.says("SERIALNO openpgp", "S SERIALNO "+aid+"; OK")
	c.says("LEARN --force --demand="+serial, "S READER Reader+01; S SERIALNO "+serial+"; S APPTYPE p15; S DISP-NAME My+card; S CERTINFO 101 PKCS15.45; "+keys)
	c.fails("LEARN --demand=00", 112)
}

func TestPublicKeys(t *testing.T) {
	k := private()
	c := connect(t, softtoken.New(openPGP(t), other(t)), scdaemon.Options{})
	point, err := k.p256.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"OPENPGP.1":                       "(10:public-key(3:rsa(1:n257:\x00" + string(k.rsa.N.Bytes()) + ")(1:e3:\x01\x00\x01)))",
		"-- openpgp.2":                    "(10:public-key(3:ecc(5:curve10:NIST P-256)(1:q65:" + string(point) + ")))",
		"OPENPGP.3":                       "(10:public-key(3:ecc(5:curve7:Ed25519)(5:flags5:eddsa)(1:q33:\x40" + string(k.ed25519.Public().(ed25519.PublicKey)) + ")))",
		key.Keygrip(k.x25519.PublicKey()): "(10:public-key(3:ecc(5:curve10:Curve25519)(5:flags9:djb-tweak)(1:q33:\x40" + string(k.x25519.PublicKey().Bytes()) + ")))",
	} {
		if got := c.data("READKEY " + ref); string(got) != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
	grip := key.Keygrip(&k.p256.PublicKey)
	c.says("READKEY --info-only OPENPGP.2", "S KEYPAIRINFO "+grip+" OPENPGP.2 e - nistp256; OK")
	if lines := c.ask("READKEY --info OPENPGP.2"); lines[0] != "S KEYPAIRINFO "+grip+" OPENPGP.2 e - nistp256" || len(lines) < 3 {
		t.Errorf("%q", lines)
	}
	c.fails("READKEY OPENPGP.4", 9)
	c.fails("READKEY", 280)
	c.fails("READKEY "+strings.Repeat("0", 40), 9)
	c.fails("READCERT OPENPGP.1", 27)
	c.ask("SERIALNO p15")
	if der := c.data("READCERT PKCS15.45"); !bytes.Contains(der, []byte("Alice")) {
		t.Errorf("%X", der)
	}
}

func TestAttributes(t *testing.T) {
	c := connect(t, softtoken.New(openPGP(t), other(t)), scdaemon.Options{})
	serial := strings.TrimPrefix(c.ask("SERIALNO p15")[0], "S SERIALNO ")
	for name, values := range map[string][2]string{
		"SERIALNO":      {aid, serial},
		"$DISPSERIALNO": {"FFFE00010203", "0815"},
		"$SIGNKEYID":    {"OPENPGP.1", "PKCS15.45"},
		"$ENCRKEYID":    {"OPENPGP.2", "KEY." + key.Keygrip(&private().rsa.PublicKey)},
		"$AUTHKEYID":    {"OPENPGP.3", "PKCS15.45"},
		"APPTYPE":       {"openpgp", "p15"},
	} {
		c.ask("SERIALNO openpgp")
		c.says("GETATTR "+name, "S "+name+" "+values[0]+"; OK")
		c.ask("SERIALNO p15")
		c.says("GETATTR "+name, "S "+name+" "+values[1]+"; OK")
	}
	c.says("GETATTR DISP-NAME", "S DISP-NAME My+card; OK")
	c.fails("GETATTR EXTCAP", 88)
	c.says("GETATTR SERIALNO "+key.Keygrip(private().ed25519.Public()), "S SERIALNO "+aid+"; OK")
	c.ask("SERIALNO openpgp")
	c.says("GETATTR KEY-ATTR", "S KEY-ATTR 1 1 rsa2048 17 0; S KEY-ATTR 2 18 nistp256; S KEY-ATTR 3 22 ed25519; OK")
	c.says("GETATTR KEY-TIME", "S KEY-TIME 1 1700000000; OK")
	c.says("GETATTR DISP-NAME", "S DISP-NAME M\xFCller<Huber<<J\xF6rg; OK")
	c.says("GETATTR PUBKEY-URL", "S PUBKEY-URL https://example.com/a%2Bb%2520c; OK")
	c.says("GETATTR UIF-2", "OK")
	c.says("SETATTR LOGIN-DATA floppy+head", "OK")
	c.fails("GETATTR", 88)
	c.fails("GETATTR NAME", 88)
	for _, changes := range []string{
		"DISP-NAME Alice", "DISP-NAME", "LOGIN-DATA alice", "KEY-ATTR --force 2 18 nistp384", "KEY-ATTR 1", "KEY-ATTR --force 1 1", "KEY-ATTR --force 1 1 rsa20",
		"CHV-STATUS-1 %01", "UIF-1 %01%20", "KDF x", "CA-FPR-1 " + strings.Repeat("0", 40), "AUTH-ADM-KEY x",
	} {
		c.fails("SETATTR "+changes, 60)
	}
	c.fails("SETATTR", 88)
	c.fails("SETATTR SERIALNO "+aid, 88)
	c.fails("SETATTR X Y", 88)
	c.says("SETATTR KEY-ATTR --force 1 1 rsa2048", "OK")
	c.says("SETATTR KEY-ATTR 2 18 nistp256", "OK")
}

// What a card does not have is no error, and what it has is sent if it is empty.
func TestObjectsThatAreNotThere(t *testing.T) {
	card := openPGP(t)
	card.Has = map[uint32][]byte{0x5B: {}}
	c := connect(t, softtoken.New(card, other(t)), scdaemon.Options{})
	c.says("GETATTR DISP-NAME", "S DISP-NAME; OK")
	for _, name := range []string{"DISP-LANG", "DISP-SEX", "PUBKEY-URL", "LOGIN-DATA", "SIG-COUNTER", "UIF-1", "KDF"} {
		c.says("GETATTR "+name, "OK")
	}
	c.says("GETATTR EXTCAP", "S EXTCAP gc=0+ki=0+fc=0+pd=0+mcl3=0+aac=0+sm=0+si=0+dec=0+bt=0+kdf=0; OK")
	c.ask("SERIALNO p15")
	c.fails("GETATTR PUBKEY-URL", 88)
}

func TestSignatures(t *testing.T) {
	k := private()
	token, second := openPGP(t), other(t)
	c := connect(t, softtoken.New(token, second), scdaemon.Options{})
	digest := sha256.Sum256([]byte("signed"))
	info, err := pubkey.DigestInfo(crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	verifyRSA := func(signature []byte) {
		t.Helper()
		if err := rsa.VerifyPKCS1v15(&k.rsa.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
			t.Error(err)
		}
	}
	c.set(info)
	verifyRSA(c.data("PKSIGN --hash=sha256 OPENPGP.1"))
	verifyRSA(c.data("PKAUTH OPENPGP.1"))
	c.set(digest[:])
	verifyRSA(c.data("PKSIGN --hash=sha256 OPENPGP.1"))
	c.fails("PKSIGN OPENPGP.1", 60)
	c.fails("PKAUTH OPENPGP.1", 60)
	c.fails("PKSIGN --hash=sha3 OPENPGP.1", 280)
	c.set(make([]byte, 36)) // MD5 and SHA-1, as TLS 1.0 has it
	c.fails("PKAUTH OPENPGP.1", 60)
	c.fails("PKSIGN --hash=md5 OPENPGP.1", 60)

	verifyECDSA := func(signature []byte, digest []byte) {
		t.Helper()
		if len(signature) != 132 || !ecdsa.Verify(&k.p521.PublicKey, digest, new(big.Int).SetBytes(signature[:66]), new(big.Int).SetBytes(signature[66:])) {
			t.Errorf("%X", signature)
		}
	}
	grip := key.Keygrip(&k.p521.PublicKey)
	for _, command := range []string{"PKSIGN --hash=sha256 ", "PKAUTH "} {
		c.set(info)
		verifyECDSA(c.data(command+grip), digest[:])
		c.set(digest[:])
		verifyECDSA(c.data(command+strings.ToLower(grip)), digest[:])
	}

	long := sha512.Sum512([]byte("signed"))
	if info, err = pubkey.DigestInfo(crypto.SHA512, long[:]); err != nil {
		t.Fatal(err)
	}
	for command, message := range map[string][]byte{"PKSIGN --hash=sha512 ": long[:], "PKAUTH ": []byte("a message of any length")} {
		c.set(message)
		if signature := c.data(command + "OPENPGP.3"); !ed25519.Verify(k.ed25519.Public().(ed25519.PublicKey), message, signature) {
			t.Errorf("%s: %X", command, signature)
		}
	}
	c.set(info)
	if signature := c.data("PKSIGN --hash=sha512 OPENPGP.3"); !ed25519.Verify(k.ed25519.Public().(ed25519.PublicKey), long[:], signature) {
		t.Errorf("%X", signature)
	}
	message := []byte("a message that is no digest")
	c.set(append(info[:len(info)-len(long):len(info)-len(long)], message...))
	if signature := c.data("PKAUTH OPENPGP.3"); !ed25519.Verify(k.ed25519.Public().(ed25519.PublicKey), message, signature) {
		t.Errorf("%X", signature)
	}
	c.says("RESET", "OK")
	c.fails("PKSIGN OPENPGP.3", 58)
	if _, uses, by := token.Counts(); uses != 7 || by[0] != gpgAgent {
		t.Errorf("%d uses by %v", uses, by)
	}
}

func TestDecryption(t *testing.T) {
	k := private()
	c := connect(t, softtoken.New(openPGP(t), other(t)), scdaemon.Options{})
	plain := []byte("a session key\n%\r")
	//lint:ignore SA1019 GnuPG has no other padding
	ciphertext, err := rsa.EncryptPKCS1v15(rand.Reader, &k.rsa.PublicKey, plain)
	if err != nil {
		t.Fatal(err)
	}
	c.ask("SERIALNO p15")
	ref := "KEY." + key.Keygrip(&k.rsa.PublicKey)
	for _, form := range [][]byte{ciphertext, append([]byte{0}, ciphertext...), bytes.TrimLeft(ciphertext, "\x00")} {
		c.set(form)
		c.ask("SERIALNO p15")
		if got := c.data("PKDECRYPT " + ref); !bytes.Equal(got, plain) {
			t.Errorf("%q", got)
		}
	}
	if lines := c.ask("PKDECRYPT " + ref); lines[0] != "S PADDING 0" {
		t.Errorf("%q", lines)
	}
	c.set(bytes.Repeat([]byte{1}, 257))
	c.ask("SERIALNO p15")
	c.fails("PKDECRYPT "+ref, 79)

	ours, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := k.p256.PublicKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	shared, err := ours.ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	c.set(ours.PublicKey().Bytes())
	if got := c.data("PKDECRYPT OPENPGP.2"); !bytes.Equal(got, append([]byte{0x41}, shared...)) {
		t.Errorf("%X", got)
	}
	c.set(ours.PublicKey().Bytes()[:64])
	c.fails("PKDECRYPT OPENPGP.2", 79)

	if ours, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	if shared, err = ours.ECDH(k.x25519.PublicKey()); err != nil {
		t.Fatal(err)
	}
	for _, point := range [][]byte{append([]byte{0x40}, ours.PublicKey().Bytes()...), ours.PublicKey().Bytes()} {
		c.set(point)
		if got := c.data("PKDECRYPT " + key.Keygrip(k.x25519.PublicKey())); !bytes.Equal(got, append([]byte{0x40}, shared...)) {
			t.Errorf("%X", got)
		}
	}
	c.fails("PKDECRYPT OPENPGP.3", 60)
}

func TestErrorsOfCards(t *testing.T) {
	token := openPGP(t)
	c := connect(t, softtoken.New(token), scdaemon.Options{})
	c.set(make([]byte, 32))
	for _, test := range []struct {
		err  error
		code int
	}{
		{problem.New(problem.PINIncorrect, "the card rejected the PIN"), 87},
		{problem.New(problem.PINBlocked, "the PIN is blocked"), 130},
		{problem.New(problem.Interrupted, "cancelled"), 99},
		{problem.Wrap(problem.Usage, secret.ErrCancelled, "user PIN from pinentry"), 99},
		{problem.New(problem.CardRemoved, "the card was removed"), 110},
		{problem.New(problem.CardChanged, "another card"), 110},
		{problem.New(problem.NotSupported, "the card cannot do that"), 60},
		{problem.New(problem.NotFound, "no such key"), 9},
		{problem.New(problem.Refused, "not confirmed"), 114},
		{errors.New("a text\nof two lines\r"), 1},
	} {
		token.Answer = test.err
		c.fails("PKSIGN --hash=sha256 OPENPGP.1", test.code)
		c.fails("PKAUTH OPENPGP.3", test.code)
		c.fails("CHECKPIN "+aid, test.code)
	}
	token.Answer = nil
	c.says("CHECKPIN "+aid, "OK")
	c.says("CHECKPIN "+aid+"/0011", "OK")
	c.fails("CHECKPIN "+aid+"[CHV3]", 60)
	c.fails("CHECKPIN 00", 60)
	if logins, _, _ := token.Counts(); logins != 12 {
		t.Errorf("%d logins", logins)
	}
}

func TestInformation(t *testing.T) {
	c := connect(t, softtoken.New(openPGP(t)), scdaemon.Options{Version: "2.5.0", Socket: "/run/a b%"})
	c.says("GETINFO version", "D 2.5.0; OK")
	c.says("GETINFO socket_name", "D /run/a b%25; OK")
	c.says("GETINFO pid", fmt.Sprintf("D %d; OK", os.Getpid()))
	c.says("GETINFO deny_admin", "OK")
	c.says("GETINFO app_list", "D openpgp:%0Ap15:%0A; OK")
	c.says("GETINFO cmd_has_option SERIALNO all", "OK")
	c.says("GETINFO cmd_has_option KEYINFO list", "OK")
	c.fails("GETINFO cmd_has_option SERIALNO other", 256)
	c.fails("GETINFO cmd_has_option NONE all", 256)
	c.fails("GETINFO", 280)
	connect(t, softtoken.New(), scdaemon.Options{}).fails("GETINFO socket_name", 58)
	c.says("nop", "OK")
	c.says("HELP nop", "# NOP; OK")
	if lines := c.ask("HELP"); len(lines) < 20 {
		t.Errorf("%q", lines)
	}
	for _, command := range []string{"WRITEKEY", "WRITECERT", "GENKEY", "PASSWD 1", "APDU 00A40400", "RANDOM 8", "LOCK"} {
		c.fails(command, 60)
	}
	for _, command := range []string{"NONE", "D data", "END", "CAN"} {
		c.fails(command, 275)
	}
	c.send("# a comment\n\n   ")
	c.says("BYE", "OK")
	if err := c.ends(); err != nil {
		t.Error(err)
	}
}

func TestKeyInformation(t *testing.T) {
	k := private()
	c := connect(t, softtoken.New(openPGP(t)), scdaemon.Options{})
	line := func(public crypto.PublicKey, rest string) string {
		return "KEYINFO " + key.Keygrip(public) + " T " + aid + " " + rest
	}
	signs, decrypts, logsIn := line(&k.rsa.PublicKey, "OPENPGP.1 sc"), line(&k.p256.PublicKey, "OPENPGP.2 e"), line(k.ed25519.Public(), "OPENPGP.3 sa")
	c.says("KEYINFO --list", "S "+signs+"; S "+decrypts+"; S "+logsIn+"; OK")
	c.says("KEYINFO --list=encr", "S "+decrypts+"; OK")
	c.says("KEYINFO --list=auth", "S "+logsIn+"; OK")
	c.says("KEYINFO --list=sign", "S "+signs+"; S "+logsIn+"; OK")
	c.says("KEYINFO "+key.Keygrip(&k.p256.PublicKey), "S "+decrypts+"; OK")
	c.says("KEYINFO --data "+key.Keygrip(&k.p256.PublicKey), "D "+strings.TrimPrefix(decrypts, "KEYINFO ")+"%0A; OK")
	c.fails("KEYINFO "+hex.EncodeToString(make([]byte, 20)), 27)
	c.fails("KEYINFO", 27)
	c.fails("KEYINFO --list=all", 280)
}

func TestDevicesAreWatched(t *testing.T) {
	desk, token := softtoken.New(), openPGP(t)
	c := connect(t, desk, scdaemon.Options{})
	if lines := c.ask("DEVINFO"); len(lines) != 3 || !strings.HasPrefix(lines[2], "ERR 100663323 ") {
		t.Errorf("%q", lines)
	}
	read := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if got := c.line(); got != w {
				t.Errorf("%q, want %q", got, w)
			}
		}
	}
	c.send("DEVINFO --watch")
	read("S DEVINFO_START", "S DEVINFO_END")
	desk.Insert(token)
	read("S DEVINFO_STATUS new", "S DEVINFO_START", "S DEVICE generic "+aid+" openpgp", "S DEVINFO_END")
	desk.Remove(token)
	read("S DEVINFO_STATUS removal", "S DEVINFO_START", "S DEVINFO_END")
	c.send("NOP")
	read("OK", "OK")
	c.send("DEVINFO --watch")
	read("S DEVINFO_START", "S DEVINFO_END")
	_ = c.conn.Close()
	if err := c.ends(); err == nil {
		t.Error("the answer had no reader, and there is no error")
	}
}

func TestSignalsTellOfCards(t *testing.T) {
	sent := make(chan [2]int, 10)
	desk, token := softtoken.New(), openPGP(t)
	c := connect(t, desk, scdaemon.Options{Signal: func(pid, signal int) error {
		sent <- [2]int{pid, signal}
		return errors.New("no such process")
	}})
	for _, bad := range []string{"OPTION event-signal=x", "OPTION event-signal=-9", "OPTION event-signal=65", "OPTION", "OPTION event-signal"} {
		c.fails(bad, 280)
	}
	c.says("OPTION pinentry-mode=ask", "OK")
	c.says("OPTION event-signal=12", "OK")
	for _, change := range []func(*softtoken.Token){desk.Insert, desk.Remove} {
		change(token)
		if got := <-sent; got != [2]int{gpgAgent.PID, 12} {
			t.Errorf("%v", got)
		}
	}
	c.says("OPTION event-signal = 0", "OK")
	desk.Insert(token)
	c.says("BYE", "OK")
	if len(sent) != 0 {
		t.Error("a signal that nobody wants")
	}
}
