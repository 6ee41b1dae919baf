//go:build stack

package pkcs15

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// Secrets of a MyEID card, which takes 4 to 8 characters.
const (
	myEID    = "myeid"
	soPIN    = "20481024"
	newSOPIN = "99887766"
	shortPUK = "87654321"
)

// ofMyEID has the bench know what a MyEID card wants.
func (b *bench) ofMyEID() {
	b.pins[secret.PUK], b.pins[secret.SOPIN] = shortPUK, soPIN
	b.desk.Setenv("PUK", shortPUK)
	b.desk.Setenv("SO_PIN", soPIN)
	b.desk.Setenv("OPENSC_DRIVER", myEID)
}

func newMyEIDBench(t *testing.T) *bench {
	t.Helper()
	b := benchWithoutCard(t)
	b.ofMyEID()
	b.card, b.wire = b.desk.WiredCard("desk", reader, "--applications", myEID)
	return b
}

func (b *bench) mustInfo() inventory.Info {
	b.t.Helper()
	info, err := b.info()
	if err != nil {
		b.t.Fatal(err)
	}
	return info
}

// byHand does with OpenSC's tools what init does, and tells what it cost.
func (b *bench) byHand() {
	b.t.Helper()
	b.opensc("pkcs15-init", "--erase-card")
	b.opensc("pkcs15-init", "--create-pkcs15", "--so-pin", "env:SO_PIN", "--so-puk", "env:PUK", "--label", "theirs")
	b.opensc("pkcs15-init", "--store-pin", "--auth-id", "01", "--pin", "env:PIN", "--puk", "env:PUK", "--so-pin", "env:SO_PIN", "--label", "User PIN")
	b.opensc("pkcs15-init", "--finalize", "--so-pin", "env:SO_PIN")
}

func TestMyEIDFromBlankToUsed(t *testing.T) {
	const limit = 225
	b := newMyEIDBench(t)
	total, before := stack.Count{}, b.wire.Count()
	step := func(name string) {
		spent := b.wire.Count().Sub(before)
		t.Logf("%-12s %d APDUs", name, spent.APDUs)
		total, before = total.Add(spent), b.wire.Count()
	}
	b.mustInit()
	step("init")
	made := b.generate("PKCS15.45", key.Spec{Algorithm: key.RSA2048, Label: "vpn"})
	step("gen-key")
	b.request("PKCS15.45", "desk.csr")
	step("gen-csr")
	b.desk.VerifyRequest(string(b.desk.Read("desk.csr")))
	certificate := stack.ParseCertificate(t, b.desk.Read(b.desk.Authority().Sign("desk.csr")))
	before = b.wire.Count()
	if _, err := b.importCertificate("PKCS15.45", certificate); err != nil {
		t.Fatal(err)
	}
	step("import-cert")
	if total.APDUs > limit {
		t.Errorf("%d APDUs, want at most %d", total.APDUs, limit)
	}
	t.Logf("%d APDUs together", total.APDUs)

	info := b.mustInfo()
	want := []inventory.PIN{
		{Name: "so", TriesLeft: 3, MinLength: 4, MaxLength: 8, Set: true},
		{Name: "user", TriesLeft: 3, MinLength: 4, MaxLength: 8, Set: true},
	}
	if !slices.Equal(info.PINs, want) || info.Card.Label != "desk" || len(info.Card.Serial) != 20 {
		t.Errorf("%+v", info)
	}

	listing := b.opensc("pkcs15-tool", "--list-pins", "--list-keys", "--list-certificates")
	for _, want := range []string{
		"PIN [Security Officer PIN]", "PIN [User PIN]", "Private RSA Key [vpn]", "decrypt, sign", "X.509 Certificate [vpn]",
	} {
		if !strings.Contains(listing, want) {
			t.Errorf("pkcs15-tool does not show %q:\n%s", want, listing)
		}
	}
	if read := stack.ParseCertificate(t, []byte(b.opensc("pkcs15-tool", "--read-certificate", "45"))); !read.Equal(certificate) {
		t.Error("pkcs15-tool reads another certificate")
	}
	public := b.desk.Write("public.pem", made.PublicKey, 0o600)
	message := b.desk.Write("message", "from the desk\n", 0o600)
	for mechanism, verify := range map[string][]string{
		"SHA256-RSA-PKCS":     nil,
		"SHA256-RSA-PKCS-PSS": {"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"},
	} {
		b.desk.Run("pkcs11-tool", "--module", module, "--login", "--pin", "env:PIN", "--sign", "--mechanism", mechanism,
			"--id", "45", "--input-file", message, "--output-file", b.desk.Path("signature"))
		b.desk.Run("openssl", append(append([]string{"dgst", "-sha256", "-verify", public}, verify...), "-signature", b.desk.Path("signature"), message)...)
	}
	b.desk.Setenv("CARDCTL_PIN", userPIN)
	b.desk.Run("cardctl", "smoke-test", "--key", "PKCS15.45", "--module", "opensc", "--tls")
	trace := string(b.desk.Read("desk.trace"))
	for _, value := range []string{userPIN, shortPUK, soPIN} {
		if strings.Contains(trace, fmt.Sprintf("%X", value)) {
			t.Errorf("%s is in the trace of the card", value)
		}
	}
	if !strings.Contains(trace, "> 00DA0101********") {
		t.Error("the trace does not have the user PIN's making")
	}
}

