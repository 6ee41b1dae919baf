package pkcs15

import (
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Directory files as pkcs15-init 0.23 wrote them to an IsoApplet, with some of
// the zeros behind them.
const (
	odfOfApplet   = "A80A300804063F0050154401A00A300804063F0050154402A10A300804063F0050154403A40A300804063F00501544040000000000"
	prkdOfApplet  = "302E300C0C0376706E030206C00401FF300E04014503020274030203B8020100A10E300C300604043F005015020208000000"
	prkdOfCurve   = "A02F300C0C0376706E030206C00401FF300F0401490303073080030203B8020100A10E300C300604043F005015020201000000"
	pukdOfApplet  = "302C30090C0376706E03020640300D0401450302008B010100020100A110300E300804063F005015330002020800"
	cdOfApplet    = "301E30090C0376706E030206403003040145A10C300A300804063F00501534000000"
	aodOfApplet   = "302F300E0C08557365722050494E030206C030030401FFA11830160302028C0A0101020104020110020110800101040100"
	tokenOfApplet = "3033020100040801020304050607080C07756E6B6E6F776E80046465736B03020410A511180F32303236313132303139333734345A"
)

func TestDirectoryFiles(t *testing.T) {
	files, err := parseODF(unhex(t, odfOfApplet))
	if err != nil || len(files) != 4 || files[3].kind != dfCertificates || hex.EncodeToString(files[3].path) != "3f0050154404" {
		t.Errorf("EF.ODF: %+v, %v", files, err)
	}
	keys, err := parsePrivateKeys(append(unhex(t, prkdOfApplet), unhex(t, prkdOfCurve)...))
	if err != nil || len(keys) != 2 {
		t.Fatalf("EF.PrKD: %+v, %v", keys, err)
	}
	for i, want := range []struct {
		id, algorithm string
		usage         []string
	}{{"45", "rsa2048", []string{"sign", "decrypt"}}, {"49", "p256", []string{"sign", "derive"}}} {
		k := keys[i]
		if hex.EncodeToString(k.ID) != want.id || k.Algorithm() != want.algorithm || !slices.Equal(k.Usage.Names(), want.usage) ||
			k.AuthID != "FF" || k.Label != "vpn" || k.Reference != 0 || !k.Usage.CanSign() {
			t.Errorf("key %+v, want %+v", k, want)
		}
	}
	public, err := parsePublicKeys(unhex(t, pukdOfApplet))
	if err != nil || len(public) != 1 || hex.EncodeToString(public[0].path) != "3f0050153300" {
		t.Errorf("EF.PuKD: %+v, %v", public, err)
	}
	certificates, err := parseCertificates(unhex(t, cdOfApplet))
	if err != nil || len(certificates) != 1 || certificates[0].Authority || hex.EncodeToString(certificates[0].path) != "3f0050153400" {
		t.Errorf("EF.CD: %+v, %v", certificates, err)
	}
	pins, err := parsePINs(unhex(t, aodOfApplet))
	if err != nil || len(pins) != 1 || pins[0] != (PIN{ID: "FF", Label: "User PIN", Reference: 1, Min: 4, Max: 16, TriesLeft: -1}) {
		t.Errorf("EF.AOD: %+v, %v", pins, err)
	}
	d := &Directory{}
	if err := parseTokenInfo(unhex(t, tokenOfApplet), d); err != nil || d.Label != "desk" || d.Serial != "0102030405060708" || d.Manufacturer != "unknown" {
		t.Errorf("EF.TokenInfo: %+v, %v", d, err)
	}
}

func TestTheDirectoryOfPINsIsAsOpenSCWritesIt(t *testing.T) {
	if got := hex.EncodeToString(pinEntry()); got != hex.EncodeToString(unhex(t, aodOfApplet+"00")) {
		t.Errorf("%s", got)
	}
}

func TestMalformedDirectories(t *testing.T) {
	for name, raw := range map[string]string{
		"cut":                   "302E300C0C03",
		"no object":             "0401",
		"a key without an ID":   "30183000300303020274A10E300C300604043F00501502020800",
		"a certificate":         "3082000A30060401010401020401",
		"an object of one part": "30023000",
	} {
		if keys, err := parsePrivateKeys(unhex(t, raw)); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %+v, %v", name, keys, err)
		}
	}
}

