package cardsim

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// hexBytes is written as upper-case hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// vector is a known answer; which fields it has depends on its kind.
type vector struct {
	ID      string
	Kind    string
	Inputs  vectorInputs
	Outputs struct {
		Exchanges []struct {
			CAPDU      hexBytes `json:"capdu"`
			RAPDU      hexBytes `json:"rapdu"`
			PlainCAPDU hexBytes `json:"plain_capdu"`
			PlainRAPDU hexBytes `json:"plain_rapdu"`
			Role       string
		}
		Sequence []struct{ Plain, Wrapped hexBytes }
		// Everything that is one value.
		Key           hexBytes
		MAC           hexBytes `json:"mac"`
		KCV           hexBytes `json:"kcv"`
		Cryptogram    hexBytes
		CardChallenge hexBytes `json:"card_challenge"`
		Encrypted     hexBytes
		SEnc          hexBytes `json:"s_enc"`
		SMAC          hexBytes `json:"s_mac"`
		SRMAC         hexBytes `json:"s_rmac"`
		PlainCAPDU    hexBytes `json:"plain_capdu"`
	}
}

type vectorInputs struct {
	SCP           byte   `json:"scp"`
	I             string `json:"i"`
	Type          string
	Enc, MAC, DEK hexBytes
	Key, Message  hexBytes
	Data, ICV     hexBytes
	Sequence      hexBytes
	Constant      hexBytes
	AID           hexBytes   `json:"aid"`
	HostChallenge hexBytes   `json:"host_challenge"`
	CardChallenge hexBytes   `json:"card_challenge"`
	SEnc          hexBytes   `json:"s_enc"`
	SMAC          hexBytes   `json:"s_mac"`
	SRMAC         hexBytes   `json:"s_rmac"`
	Chaining      hexBytes   `json:"chaining"`
	Header        hexBytes   `json:"mac_input_header"`
	Response      hexBytes   `json:"response"`
	SW            hexBytes   `json:"sw"`
	Level         hexBytes   `json:"security_level"`
	Update        hexBytes   `json:"init_update_response"`
	Before        hexBytes   `json:"first_command_wrapped_before"`
	Context       hexBytes   `json:"context"`
	BlockA        hexBytes   `json:"block_a"`
	BlockB        hexBytes   `json:"block_b"`
	DEKUsed       hexBytes   `json:"dek_used"`
	NewKeys       []hexBytes `json:"new_keys"`
	NewVersion    byte       `json:"new_kvn"`
}

var allVectors = sync.OnceValues(func() ([]vector, error) {
	data, err := os.ReadFile("../gp/testdata/globalplatform.json")
	if err != nil {
		return nil, err
	}
	var list []vector
	return list, json.Unmarshal(data, &list)
})

// vectors runs a test on each vector of a kind; there must be some.
func vectors(t *testing.T, kind string, test func(t *testing.T, v vector)) {
	t.Helper()
	list, err := allVectors()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, v := range list {
		if v.Kind == kind {
			n++
			t.Run(v.ID, func(t *testing.T) { test(t, v) })
		}
	}
	if n == 0 {
		t.Fatalf("no vector of the kind %s", kind)
	}
}

func TestVectorPrimitives(t *testing.T) {
	vectors(t, "retail-mac", func(t *testing.T, v vector) {
		equal(t, "MAC", retailMAC(v.Inputs.Key, v.Inputs.ICV, v.Inputs.Data), v.Outputs.MAC)
	})
	vectors(t, "aes-cmac", func(t *testing.T, v vector) {
		equal(t, "MAC", cmac(v.Inputs.Key, v.Inputs.Message), v.Outputs.MAC)
	})
	vectors(t, "kcv", func(t *testing.T, v vector) {
		equal(t, "check value", aesCheckValue(v.Inputs.Key), v.Outputs.KCV)
	})
	vectors(t, "key-encryption", func(t *testing.T, v vector) {
		m := &desMessaging{channel: secureChannel{protocol: v.Inputs.SCP}, dek: v.Inputs.DEK}
		equal(t, "key", m.decryptKey(v.Outputs.Encrypted), v.Inputs.Key)
	})
	vectors(t, "scp03-c-mac", func(t *testing.T, v vector) {
		equal(t, "C-MAC", cmac(v.Inputs.SMAC, v.Inputs.Chaining, v.Inputs.Header)[:8], v.Outputs.MAC)
	})
	vectors(t, "scp03-r-mac", func(t *testing.T, v vector) {
		m := &aesMessaging{channel: secureChannel{3, 0x20}, rmac: v.Inputs.SRMAC, chain: v.Inputs.Chaining}
		got := m.wrap(iso7816.Command{}, v.Inputs.Response, iso7816.Status(binary.BigEndian.Uint16(v.Inputs.SW)), levelMAC|levelResponseMAC)
		equal(t, "answer", got, append(bytes.Clone(v.Inputs.Response), v.Outputs.MAC...))
	})
}