func TestMyEIDKeys(t *testing.T) {
	b := newMyEIDBench(t)
	b.mustInit()
	if got := b.generate("PKCS15.46", key.Spec{}).Algorithm; got != key.P256 {
		t.Errorf("%s by default", got)
	}
	b.generate("PKCS15.47", key.Spec{Algorithm: key.P521})
	b.generate("PKCS15.01", key.Spec{Algorithm: key.RSA2048, Usage: []key.Usage{key.Sign}})
	b.generate("PKCS15.02", key.Spec{Algorithm: key.RSA2048, Usage: []key.Usage{key.Decrypt}})
	b.desk.Setenv("CARDCTL_PIN", userPIN)
	for _, kind := range [][]string{
		{"48", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"},
		{"49", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
	} {
		b.desk.Run("openssl", append(kind[1:], "-out", "key.pem")...)
		b.desk.Run("cardctl", "import-key", "--key", "PKCS15."+kind[0], "key.pem")
	}
	for _, ref := range []string{"PKCS15.46", "PKCS15.47", "PKCS15.48", "PKCS15.49", "PKCS15.01"} {
		b.request(ref, "desk.csr")
		b.desk.VerifyRequest(string(b.desk.Read("desk.csr")))
	}
	for _, ref := range []string{"PKCS15.02", "PKCS15.46"} {
		b.desk.Run("cardctl", "smoke-test", "--key", ref, "--module", "opensc")
	}
	for name, algorithm := range map[string]key.Algorithm{"Ed25519": key.Ed25519, "a curve for agreement": key.X25519} {
		err := b.key("PKCS15.04", func(k key.Key) error {
			_, err := k.Generate(t.Context(), key.Spec{Algorithm: algorithm})
			return err
		})
		if !problem.Is(err, problem.NotSupported) {
			t.Errorf("%s: %v", name, err)
		}
	}

	first, second := b.issue("PKCS15.46"), b.issue("PKCS15.46")
	for _, certificate := range []*x509.Certificate{first, second} {
		if _, err := b.importCertificate("PKCS15.46", certificate); err != nil {
			t.Fatal(err)
		}
	}
	if listing := b.opensc("pkcs15-tool", "--list-certificates"); strings.Count(listing, "X.509 Certificate") != 1 {
		t.Errorf("a certificate was to be replaced:\n%s", listing)
	}
	if read := stack.ParseCertificate(t, []byte(b.opensc("pkcs15-tool", "--read-certificate", "46"))); !read.Equal(second) {
		t.Error("pkcs15-tool reads another certificate")
	}
	b.mustKey("PKCS15.46", func(k key.Key) error { return k.DeleteCertificate(t.Context()) })
	b.mustKey("PKCS15.46", func(k key.Key) error { return k.Delete(t.Context()) })
	if info := b.mustInfo(); len(info.Keys) != 5 || len(info.Certificates) != 0 {
		t.Errorf("%d keys and %d certificates are left", len(info.Keys), len(info.Certificates))
	}
}

func TestMyEIDThatOpenSCMade(t *testing.T) {
	b := newMyEIDBench(t)
	before := b.wire.Count()
	b.byHand()
	write := []string{"--auth-id", "01", "--pin", "env:PIN"}
	b.opensc("pkcs15-init", append(write, "--generate-key", "ec:prime256v1", "--id", "46", "--key-usage", "sign", "--label", "curve")...)
	b.opensc("pkcs15-init", append(write, "--generate-key", "rsa:2048", "--id", "45", "--label", "vpn")...)
	b.desk.Run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "c.pem", "-subj", "/CN=x")
	b.opensc("pkcs15-init", append(write, "--store-certificate", "c.pem", "--id", "45", "--label", "stranger")...)
	t.Logf("%d APDUs of OpenSC's tools, a second key among them", b.wire.Count().Sub(before).APDUs)

	info := b.mustInfo()
	if info.Card.Label != "theirs" || len(info.PINs) != 2 || len(info.Keys) != 2 || len(info.Certificates) != 1 {
		t.Fatalf("%+v", info)
	}
	block, _ := pem.Decode([]byte(b.opensc("pkcs15-tool", "--read-public-key", "46")))
	theirs, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil || !b.public("PKCS15.46").(*ecdsa.PublicKey).Equal(theirs) {
		t.Errorf("another public key than pkcs15-tool reads: %v", err)
	}
	for _, ref := range []string{"PKCS15.45", "PKCS15.46"} {
		b.request(ref, "desk.csr")
		b.desk.VerifyRequest(string(b.desk.Read("desk.csr")))
	}
	if _, err := b.importCertificate("PKCS15.46", b.issue("PKCS15.46")); err != nil {
		t.Error(err)
	}
	if erased := b.desk.Try("pkcs15-init", "--erase-card", "--so-pin", "env:SO_PIN"); erased.Exit == 0 {
		t.Error("pkcs15-init erases an activated card with --so-pin now: init can leave that to it")
	}
	b.mustInit()
	if info := b.mustInfo(); info.Card.Label != "desk" || len(info.Keys) != 0 || len(info.Certificates) != 0 {
		t.Errorf("after init: %+v", info)
	}
}

func TestInitOfAUsedMyEID(t *testing.T) {
	b := newMyEIDBench(t)
	b.mustInit()
	b.generate("PKCS15.46", key.Spec{})
	refused := func(what string, code problem.Code, tries int) {
		t.Helper()
		_, err := b.init()
		var p *problem.Error
		if !asProblem(err, &p) || p.Code != code || code != problem.Usage && !strings.Contains(err.Error(), "Nothing on the card was changed") {
			t.Fatalf("%s: %v", what, err)
		}
		if got := b.mustInfo(); len(got.Keys) != 1 || got.PINs[0].TriesLeft != tries {
			t.Errorf("%s: %+v", what, got)
		}
	}
	b.pins[secret.SOPIN] = newSOPIN
	refused("another SO PIN, and the current one is not told", problem.PINIncorrect, 2)
	b.pins[secret.CurrentSOPIN] = "20481025"
	refused("a wrong current SO PIN", problem.PINIncorrect, 1)
	refused("the last try", problem.PINBlocked, 1)
	b.pins[secret.CurrentSOPIN] = soPIN
	refused("the last try, with the right one", problem.PINBlocked, 1)
	if result := b.desk.Try("pkcs15-tool", "--verify-pin", "--auth-id", "ff", "--pin", "env:SO_PIN"); result.Exit != 0 {
		t.Fatal(result)
	}
	b.pins[secret.SOPIN] = "123456789"
	refused("a long SO PIN", problem.Usage, 3)
	b.pins[secret.SOPIN], b.pins[secret.PUK] = newSOPIN, "123"
	refused("a short PUK", problem.Usage, 3)
	delete(b.pins, secret.PUK)
	refused("no PUK", problem.Usage, 3)

	b.pins[secret.PUK], b.pins[secret.PIN] = shortPUK, newPIN
	report, err := b.init()
	if err != nil || !report.Erased || len(report.Lost) != 1 || report.Serial != b.mustInfo().Card.Serial {
		t.Fatalf("%+v: %v", report, err)
	}
	b.generate("PKCS15.46", key.Spec{})
	b.desk.Setenv("SO_PIN", "11111111")
	for range 3 {
		b.desk.Try("pkcs15-tool", "--verify-pin", "--auth-id", "ff", "--pin", "env:SO_PIN")
	}
	b.pins[secret.CurrentSOPIN] = newSOPIN
	refused("a blocked SO PIN", problem.PINBlocked, 0)
}

func TestMyEIDWithoutAnSOPIN(t *testing.T) {
	b := newMyEIDBench(t)
	delete(b.pins, secret.SOPIN)
	b.mustInit()
	if pins := b.mustInfo().PINs; len(pins) != 1 || pins[0].Name != "user" {
		t.Fatalf("%+v", pins)
	}
	b.generate("PKCS15.46", key.Spec{})
	b.pins[secret.PIN] = newPIN
	if _, err := b.init(); !problem.Is(err, problem.PINIncorrect) {
		t.Fatalf("with another user PIN: %v", err)
	}
	b.pins[secret.CurrentSOPIN] = userPIN
	b.mustInit()
	delete(b.pins, secret.CurrentSOPIN)
	b.pins[secret.SOPIN] = soPIN
	b.mustInit() // the user PIN is the same
	if pins := b.mustInfo().PINs; len(pins) != 2 {
		t.Errorf("%+v", pins)
	}
}

func TestMyEIDThatCanNeverBeErased(t *testing.T) {
	b := newMyEIDBench(t)
	b.opensc("pkcs15-init", "--create-pkcs15", "--no-so-pin", "--label", "theirs")
	b.opensc("pkcs15-init", "--store-pin", "--auth-id", "01", "--pin", "env:PIN", "--puk", "env:PUK", "--label", "User PIN")
	b.mustInit() // not activated
	b.opensc("pkcs15-init", "--erase-application", "A000000063504B43532D3135", "--so-pin", "env:SO_PIN")
	b.opensc("pkcs15-init", "--create-pkcs15", "--no-so-pin", "--label", "theirs")
	b.opensc("pkcs15-init", "--store-pin", "--auth-id", "01", "--pin", "env:PIN", "--puk", "env:PUK", "--label", "User PIN", "--finalize")
	_, err := b.init()
	if !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), "never set") {
		t.Errorf("%v", err)
	}
	b.generate("PKCS15.46", key.Spec{})
}

