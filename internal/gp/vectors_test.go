package gp

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

type vector struct {
	ID      string         `json:"id"`
	Kind    string         `json:"kind"`
	Inputs  map[string]any `json:"inputs"`
	Outputs map[string]any `json:"outputs"`
}

func (v vector) has(m map[string]any, name string) bool { _, ok := m[name]; return ok }

// in is an input in hexadecimal; absent is nil.
func (v vector) in(t *testing.T, name string) []byte { return hexOf(t, v.Inputs[name]) }

func (v vector) out(t *testing.T, name string) []byte { return hexOf(t, v.Outputs[name]) }

func hexOf(t *testing.T, value any) []byte {
	t.Helper()
	if value == nil {
		return nil
	}
	return unhex(t, value.(string))
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readVectors(t *testing.T) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/globalplatform.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// TestVectors runs every known answer; a kind without a check fails.
func TestVectors(t *testing.T) {
	checks := map[string]func(*testing.T, vector){
		"scp01-session-keys": checkSessionKeys01, "scp02-session-keys": checkSessionKeys02, "scp03-session-keys": checkSessionKeys03,
		"scp02-card-cryptogram": checkCryptogram02, "scp02-host-cryptogram": checkCryptogram02, "scp03-host-cryptogram": checkHostCryptogram03,
		"scp03-pseudorandom-card-challenge": checkCardChallenge03,
		"retail-mac":                        checkRetailMAC, "aes-cmac": checkCMAC, "kdf-counter": checkKDF, "scp03-c-mac": checkCMAC03, "scp03-r-mac": checkRMAC03,
		"scp02-wrap-sequence": checkWrapSequence, "scp03-wrap-sequence": checkWrapSequence, "session-transcript": checkTranscript,
		"key-diversification": checkDiversification, "kcv": checkKCV, "key-encryption": checkKeyEncryption, "put-key-encoding": checkPutKey,
		"key-information-template": checkKeyInformation, "install-data": checkInstallData, "install-parameters": checkInstallParameters,
		"install-token-data": checkTokenData,
	}
	for _, v := range readVectors(t) {
		t.Run(v.Kind+"/"+v.ID, func(t *testing.T) {
			check, ok := checks[v.Kind]
			if !ok {
				t.Fatalf("no check for kind %s", v.Kind)
			}
			check(t, v)
		})
	}
}

func want(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s\n got %X\nwant %X", what, got, want)
	}
}