func TestVectorSessionKeys(t *testing.T) {
	vectors(t, "scp01-session-keys", func(t *testing.T, v vector) {
		set := &gpKeySet{Keys: [][]byte{v.Inputs.Key, v.Inputs.Key, v.Inputs.Key}}
		equal(t, "S-ENC", newSCP01(secureChannel{1, 0x05}, set, v.Inputs.HostChallenge, v.Inputs.CardChallenge).enc, v.Outputs.SEnc)
	})
	vectors(t, "scp02-session-keys", func(t *testing.T, v vector) {
		equal(t, "key", scp02Session(v.Inputs.Key, v.Inputs.Constant[1], v.Inputs.Sequence), v.Outputs.Key)
	})
	vectors(t, "scp03-session-keys", func(t *testing.T, v vector) {
		enc, mac := v.Inputs.Enc, v.Inputs.MAC
		if enc == nil {
			enc, mac = v.Inputs.Key, v.Inputs.Key
		}
		context := append(bytes.Clone(v.Inputs.HostChallenge), v.Inputs.CardChallenge...)
		if v.Inputs.Context != nil {
			context = v.Inputs.Context
		}
		equal(t, "S-ENC", derive(enc, deriveEncryption, len(enc), context), v.Outputs.SEnc)
		equal(t, "S-MAC", derive(mac, deriveMAC, len(mac), context), v.Outputs.SMAC)
		equal(t, "S-RMAC", derive(mac, deriveResponseMAC, len(mac), context), v.Outputs.SRMAC)
	})
	vectors(t, "scp02-card-cryptogram", func(t *testing.T, v vector) {
		m := &desMessaging{enc: v.Inputs.SEnc, host: v.Inputs.HostChallenge, card: v.Inputs.CardChallenge}
		equal(t, "cryptogram", m.cryptogram(false), v.Outputs.Cryptogram)
	})
	vectors(t, "scp02-host-cryptogram", func(t *testing.T, v vector) {
		m := &desMessaging{enc: v.Inputs.SEnc, host: v.Inputs.HostChallenge, card: v.Inputs.CardChallenge}
		equal(t, "cryptogram", m.cryptogram(true), v.Outputs.Cryptogram)
	})
	vectors(t, "scp03-host-cryptogram", func(t *testing.T, v vector) {
		m := &aesMessaging{mac: v.Inputs.SMAC, host: v.Inputs.HostChallenge, card: v.Inputs.CardChallenge}
		equal(t, "cryptogram", m.cryptogram(true), v.Outputs.Cryptogram)
	})
	vectors(t, "scp03-pseudorandom-card-challenge", func(t *testing.T, v vector) {
		set := &gpKeySet{Keys: [][]byte{v.Inputs.Enc, v.Inputs.Enc, v.Inputs.Enc}}
		equal(t, "challenge", scp03Challenge(secureChannel{3, 0x10}, set, v.Inputs.Sequence, v.Inputs.AID), v.Outputs.CardChallenge)
	})
}

func (v vectorInputs) channel(t *testing.T) secureChannel {
	t.Helper()
	i, err := hex.DecodeString(v.I)
	if err != nil || len(i) != 1 {
		t.Fatalf("i is %q", v.I)
	}
	return secureChannel{v.SCP, i[0]}
}

// messagingOf is the card's side of a session from the answer to INITIALIZE
// UPDATE.
func messagingOf(t *testing.T, v vectorInputs, update []byte) messaging {
	t.Helper()
	channel := v.channel(t)
	set := &gpKeySet{Keys: [][]byte{v.Enc, v.MAC, v.DEK}}
	const head = 12 // diversification data, version, protocol
	n := channel.challengeLength()
	switch v.SCP {
	case 1:
		return newSCP01(channel, set, v.HostChallenge, update[head:head+n])
	case 2:
		return newSCP02(channel, set, v.HostChallenge, update[head:head+n])
	default:
		return newSCP03(channel, set, v.HostChallenge, update[head+1:head+1+n])
	}
}

func parsed(t *testing.T, apdu []byte) iso7816.Command {
	t.Helper()
	c, _, err := iso7816.ParseCommand(apdu)
	if err != nil {
		t.Fatalf("%X: %v", apdu, err)
	}
	return c
}