func TestListing(t *testing.T) {
	text, err := os.ReadFile("testdata/listing.txt")
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseListing(text)
	if err != nil {
		t.Fatal(err)
	}
	if d.Label != "desk" || d.Serial != "0102030405060708" || len(d.PINs) != 1 || len(d.Keys) != 3 || len(d.PublicKeys) != 1 || len(d.Certificates) != 2 {
		t.Fatalf("%+v", d)
	}
	if p := d.UserPIN(); p == nil || *p != (PIN{ID: "FF", Label: "User PIN", Reference: 1, Min: 4, Max: 16, TriesLeft: -1}) {
		t.Errorf("PIN %+v", p)
	}
	k := d.Key([]byte{0x46})
	if k == nil || k.Algorithm() != "rsa2048" || k.AuthID != "FF" || !slices.Equal(k.Usage.Names(), []string{"sign"}) {
		t.Errorf("key %+v", k)
	}
	if d.Certificate([]byte{0x47}) == nil || d.PublicKey([]byte{0x48}) == nil || d.SOPIN() != nil || d.PUK() != nil {
		t.Errorf("%+v", d)
	}
}

func TestListingOfCardsWithMorePINs(t *testing.T) {
	d, err := parseListing([]byte("PKCS#15 Card [MyEID]:\n\tSerial number  : 1234\n\n" +
		"PIN [Security Officer PIN]\n\tID             : 03\n\tFlags          : [0xB3], case-sensitive, local, initialized, needs-padding, soPin\n" +
		"\tLength         : min_len:4, max_len:8, stored_len:8\n\tReference      : 3 (0x03)\n\tTries left     : 2\n\n" +
		"PIN [PUK]\n\tID             : 02\n\tFlags          : [0x71], case-sensitive, unblockingPin\n\n" +
		"PIN [User PIN]\n\tID             : 01\n\tFlags          : [0x31], case-sensitive, initialized\n\tTries left     : 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if so := d.SOPIN(); so == nil || so.ID != "03" || so.TriesLeft != 2 || so.Max != 8 {
		t.Errorf("SO PIN %+v", so)
	}
	if user := d.UserPIN(); user == nil || user.ID != "01" || user.TriesLeft != 0 {
		t.Errorf("user PIN %+v", user)
	}
	if p := d.PUK(); p == nil || p.ID != "02" {
		t.Errorf("PUK %+v", p)
	}
}

func TestMalformedListings(t *testing.T) {
	for name, text := range map[string]string{
		"an ID that is not hex":    "Private RSA Key [x]\n\tID : 4\n",
		"a key without an ID":      "Private RSA Key [x]\n\tModLength : 2048\n",
		"a length that is none":    "Private RSA Key [x]\n\tModLength : many\n\tID : 45\n",
		"a usage that is none":     "Private RSA Key [x]\n\tUsage : sign\n\tID : 45\n",
		"a PIN whose ID is none":   "PIN [x]\n\tID : zz\n",
		"tries that are no number": "PIN [x]\n\tTries left : -1\n",
	} {
		if d, err := parseListing([]byte(text)); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestLabelsDoNotReachTheTerminal(t *testing.T) {
	if got := printable([]byte("a\x1b[2Jb\nc\xff")); got != "a?[2Jb?c?" {
		t.Errorf("%q", got)
	}
}

func FuzzDirectoryFiles(f *testing.F) {
	for _, s := range []string{odfOfApplet, prkdOfApplet, prkdOfCurve, pukdOfApplet, cdOfApplet, aodOfApplet, tokenOfApplet} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = parseODF(raw)
		keys, err := parsePrivateKeys(raw)
		for _, k := range keys {
			if len(k.ID) == 0 || k.Reference < 0 || k.Bits < 0 {
				t.Fatalf("%+v, %v", k, err)
			}
		}
		certificates, _ := parseCertificates(raw)
		for _, c := range certificates {
			if c.value == nil && len(c.path) == 0 || c.index < 0 || c.length < 0 {
				t.Fatalf("%+v", c)
			}
		}
		_, _ = parsePublicKeys(raw)
		pins, _ := parsePINs(raw)
		for _, p := range pins {
			if p.Min < 0 || p.Max < 0 || p.Reference < 0 {
				t.Fatalf("%+v", p)
			}
		}
		_ = parseTokenInfo(raw, &Directory{})
		_, _ = parsePublicKey(raw)
	})
}

func FuzzListing(f *testing.F) {
	text, err := os.ReadFile("testdata/listing.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseListing(text)
		if err != nil {
			return
		}
		for _, k := range d.Keys {
			if len(k.ID) == 0 || k.Algorithm() == "" {
				t.Fatalf("%+v", k)
			}
		}
	})
}