func keySet(t *testing.T, enc, mac, dek []byte) *KeySet {
	t.Helper()
	k, err := NewKeySet(enc, mac, dek)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func checkSessionKeys01(t *testing.T, v vector) {
	key := v.in(t, "key")
	m := newSCP01(0x05, keySet(t, key, key, key), v.in(t, "host_challenge"), v.in(t, "card_challenge"))
	want(t, "S-ENC", m.enc[:], v.out(t, "s_enc"))
	for name, key := range map[string][]byte{"kcv_s_enc": m.enc[:], "kcv_s_mac": m.mac[:], "kcv_dek": m.dek[:]} {
		value := checkValue(TripleDES, key)
		want(t, name, value[:], v.out(t, name))
	}
}

func checkSessionKeys02(t *testing.T, v vector) {
	got := sessionKey02(v.in(t, "key"), [2]byte(v.in(t, "constant")), v.in(t, "sequence"))
	want(t, "key", got, v.out(t, "key"))
}

func checkSessionKeys03(t *testing.T, v vector) {
	host, card := v.in(t, "host_challenge"), v.in(t, "card_challenge")
	if v.has(v.Inputs, "context") {
		host = v.in(t, "context")
	}
	enc, mac := v.in(t, "enc"), v.in(t, "mac")
	if v.has(v.Inputs, "key") {
		enc = v.in(t, "key")
		mac = enc
	}
	m := newSCP03(0x00, keySet(t, enc, mac, mac), host, card)
	want(t, "S-ENC", m.enc, v.out(t, "s_enc"))
	want(t, "S-MAC", m.mac, v.out(t, "s_mac"))
	want(t, "S-RMAC", m.rmac, v.out(t, "s_rmac"))
	for name, key := range map[string][]byte{"kcv_s_enc": m.enc, "kcv_s_mac": m.mac, "kcv_s_rmac": m.rmac, "kcv_dek": enc} {
		if v.has(v.Outputs, name) {
			value := checkValue(AES, key)
			want(t, name, value[:], v.out(t, name))
		}
	}
}

func checkCryptogram02(t *testing.T, v vector) {
	m := &desMessaging{}
	copy(m.enc[:], v.in(t, "s_enc"))
	compute := m.cardCryptogram
	if v.Kind == "scp02-host-cryptogram" {
		compute = m.hostCryptogram
	}
	want(t, "cryptogram", compute(v.in(t, "host_challenge"), v.in(t, "card_challenge")), v.out(t, "cryptogram"))
}

func checkHostCryptogram03(t *testing.T, v vector) {
	m := &scp03{size: 8, mac: v.in(t, "s_mac")}
	want(t, "cryptogram", m.hostCryptogram(v.in(t, "host_challenge"), v.in(t, "card_challenge")), v.out(t, "cryptogram"))
}

func checkCardChallenge03(t *testing.T, v vector) {
	enc := v.in(t, "enc")
	m := newSCP03(0x10, keySet(t, enc, enc, enc), make([]byte, 8), make([]byte, 8))
	want(t, "challenge", m.pseudoRandomChallenge(v.in(t, "sequence"), v.in(t, "aid")), v.out(t, "card_challenge"))
}

func checkRetailMAC(t *testing.T, v vector) {
	want(t, "MAC", retailMAC(v.in(t, "key"), v.in(t, "icv"), v.in(t, "data")), v.out(t, "mac"))
}

func checkCMAC(t *testing.T, v vector) {
	want(t, "MAC", cmac(v.in(t, "key"), v.in(t, "message")), v.out(t, "mac"))
}

func checkKDF(t *testing.T, v vector) {
	got := kdf(v.in(t, "key"), v.in(t, "block_a"), v.in(t, "block_b"), int(v.Inputs["length"].(float64)))
	want(t, "key", got, v.out(t, "key"))
	value := checkValue(AES, got)
	want(t, "KCV", value[:], v.out(t, "kcv"))
}

func checkCMAC03(t *testing.T, v vector) {
	m := &scp03{size: 8, mac: v.in(t, "s_mac"), chain: [16]byte(v.in(t, "chaining"))}
	h := v.in(t, "mac_input_header")
	// The header is that of the wrapped command; its class has no secure
	// messaging bit, so it is not one that wrap makes.
	want(t, "MAC", cmac(m.mac, m.chain[:], h)[:8], v.out(t, "mac"))
	want(t, "header", header(iso7816.Command{CLA: h[0], INS: h[1], P1: h[2], P2: h[3]}, m.size), h)
}

func checkRMAC03(t *testing.T, v vector) {
	m := &scp03{size: 8, rmac: v.in(t, "s_rmac"), chain: [16]byte(v.in(t, "chaining"))}
	status := iso7816.Status(uint16(v.in(t, "sw")[0])<<8 | uint16(v.in(t, "sw")[1]))
	answer := append(v.in(t, "response"), v.out(t, "mac")...)
	got, err := m.unwrap(iso7816.Command{}, LevelRMAC, answer, status)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "answer", got, v.in(t, "response"))
	for i := range answer {
		answer[i] ^= 1
		if _, err := m.unwrap(iso7816.Command{}, LevelRMAC, answer, status); !errors.Is(err, ErrResponseMAC) {
			t.Errorf("bit %d of byte flipped: %v", i, err)
		}
		answer[i] ^= 1
	}
}

func checkDiversification(t *testing.T, v vector) {
	method, _, _ := strings.Cut(v.Inputs["method"].(string), "-")
	master := v.in(t, "master_key")
	got, err := keySet(t, master, master, master).Diversify(Diversification(method), v.in(t, "kdd"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "ENC", got.enc.Reveal(), v.out(t, "enc"))
	want(t, "MAC", got.mac.Reveal(), v.out(t, "mac"))
	want(t, "DEK", got.dek.Reveal(), v.out(t, "dek"))
	c := TripleDES
	if method == "kdf3" {
		c = AES
	}
	values, err := got.CheckValues(c)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"kcv_enc", "kcv_mac", "kcv_dek"} {
		want(t, name, values[i][:], v.out(t, name))
	}
}

func checkKCV(t *testing.T, v vector) {
	c := map[string]Cipher{"aes": AES, "des": TripleDES}[v.Inputs["type"].(string)]
	value := checkValue(c, v.in(t, "key"))
	want(t, "KCV", value[:], v.out(t, "kcv"))
}

func checkKeyEncryption(t *testing.T, v vector) {
	want(t, "key", dekMessaging(t, v, "dek").encryptKey(v.in(t, "key")), v.out(t, "encrypted"))
}