// unwraps checks that a command becomes the plain one.
func unwraps(t *testing.T, m messaging, level securityLevel, wrapped, plain []byte) iso7816.Command {
	t.Helper()
	got, ok := m.unwrap(parsed(t, wrapped), level)
	if !ok {
		t.Fatalf("%X is refused", wrapped)
	}
	if plain == nil {
		return got
	}
	want := parsed(t, plain)
	if got.CLA != want.CLA || got.INS != want.INS || got.P1 != want.P1 || got.P2 != want.P2 || !bytes.Equal(got.Data, want.Data) {
		t.Fatalf("%X became %+v, want %+v", wrapped, got, want)
	}
	return got
}

func TestVectorWrapSequences(t *testing.T) {
	sequence := func(t *testing.T, v vector) {
		m := messagingOf(t, v.Inputs, v.Inputs.Update)
		level := securityLevel(v.Inputs.Level[0])
		unwraps(t, m, 0, authenticateOf(t, m, level), nil)
		if v.Inputs.Before != nil {
			if v.Inputs.SCP != 3 {
				t.Fatal("a command before the sequence is known of SCP03 alone")
			}
			protect(t, m.(*aesMessaging), level, v.Inputs.Before)
		}
		for _, s := range v.Outputs.Sequence {
			unwraps(t, m, level, s.Wrapped, s.Plain)
		}
	}
	vectors(t, "scp02-wrap-sequence", sequence)
	vectors(t, "scp03-wrap-sequence", sequence)
}

// authenticateOf is the EXTERNAL AUTHENTICATE of a host with the same keys.
func authenticateOf(t *testing.T, m messaging, level securityLevel) []byte {
	t.Helper()
	c := iso7816.Command{CLA: 0x84, INS: insExternalAuthenticate, P1: byte(level), Data: m.cryptogram(true)}
	var mac []byte
	switch m := m.(type) {
	case *desMessaging:
		mac = m.commandMAC(append(macInput(c, len(c.Data)+desBlock), c.Data...))
	case *aesMessaging:
		mac = cmac(m.mac, m.chain, macInput(c, len(c.Data)+m.macLength()), c.Data)[:m.macLength()]
	}
	c.Data = append(bytes.Clone(c.Data), mac...)
	apdu, err := c.Encode(false)
	if err != nil {
		t.Fatal(err)
	}
	return apdu
}

// protect moves a session on as a plain command would that a host wrapped.
func protect(t *testing.T, m *aesMessaging, level securityLevel, plain []byte) {
	t.Helper()
	c := parsed(t, plain)
	c.CLA |= classSecureGP
	data := c.Data
	m.counter++
	if level&levelDecryption != 0 && len(data) > 0 {
		data = encryptCBC(newAES(m.enc), m.icv(0), pad(data, 16))
	}
	m.chain = cmac(m.mac, m.chain, macInput(c, len(data)+m.macLength()), data)
}

// The messaging of the card takes what hosts sent, and answers as cards did.
func TestVectorTranscriptsMessaging(t *testing.T) {
	vectors(t, "session-transcript", func(t *testing.T, v vector) {
		var m messaging
		level := securityLevel(0)
		for _, e := range v.Outputs.Exchanges {
			switch e.Role {
			case "INITIALIZE UPDATE":
				m = messagingOf(t, v.Inputs, e.RAPDU)
				tail := e.RAPDU[:len(e.RAPDU)-2]
				if c := v.Inputs.channel(t); c.protocol == 3 && c.i&scp03PseudoRandom != 0 {
					tail = tail[:len(tail)-3]
				}
				cryptogram := m.cryptogram(false)
				equal(t, "card cryptogram", cryptogram, tail[len(tail)-len(cryptogram):])
			case "EXTERNAL AUTHENTICATE":
				level = securityLevel(e.CAPDU[2])
				c := unwraps(t, m, 0, e.CAPDU, nil)
				equal(t, "host cryptogram", c.Data, m.cryptogram(true))
			case "secured":
				c := unwraps(t, m, level, e.CAPDU, e.PlainCAPDU)
				if e.PlainRAPDU == nil {
					continue
				}
				n := len(e.PlainRAPDU) - 2
				status := iso7816.Status(binary.BigEndian.Uint16(e.PlainRAPDU[n:]))
				equal(t, "answer", append(bytes.Clone(m.wrap(c, e.PlainRAPDU[:n], status, level)), statusBytes(status)...), e.RAPDU)
			}
		}
	})
}