func TestMyEIDPINs(t *testing.T) {
	b := newMyEIDBench(t)
	b.mustInit()
	verifies := func(id, pin string) bool {
		b.desk.Setenv("PIN", pin)
		return b.desk.Try("pkcs15-tool", "--verify-pin", "--auth-id", id, "--pin", "env:PIN").Exit == 0
	}
	if err := b.setPIN(pin.User); err != nil || !verifies("01", newPIN) {
		t.Fatalf("set-pin user: %v", err)
	}
	b.pins[secret.NewPIN] = newSOPIN
	if err := b.setPIN(pin.SO); err != nil || !verifies("ff", newSOPIN) {
		t.Fatalf("set-pin so: %v", err)
	}
	if err := b.setPIN(pin.PUK); !problem.Is(err, problem.NotSupported) {
		t.Fatalf("set-pin puk: %v", err)
	}
	b.pins[secret.NewPIN] = "123456789"
	if err := b.setPIN(pin.SO); !problem.Is(err, problem.Usage) {
		t.Errorf("a new PIN of nine characters: %v", err)
	}
	b.pins[secret.NewPIN], b.pins[secret.PIN] = userPIN, "99999"
	for left, code := range []problem.Code{problem.PINIncorrect, problem.PINIncorrect, problem.PINBlocked} {
		err := b.setPIN(pin.User)
		var p *problem.Error
		if !asProblem(err, &p) || p.Code != code {
			t.Fatalf("try %d: %v", left+1, err)
		}
	}
	b.desk.Try("pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", "env:PUK") // the last try
	b.pins[secret.PUK] = "11111111"
	if err := b.unblock(); !problem.Is(err, problem.PINIncorrect) || !strings.Contains(err.Error(), "9 tries left") {
		t.Errorf("with a wrong PUK: %v", err)
	}
	b.pins[secret.PUK] = shortPUK
	if err := b.unblock(); err != nil || !verifies("01", userPIN) {
		t.Fatalf("unblock-pin: %v", err)
	}
}