// dekMessaging is secure messaging of the vector's protocol with nothing but a
// data encryption key.
func dekMessaging(t *testing.T, v vector, name string) messaging {
	t.Helper()
	dek := v.in(t, name)
	if v.Inputs["scp"].(float64) == 3 {
		return &scp03{static: keySet(t, dek, dek, dek)}
	}
	return &desMessaging{dek: [16]byte(dek)}
}

// checkPutKey compares the whole command. One peer leaves out the length before an
// AES key that fills its block.
func checkPutKey(t *testing.T, v vector) {
	var keys [3][]byte
	for i, key := range v.Inputs["new_keys"].([]any) {
		keys[i] = unhex(t, key.(string))
	}
	set := keySet(t, keys[0], keys[1], keys[2])
	c := TripleDES
	if v.Inputs["scp"].(float64) == 3 {
		c = AES
	}
	cmd, _, err := iso7816.ParseCommand(v.out(t, "plain_capdu"))
	if err != nil {
		t.Fatal(err)
	}
	bare := strings.Contains(v.ID, "gpshell")
	got := putKeyData(dekMessaging(t, v, "dek_used"), NewKeys{Keys: set, Cipher: c, Version: byte(v.Inputs["new_kvn"].(float64)), Bare: bare})
	want(t, "data", got, cmd.Data)
}