// The whole card says, byte for byte, what an independent model of a card said
// to GlobalPlatformPro.
func TestVectorTranscriptsCard(t *testing.T) {
	vectors(t, "session-transcript", func(t *testing.T, v vector) {
		channel := v.Inputs.channel(t)
		var update, challenge []byte
		pseudo, modelled := channel.protocol == 3 && channel.i&scp03PseudoRandom != 0, strings.HasPrefix(v.ID, "peer-")
		for _, e := range v.Outputs.Exchanges {
			if e.Role == "INITIALIZE UPDATE" {
				update = e.RAPDU
			}
		}
		foreign := channel.protocol == 2 && channel.i&scp02PseudoRandom != 0 // the model drew it
		if foreign {
			channel.i &^= scp02PseudoRandom
			for _, e := range v.Outputs.Exchanges {
				if e.Role == "EXTERNAL AUTHENTICATE" && securityLevel(e.CAPDU[2])&levelResponseMAC != 0 {
					channel.i |= scp02ResponseMAC // the model has it, and does not say so
				}
			}
		}
		card, err := NewCard(Options{Applications: []string{gpName}, SecureChannel: channel.String(), CardKeys: [][]byte{v.Inputs.Enc, v.Inputs.MAC, v.Inputs.DEK}, Profile: "short-apdus"})
		if err != nil {
			t.Fatal(err)
		}
		issuer := card.issuer().(*gp)
		if strings.HasPrefix(v.ID, "pysim-") {
			issuer.state.AID = unhex(t, "A0000005591010FFFFFFFF8900000100") // of an eUICC
		}
		set := &issuer.state.Keys[0]
		set.Version = update[10]
		copy(issuer.state.CPLC[10:], update[2:10])
		switch n := len(update) - 2; {
		case channel.protocol == 1:
			challenge = update[12:20]
		case channel.protocol == 2:
			set.Counter, challenge = uint32(binary.BigEndian.Uint16(update[12:])), update[14:20]
		case pseudo:
			set.Counter = binary.BigEndian.Uint32(append([]byte{0}, update[n-3:n]...))
		default:
			challenge = update[13 : 13+channel.challengeLength()]
		}
		issuer.state.Packages = []*javaPackage{{
			AID: unhex(t, "A0000001515350"), Version: []byte{1, 0}, Modules: [][]byte{unhex(t, "A000000151535041")},
		}}
		if card.persisted, err = card.snapshot(); err != nil {
			t.Fatal(err)
		}
		card.random = bytes.NewReader(append(bytes.Clone(challenge), make([]byte, 64)...))
		h := hold(t, card)
		for _, e := range v.Outputs.Exchanges {
			if foreign && e.Role == "plain" {
				continue
			}
			data, status := h.send(e.CAPDU)
			got := fmt.Sprintf("%X%04X", data, uint16(status))
			if want := fmt.Sprintf("%X", []byte(e.RAPDU)); got != want && (modelled || e.Role != "secured") {
				t.Fatalf("%s %X\nanswered %s\nwant     %s", e.Role, []byte(e.CAPDU), got, want)
			}
			if status == iso7816.StatusSecurityNotSatisfied {
				t.Fatalf("%X is refused", []byte(e.CAPDU))
			}
		}
	})
}

// PUT KEY of other implementations, as it stands before secure messaging.
func TestVectorPutKey(t *testing.T) {
	vectors(t, "put-key-encoding", func(t *testing.T, v vector) {
		dek := []byte(v.Inputs.DEKUsed)
		channel := secureChannel{v.Inputs.SCP, 0x15}
		var m messaging = &desMessaging{channel: channel, dek: dek}
		if v.Inputs.SCP == 3 {
			channel.i = 0x70
			m = &aesMessaging{channel: channel, dek: dek}
		}
		card, err := NewCard(Options{Applications: []string{gpName}, SecureChannel: channel.String(), CardKeys: [][]byte{wellKnownKey(len(dek))}})
		if err != nil {
			t.Fatal(err)
		}
		hold(t, card)
		issuer := card.issuer().(*gp)
		issuer.session = &gpSession{messaging: m, authenticated: true}
		c := parsed(t, v.Outputs.PlainCAPDU)
		if c.P1 == 0 && v.Inputs.NewVersion == ownKeyVersion {
			issuer.state.Keys[0].Version = initialKeyVersion
		}
		answer, status := issuer.command(c)
		if status != iso7816.StatusOK {
			t.Fatalf("answered %v", status)
		}
		set := issuer.state.keySet(v.Inputs.NewVersion)
		if set == nil {
			t.Fatal("the keys are not there")
		}
		want := []byte{v.Inputs.NewVersion}
		for i, key := range v.Inputs.NewKeys {
			equal(t, "key", set.Keys[i], key)
			want = append(want, channel.checkValue(key)...)
		}
		equal(t, "answer", answer, want)
	})
}