// A key may have a PIN of its own, which signs; certificates are written with
// the first user PIN.
func TestMyEIDWithTwoUserPINs(t *testing.T) {
	const signPIN = "555555"
	b := newMyEIDBench(t)
	b.desk.Setenv("SIGN_PIN", signPIN)
	b.opensc("pkcs15-init", "--create-pkcs15", "--so-pin", "env:SO_PIN", "--so-puk", "env:PUK", "--label", "theirs")
	for _, pin := range [][]string{{"01", "env:PIN"}, {"02", "env:SIGN_PIN"}} {
		b.opensc("pkcs15-init", "--store-pin", "--auth-id", pin[0], "--pin", pin[1], "--puk", "env:PUK", "--so-pin", "env:SO_PIN", "--label", "PIN "+pin[0])
	}
	b.opensc("pkcs15-init", "--generate-key", "ec:prime256v1", "--id", "46", "--auth-id", "02", "--pin", "env:SIGN_PIN", "--label", "signs")
	b.opensc("pkcs15-init", "--finalize", "--so-pin", "env:SO_PIN")
	if pins := b.mustInfo().PINs; len(pins) != 3 {
		t.Errorf("%+v", pins)
	}
	b.pins[secret.PIN] = signPIN
	certificate := b.issue("PKCS15.46")
	b.pins[secret.PIN] = userPIN
	if _, err := b.importCertificate("PKCS15.46", certificate); err != nil {
		t.Error(err)
	}
	if err := b.signs("46"); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("with the other PIN: %v", err)
	}
}

