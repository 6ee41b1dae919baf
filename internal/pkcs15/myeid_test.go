package pkcs15

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// scripted is a card that answers commands by their beginning in hex, and
// others with 6A82.
type scripted struct {
	answers map[string]string
	sent    []string
}

func (c *scripted) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	command := strings.ToUpper(hex.EncodeToString(apdu))
	c.sent = append(c.sent, command)
	for beginning, answer := range c.answers {
		if strings.HasPrefix(command, beginning) {
			return hex.DecodeString(answer)
		}
	}
	return []byte{0x6A, 0x82}, nil
}

// scriptedLine is a card that no other program reaches.
type scriptedLine struct{ ch *iso7816.Channel }

func (l scriptedLine) Channel(context.Context) (*iso7816.Channel, error) { return l.ch, nil }
func (l scriptedLine) Release() error                                    { return nil }
func (l scriptedLine) Reader() string                                    { return "" }

const (
	selectsPKCS15 = "00A404000CA0"
	asksApplet    = "00CA01A0"
	isMyEID       = "1C020000000405050000000000001234567800009000"
)

func openScripted(t *testing.T, answers map[string]string) (*Card, *scripted) {
	t.Helper()
	card := &scripted{answers: answers}
	c, err := Open(t.Context(), scriptedLine{iso7816.NewChannel(card, iso7816.Capabilities{})}, Tools{})
	if err != nil {
		t.Fatal(err)
	}
	return c, card
}

// blankMyEID answers what tells a MyEID card, and more.
func blankMyEID(more map[string]string) map[string]string {
	answers := map[string]string{selectsPKCS15: "9000", asksApplet: isMyEID}
	for command, answer := range more {
		answers[command] = answer
	}
	return answers
}

func TestMyEIDIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		answers map[string]string
		known   bool
	}{
		"a MyEID card":                {blankMyEID(nil), true},
		"a card with the AID":         {map[string]string{selectsPKCS15: "9000"}, false},
		"a card with other data":      {map[string]string{selectsPKCS15: "9000", asksApplet: "0102039000"}, false},
		"a card without PKCS#15":      {map[string]string{}, false},
		"a card that knows no SELECT": {map[string]string{"00A4": "6D00"}, false},
	} {
		c, _ := openScripted(t, tt.answers)
		if c.Known() != tt.known || (c.Driver() == myEIDDriver) != tt.known {
			t.Errorf("%s: %v, driver %q", name, c.Known(), c.Driver())
		}
	}
	if c, _ := openScripted(t, blankMyEID(nil)); c.Name() != "MyEID 4.5.5" || c.OnePIN() || !c.NeedsPUK() || c.DefaultAlgorithm() != "p256" {
		t.Errorf("%q", c.Name())
	}
}