func checkKeyInformation(t *testing.T, v vector) {
	keys, err := ParseKeyInformation(v.in(t, "tlv"))
	if err != nil || len(keys) != int(v.Outputs["count"].(float64)) {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func checkInstallData(t *testing.T, v vector) {
	want(t, "data", installForLoadData(v.in(t, "pkg"), v.in(t, "sd"), nil, Memory{}), v.out(t, "data"))
}

func checkInstallParameters(t *testing.T, v vector) {
	m := Memory{Data: int(v.Inputs["non_volatile"].(float64)), Volatile: int(v.Inputs["volatile"].(float64))}
	want(t, "parameters", InstallParameters(nil, m, v.in(t, "stk")), v.out(t, "tlv"))
}

func checkTokenData(t *testing.T, v vector) {
	data := fields(v.in(t, "sd_aid"), nil, v.in(t, "app_aid"), nil, nil)
	want(t, "data", append(iso7816.AppendLength([]byte{forExtradition, 0}, len(data)), data...), v.out(t, "data"))
}

// replay is a card that answers what a transcript says, to the commands that
// it says. Le is left out of the comparison: peers differ in it.
type replay struct {
	t         *testing.T
	exchanges [][2][]byte
}

func (r *replay) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	r.t.Helper()
	if len(r.exchanges) == 0 {
		r.t.Fatalf("a command after the last: %X", apdu)
	}
	next := r.exchanges[0]
	r.exchanges = r.exchanges[1:]
	got, _, err := iso7816.ParseCommand(apdu)
	if err != nil {
		r.t.Fatal(err)
	}
	expected, _, err := iso7816.ParseCommand(next[0])
	if err != nil {
		r.t.Fatal(err)
	}
	got.Ne, expected.Ne = 0, 0
	if a, _ := got.Encode(false); true {
		b, _ := expected.Encode(false)
		want(r.t, "command", a, b)
	}
	return next[1], nil
}

// credentials are those of a vector of a session.
func (v vector) credentials(t *testing.T, level Level) Credentials {
	t.Helper()
	option := v.in(t, "i")
	return Credentials{
		Keys:          keySet(t, v.in(t, "enc"), v.in(t, "mac"), v.in(t, "dek")),
		Level:         level,
		Protocol:      Protocol{SCP: byte(v.Inputs["scp"].(float64)), I: option[0]},
		HostChallenge: v.in(t, "host_challenge"),
	}
}

// checkWrapSequence opens a session against a card that takes any EXTERNAL
// AUTHENTICATE, and compares each wrapped command.
func checkWrapSequence(t *testing.T, v vector) {
	level := Level(v.in(t, "security_level")[0])
	c := v.credentials(t, level)
	u, err := ParseInitializeUpdate(v.in(t, "init_update_response"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSession(nil, u, c.Protocol, c, c.HostChallenge)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "card cryptogram", s.messaging.cardCryptogram(c.HostChallenge, u.Challenge), u.Cryptogram)
	s.messaging.wrap(iso7816.Command{
		CLA: 0x80, INS: 0x82, P1: byte(level), Data: s.messaging.hostCryptogram(c.HostChallenge, u.Challenge),
	}, CMAC)
	if v.has(v.Inputs, "first_command_wrapped_before") {
		cmd, _, _ := iso7816.ParseCommand(v.in(t, "first_command_wrapped_before"))
		s.messaging.wrap(cmd, level)
	}
	for _, step := range v.Outputs["sequence"].([]any) {
		pair := step.(map[string]any)
		cmd, _, err := iso7816.ParseCommand(hexOf(t, pair["plain"]))
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := s.messaging.wrap(cmd, level).Encode(false)
		if err != nil {
			t.Fatal(err)
		}
		want(t, pair["plain"].(string), wrapped, hexOf(t, pair["wrapped"]))
	}
}

type exchange struct {
	command, answer, plainCommand, plainAnswer []byte
	role                                       string
}

func (v vector) exchanges(t *testing.T) []exchange {
	var list []exchange
	for _, e := range v.Outputs["exchanges"].([]any) {
		m := e.(map[string]any)
		list = append(list, exchange{
			command: hexOf(t, m["capdu"]), answer: hexOf(t, m["rapdu"]),
			plainCommand: hexOf(t, m["plain_capdu"]), plainAnswer: hexOf(t, m["plain_rapdu"]), role: m["role"].(string),
		})
	}
	return list
}

// checkTranscript runs a whole session as the host, byte for byte, and then
// lets the card of these tests have the same conversation.
func checkTranscript(t *testing.T, v vector) {
	list := v.exchanges(t)
	card := &replay{t: t}
	var level Level
	var keyVersion byte
	for _, e := range list {
		if e.role != "plain" {
			card.exchanges = append(card.exchanges, [2][]byte{e.command, e.answer})
		}
		switch e.role {
		case "EXTERNAL AUTHENTICATE":
			level = Level(e.command[2])
		case "INITIALIZE UPDATE":
			keyVersion = e.command[2]
		}
	}
	c := v.credentials(t, level)
	c.KeyVersion = keyVersion
	c.AnyLevel = strings.Contains(v.ID, "gpshell") // one asked a card for R-MAC that does not announce it
	d := &SecurityDomain{ch: iso7816.NewChannel(card, iso7816.Capabilities{}), aid: v.in(t, "aid")}
	if err := d.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	s := d.Session()
	for _, e := range list {
		if e.plainCommand == nil {
			continue
		}
		cmd, _, err := iso7816.ParseCommand(e.plainCommand)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := s.send(t.Context(), cmd)
		status := iso7816.StatusOf(err)
		if err == nil {
			status = iso7816.StatusOK
		} else if status == 0 {
			t.Fatal(err)
		}
		if e.plainAnswer != nil {
			want(t, "answer", append(answer, byte(status>>8), byte(status)), e.plainAnswer)
		}
	}
	if len(card.exchanges) > 0 {
		t.Errorf("%d exchanges left", len(card.exchanges))
	}
	replayOnCard(t, v, list)
}

func TestVISA2Transcript(t *testing.T) {
	for _, v := range readVectors(t) {
		if v.Inputs["kdf"] != "visa2" {
			continue
		}
		master := v.in(t, "master_key")
		got, err := keySet(t, master, master, master).Diversify(DiversificationVISA2, v.in(t, "kdd"))
		if err != nil {
			t.Fatal(err)
		}
		want(t, "ENC", got.enc.Reveal(), v.in(t, "enc"))
		want(t, "MAC", got.mac.Reveal(), v.in(t, "mac"))
		want(t, "DEK", got.dek.Reveal(), v.in(t, "dek"))
		return
	}
	t.Error("no vector of visa2")
}

func TestParseKeySet(t *testing.T) {
	const key = "404142434445464748494A4B4C4D4E4F"
	for text, ok := range map[string]bool{
		key: true, key + "\n": true, strings.ToLower(key): true, key + ":" + key + ":" + key: true, key + key: true, key + key[:16]: true,
		"": false, key[:31]: false, key[:30]: false, key + "00": false, key + ":" + key: false, key + ":" + key + ":": false,
		"4041424344454647 48494A4B4C4D4E4F": false, "G" + key[1:]: false, key + ":" + key + ":" + key + key: false,
	} {
		set, err := ParseKeySet(secret.New([]byte(text)))
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && len(text) > 3 && strings.Contains(err.Error(), text[:4]) {
			t.Errorf("the error repeats the key: %v", err)
		}
		if err == nil {
			again, err := ParseKeySet(set.Text())
			if err != nil || !again.Equal(set) {
				t.Errorf("%q does not survive Text: %v", text, err)
			}
		}
	}
}