// A card that is told by nothing that this program speaks is left to OpenSC's
// tools: it is initialised, erased with its SO PIN, and used.
func TestCardThatOnlyOpenSCKnows(t *testing.T) {
	b := newMyEIDBench(t)
	t.Setenv("OPENSC_DRIVER", myEID)
	b.deafen(true)
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{Algorithm: key.P256})
	b.request("PKCS15.45", "desk.csr")
	b.desk.VerifyRequest(string(b.desk.Read("desk.csr")))
	b.deafen(false)
	if eraser := b.eraser(); eraser == nil || !eraser.SO {
		t.Errorf("who may erase it is %+v", eraser)
	}
	b.deafen(true)
	b.pins[secret.SOPIN], b.pins[secret.CurrentSOPIN] = newSOPIN, "11111111"
	if _, err := b.init(); err == nil || len(b.mustInfo().Keys) != 1 {
		t.Fatalf("with a wrong SO PIN: %v", err)
	}
	b.pins[secret.CurrentSOPIN] = soPIN
	b.mustInit()
	if info := b.mustInfo(); len(info.Keys) != 0 || len(info.PINs) != 2 {
		t.Errorf("%+v", info)
	}
}

// eraser is the PIN that lets the card be erased.
func (b *bench) eraser() *pkcs15.PIN {
	b.t.Helper()
	card, err := pkcs15.Open(b.t.Context(), b.line, pkcs15.Tools{Env: b.env})
	if err != nil {
		b.t.Fatal(err)
	}
	status, err := card.Status(b.t.Context())
	if err = errors.Join(err, card.Close()); err != nil {
		b.t.Fatal(err)
	}
	return status.Erasing
}

// The strides are long: what each command leaves behind differs little from what
// it leaves on an IsoApplet.
func TestMyEIDPulledOnTheWay(t *testing.T) {
	pullOut(t, myEID, []workflow{
		{name: "init of a blank card", before: blank, stride: 27, erases: true},
		{name: "init of a used card", before: used, stride: 35, erases: true},
		{name: "gen-key", before: genKey, stride: 27, direct: true},
		{name: "info", before: infoOnly, stride: 19, direct: true},
		{name: "gen-csr", before: genCSR, stride: 15, direct: true},
		{name: "import-cert, replacing", before: replaceCert, stride: 27, direct: true},
		{name: "delete-cert", before: deleteCert, stride: 27, direct: true},
		{name: "set-pin user", before: setPIN, stride: 11, direct: true},
		{name: "unblock-pin user", before: unblockPIN, stride: 11, direct: true},
	})
}