func TestWhoMayEraseAMyEID(t *testing.T) {
	const selectsMF, asksSO, asksUser, tellsSO = "00A40000023F00", "00200003", "00200001", "00CA01B3"
	for name, tt := range map[string]struct {
		answers map[string]string
		tries   int
		code    problem.Code // of Prepare; "" for none
		nobody  bool         // is asked for a PIN
	}{
		"before it is activated":     {answers: map[string]string{selectsMF: "6F088603113FFF8A01019000"}, nobody: true},
		"everybody":                  {answers: map[string]string{selectsMF: "6F088603110FFF8A01079000"}, nobody: true},
		"no life cycle":              {answers: map[string]string{selectsMF: "6F058603113FFF9000"}, nobody: true},
		"the SO PIN":                 {answers: map[string]string{selectsMF: "6F088603113FFF8A01079000", asksSO: "63C3"}, tries: 3},
		"activated otherwise":        {answers: map[string]string{selectsMF: "6F088603113FFF8A01059000", asksSO: "63C3"}, tries: 3},
		"no access conditions":       {answers: map[string]string{selectsMF: "6F038A01079000", asksSO: "63C3"}, tries: 3},
		"the user PIN":               {answers: map[string]string{selectsMF: "6F088603111FFF8A01079000", asksUser: "63C2"}, tries: 2},
		"the SO PIN's last try":      {answers: map[string]string{selectsMF: "6F088603113FFF8A01079000", asksSO: "63C1"}, tries: 1},
		"a blocked SO PIN":           {answers: map[string]string{selectsMF: "6F088603113FFF8A01079000", asksSO: "6983"}},
		"one that tells, is blocked": {answers: map[string]string{selectsMF: "6F088603113FFF8A01079000", asksSO: "6983", tellsSO: "000A030A00000004049000"}},
		"one that was never set":     {answers: map[string]string{selectsMF: "6F088603113FFF8A01079000", asksSO: "6983", tellsSO: "FFFFFFFFFFFFFFFFFF9000"}, code: problem.NotSupported},
		"nobody":                     {answers: map[string]string{selectsMF: "6F08860311FFFF8A01079000"}, tries: -1, code: problem.NotSupported},
	} {
		c, _ := openScripted(t, blankMyEID(tt.answers))
		status, err := c.Status(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if tt.nobody {
			if status.Erasing != nil {
				t.Errorf("%s: %+v", name, status.Erasing)
			}
			continue
		}
		if status.Erasing == nil || status.Erasing.TriesLeft != tt.tries {
			t.Errorf("%s: %+v", name, status.Erasing)
			continue
		}
		err = c.driver.erasable(t.Context(), status)
		if (tt.code == "") != (err == nil) || err != nil && !problem.Is(err, tt.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMyEIDTries(t *testing.T) {
	user, puk := PIN{Reference: 1}, PIN{Reference: 1, Unblocking: true}
	for name, tt := range map[string]struct {
		pin     PIN
		answers map[string]string
		want    int
	}{
		"a PIN":                          {user, map[string]string{"00200001": "63C2"}, 2},
		"a blocked PIN":                  {user, map[string]string{"00200001": "6983"}, 0},
		"one that is not needed":         {user, map[string]string{"00200001": "9000", "00CA01B1": "030A030A00000004049000"}, 3},
		"one that is not set":            {user, map[string]string{"00200001": "9000", "00CA01B1": "FFFFFFFFFFFFFFFFFF9000"}, 0},
		"one of which nothing is told":   {user, map[string]string{"00200001": "9000"}, -1},
		"one of which little is told":    {user, map[string]string{"00200001": "9000", "00CA01B1": "039000"}, -1},
		"a PUK":                          {puk, map[string]string{"00CA01B1": "0009030A00000004049000"}, 9},
		"a PUK of which nothing is told": {puk, nil, -1},
	} {
		c, _ := openScripted(t, blankMyEID(tt.answers))
		if got, err := c.Tries(t.Context(), tt.pin); err != nil || got != tt.want {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
}

func TestMyEIDPINsAreFilledUp(t *testing.T) {
	c, card := openScripted(t, blankMyEID(map[string]string{"0024": "9000", "002C": "63C1"}))
	p := PIN{Reference: 1}
	old, fresh := secret.New([]byte("1234")), secret.New([]byte("12345678"))
	if err := c.ChangePIN(t.Context(), p, old, fresh); err != nil {
		t.Error(err)
	}
	if want := "002400011031323334FFFFFFFF3132333435363738"; card.sent[len(card.sent)-1] != want {
		t.Errorf("sent %s, want %s", card.sent[len(card.sent)-1], want)
	}
	err := c.UnblockPIN(t.Context(), p, PIN{Unblocking: true}, fresh, old)
	if !problem.Is(err, problem.PINIncorrect) || !strings.Contains(err.Error(), "1 try left") {
		t.Error(err)
	}
}

func TestMyEIDKeyLengths(t *testing.T) {
	for name, tt := range map[string]struct {
		told string // of GET DATA
		can  []string
	}{
		"it tells":         {"01000910000000000001809000", []string{"rsa2048", "rsa3072", "rsa4096", "p256", "p384"}},
		"it does not tell": {"6A88", []string{"rsa2048", "p256"}},
		"it tells little":  {"0100099000", []string{"rsa2048", "p256"}},
	} {
		c, _ := openScripted(t, blankMyEID(map[string]string{"00CA01AA": tt.told}))
		var can []string
		for _, algorithm := range []string{"rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521", "ed25519", "x25519"} {
			err := c.CheckAlgorithm(t.Context(), algorithm)
			if err == nil {
				can = append(can, algorithm)
			} else if !problem.Is(err, problem.NotSupported) {
				t.Error(err)
			}
		}
		if !slices.Equal(can, tt.can) {
			t.Errorf("%s: %v, want %v", name, can, tt.can)
		}
	}
}

func TestECDSASignaturesOfCards(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte("message"))
	proper, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := iso7816.FindTLV(proper, tagSequence)
	parts, err := iso7816.ParseTLVs(whole)
	if err != nil {
		t.Fatal(err)
	}
	var zeros []byte
	for _, part := range parts {
		zeros = iso7816.AppendTLV(zeros, tagInteger, append([]byte{0, 0}, part.Value...))
	}
	for name, signature := range map[string][]byte{
		"as it should be":    proper,
		"with leading zeros": iso7816.AppendTLV(nil, tagSequence, zeros),
		"with a long length": append([]byte{0x30, 0x81, byte(len(whole))}, whole...),
	} {
		got, err := properSignature(signature)
		if err != nil || !bytes.Equal(got, proper) {
			t.Errorf("%s: %X, %v", name, got, err)
		}
	}
	for _, malformed := range []string{"", "30", "3000", "3003020101", "300604010104010 1"} {
		raw, _ := hex.DecodeString(malformed)
		if _, err := properSignature(raw); err == nil {
			t.Errorf("%q is taken", malformed)
		}
	}
}

func TestDigestsFitTheCurve(t *testing.T) {
	if got := fitted([]byte{1, 2, 3}, 2); !bytes.Equal(got, []byte{1, 2}) {
		t.Errorf("a long digest becomes %X", got)
	}
	if got := fitted([]byte{1, 2}, 4); !bytes.Equal(got, []byte{0, 0, 1, 2}) {
		t.Errorf("a short digest becomes %X", got)
	}
}

func TestTheEndOfADirectory(t *testing.T) {
	for content, want := range map[string]bool{
		"":             false,
		"3000":         false, // what follows is in the next part
		"300000":       true,
		"300000000000": true,
		"3000FF":       true,
		"300201020000": true,
		"30020100":     false,
		"300301":       false, // cut
		"00":           true,
	} {
		if got := ended(unhex(t, content)); got != want {
			t.Errorf("%s: %v", content, got)
		}
	}
}

// liar is a card that answers with pieces of what a fuzzer thinks of.
type liar struct{ answers []byte }

func (l *liar) Transmit(context.Context, []byte) ([]byte, error) {
	if len(l.answers) < 2 {
		return []byte{0x6F, 0x00}, nil
	}
	n := min(int(l.answers[0]), len(l.answers)-1)
	answer := append(bytes.Clone(l.answers[1:1+n]), 0x90, 0x00)
	l.answers = l.answers[1+n:]
	return answer, nil
}

// FuzzMyEID reads a card that says it is a MyEID card and lies about the rest.
func FuzzMyEID(f *testing.F) {
	f.Add([]byte("\x09\x6f\x07\x80\x02\x00\xff\x82\x01\x01\x0e\xa8\x0a\x30\x08\x04\x06\x3f\x00\x50\x15\x44\x01\x00"))
	f.Fuzz(func(t *testing.T, answers []byte) {
		m := &myEID{files: files{ch: iso7816.NewChannel(&liar{answers}, iso7816.Capabilities{})}}
		m.enter, m.layout = m.selectSelf, m.certificates()
		c := &Card{line: scriptedLine{m.ch}}
		c.driver = newMyEID(c, m)
		d, err := c.Directory(t.Context())
		if err != nil {
			return
		}
		for _, k := range d.Keys {
			_, _ = c.PublicKey(t.Context(), k.ID)
			_, _ = m.sign(t.Context(), &k, make([]byte, crypto.SHA256.Size()), crypto.SHA256)
		}
		_, _ = c.Status(t.Context())
	})
}

// Entries as pkcs15-init 0.23 wrote them to a MyEID card.
func TestKeyEntriesAreAsOpenSCWritesThem(t *testing.T) {
	pin := PIN{ID: "01", Reference: 1}
	rsaKey := NewKey{ID: []byte{0x45}, Label: "vpn", Usage: []string{"sign", "decrypt"}, PIN: pin}
	signs := NewKey{ID: []byte{0x46}, Label: "ec", Usage: []string{"sign"}, PIN: pin}
	derives := NewKey{ID: []byte{0x47}, Label: "drv", Usage: []string{"derive"}, PIN: pin}
	for want, got := range map[string][]byte{
		"3030300C0C0376706E030206C0040101300E04014503020274030203B8020101A110300E300804063F0050154B0102020800":   privateKeyEntry(rsaKey, 0x4B01, 2048, false),
		"A02F300B0C026563030206C0040101300E04014603020430030203B8020102A110300E300804063F0050154B0202020100":     privateKeyEntry(signs, 0x4B02, 256, true),
		"A031300C0C03647276030206C0040101300F0401470303070080030203B8020103A110300E300804063F0050154B0302020209": privateKeyEntry(derives, 0x4B03, 521, true),
		"302C30090C0376706E03020640300D0401450302008B010100020100A110300E300804063F005015550102020800":           publicKeyEntry(rsaKey, 0x5501, 2048, false),
		"A02730080C02656303020640300D0401460302 0003010100020100A10C300A300804063F0050155502":                    publicKeyEntry(signs, 0x5502, 256, true),
		"A02930090C0364727603020640300E0401470303070080010100020100A10C300A300804063F0050155503":                 publicKeyEntry(derives, 0x5503, 521, true),
	} {
		if !bytes.Equal(got, unhex(t, strings.ReplaceAll(want, " ", ""))) {
			t.Errorf("%X, want %s", got, want)
		}
	}
}
