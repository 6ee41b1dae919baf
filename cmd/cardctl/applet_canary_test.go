package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
)

// Keys of the canary tests, ENC, MAC and DEK: those of the card, those that it
// gets, and those of no card.
const (
	canaryOld   = "0B1A29384756657483920A1B2C3D4E5F:1C2B3A495867768594A3B2C1D0EFFE0D:2D3C4B5A69788796A5B4C3D2E1F00F1E"
	canaryNew   = "3E4D5C6B7A8998A7B6C5D4E3F2011020:4F5E6D7C8B9AA9B8C7D6E5F403122130:5F6E7D8C9BAAB9C8D7E6F50413223140"
	canaryWrong = "6A7B8C9DAEBFC0D1E2F3041526374859:7B8C9DAEBFC0D1E2F30415263748596A:8C9DAEBFC0D1E2F30415263748596A7B"
)

// canaryScripts are GPShell scripts, of which only the first two are some. $ENC,
// $MAC and $DEK are the keys of the card, $WRONG others.
var canaryScripts = map[string]string{
	"good": "open_sc -security 1 -enc_key $ENC -mac_key $MAC -kek_key $DEK\nget_status -element e0\n" +
		"put_sc_key -keyver 1 -newkeyver 1 -enc_key $ENC -mac_key $MAC -kek_key $DEK\ndelete -AID F0000000AA",
	"refused":   "open_sc -security 1 -enc_key $ENC -mac_key $MAC -kek_key $DEK\nsend_apdu -sc 1 -APDU 80FF000000",
	"wrong":     "open_sc -security 1 -key $WRONG\nget_status -element 40",
	"no DEK":    "open_sc -security 1 -enc_key $ENC -mac_key $MAC\nput_sc_key -keyver 1 -newkeyver 1 -key $WRONG",
	"odd":       "open_sc -security 1 -key $WRONG0",
	"too long":  "open_sc -security 1 -key $WRONG$WRONG$WRONG",
	"unknown":   "put_dap_key -key $WRONG",
	"misplaced": "$WRONG\n",
	"bare":      "open_sc $WRONG",
	"comma":     "open_sc -security $WRONG",
	"quoted":    "open_sc -security 1 -key \"$WRONG",
	"twice":     "open_sc -security 1 -key $WRONG -key $WRONG",
}

// canaryCommands are what is run, on the same card one after the other; +, -
// and ? say whether each has to work, to fail, or may do either.
var canaryCommands = []string{
	"+ applet list --card-keys env:OLD",
	"+ applet list --card-keys env:OLD -o json",
	"+ applet list --card-keys env:OLD --security-level c-decryption",
	"? applet list --card-keys env:OLD --security-level c-decryption,r-mac",
	"- applet list --card-keys env:OLD --key-version 9",
	"- applet list --card-keys env:SHORT",
	"- applet list --card-keys env:LETTER -o json",
	"- applet list --card-keys env:PAIR",
	"- applet list --card-keys $OLD",
	"- applet list --card-keys=$OLD -o json",
	"- applet list --card-keys env:WRONG",
	"- applet list --card-keys env:WRONG --retry-keys -o json",
	"+ applet list --card-keys env:OLD --retry-keys",
	"+ applet inspect $W/new.cap",
	"+ applet install $W/new.cap --card-keys env:OLD --dry-run",
	"+ applet install $W/new.cap --card-keys env:OLD --security-level c-decryption --load-hash",
	"- applet install $W/new.cap --card-keys env:OLD",
	"+ applet install $W/new.cap --card-keys env:OLD --replace --yes -o json",
	"- applet install $W/large.cap --card-keys env:OLD",
	"- applet install $W/new.cap --card-keys env:OLD --parameters 0G",
	"+ applet state lock F00000000201 --card-keys env:OLD",
	"+ applet state unlock F00000000201 --card-keys env:OLD -o json",
	"- applet state secured --yes --card-keys env:OLD",
	"+ applet store-data 4504A0B1C2D3 --card-keys env:OLD",
	"- applet delete --key-version 1 --yes --card-keys env:OLD",
	"- applet domain extradite F00000000201 --to F0000000EE --yes --card-keys env:OLD",
	"- applet delete F000000002 --yes --card-keys env:OLD",
	"- applet delete F0000000FF --yes --card-keys env:OLD",
	"+ applet delete F000000002 --with-applets --yes --card-keys env:OLD",
	"- applet set-keys --new-card-keys $NEW --keys-file $W/0.keys --yes --card-keys env:OLD",
	"- applet set-keys --new-card-keys env:SHORT --keys-file $W/0.keys --yes --card-keys env:OLD",
	"- applet set-keys --new-card-keys env:NEW --keys-file $W/none/0.keys --yes --card-keys env:OLD",
	"- applet set-keys --new-card-keys env:NEW --keys-file $W/0.keys --card-keys env:OLD",
	"- applet set-keys --new-card-keys env:NEW --keys-file $W/new.cap --yes --card-keys env:OLD",
	"+ info",
	"? doctor",
	"? doctor -o json",
}

// TestKeysAppearNowhere runs every command on applets, to success and to
// failure: neither the card's keys nor new ones nor those of a session are in
// the output, a trace or a file, but for the file of new keys and the
// simulated card itself.
func TestKeysAppearNowhere(t *testing.T) {
	for _, channel := range []string{"scp01-05", "scp02-55", "scp03-70"} {
		t.Run(channel, func(t *testing.T) { // one at a time: doctor loads modules into this process
			d := newCanaryDesk(t, channel)
			for _, line := range canaryCommands {
				d.check(line)
			}
			for name := range canaryScripts {
				mark := map[bool]string{true: "+", false: "-"}[name == "good" || name == "refused"]
				d.check(fmt.Sprintf("%s applet script $W/%s.gpsh --retry-keys --yes", mark, strings.ReplaceAll(name, " ", "-")))
			}
			start := d.save()
			set := "applet set-keys --new-card-keys env:NEW --keys-file $W/n.keys --yes --retry-keys --card-keys env:OLD --security-level c-decryption"
			for _, fault := range []func(int) cardsim.Fault{
				moments["before command"].fault,
				func(n int) cardsim.Fault { return cardsim.Garbage(n, []byte{0x6A, 0x80}) },
				func(n int) cardsim.Fault { return cardsim.Garbage(n, []byte{0x90, 0x00}) },
			} {
				for n := 1; n <= 8; n++ {
					d.restore(start)
					d.forget("n.keys")
					d.check("? "+set, fault(n))
				}
			}
			d.restore(start)
			d.forget("n.keys")
			d.check("+ " + set)
			d.check("+ applet list --card-keys env:NEW")
			d.check("+ applet set-keys --generate --keys-file $W/g.keys --yes --card-keys env:NEW -o json")
			d.check("+ applet list --card-keys file:$W/g.keys")
			if d.proved < len(canaryCommands) {
				t.Errorf("the keys of %d sessions were looked for", d.proved)
			}
		})
	}
}

// canaryDesk is a desk with a Java card that has keys of its own, and every key
// that must not be seen.
type canaryDesk struct {
	javaDesk
	sets [][3][]byte
	// proved counts the sessions whose keys made what the card was sent.
	proved int
}

func newCanaryDesk(t *testing.T, channel string) *canaryDesk {
	t.Helper()
	first, _, _ := strings.Cut(canaryOld, ":")
	d := &canaryDesk{javaDesk: newJavaDesk(t, "--secure-channel", channel, "--memory", "9000")}
	d.vars = append(d.vars, "OLD="+canaryOld, "NEW="+canaryNew, "WRONG="+canaryWrong,
		"SHORT="+first[1:], "LETTER="+first[1:]+"G", "PAIR="+first+":"+first)
	d.must("sim", "delete", "desk", "--yes")
	d.must("sim", "create", "desk", "--applications", "gp", "--secure-channel", channel, "--memory", "9000", "--card-keys", "env:OLD")
	large, err := capFile{pkg: "F000000003", applets: []string{"F00000000301"}, code: 9500}.bytes()
	if err != nil {
		t.Fatal(err)
	}
	d.write("large.cap", string(large))
	keys := strings.Split(canaryOld, ":")
	wrong, _, _ := strings.Cut(canaryWrong, ":")
	for name, text := range canaryScripts {
		name = strings.ReplaceAll(name, " ", "-") + ".gpsh"
		d.write(name, strings.NewReplacer("$ENC", keys[0], "$MAC", keys[1], "$DEK", keys[2], "$WRONG", wrong).Replace(text))
	}
	for _, set := range []string{canaryOld, canaryNew, canaryWrong} {
		d.expect(set)
	}
	d.expect(wrong + ":" + wrong + ":" + wrong)
	return d
}

func (d *canaryDesk) write(name, content string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.state, name), []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *canaryDesk) forget(name string) {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.state, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.t.Fatal(err)
	}
}

// expect adds keys that must not be seen.
func (d *canaryDesk) expect(text string) {
	d.t.Helper()
	var set [3][]byte
	for i, key := range strings.Split(strings.TrimSpace(text), ":") {
		var err error
		if set[i], err = hex.DecodeString(key); err != nil {
			d.t.Fatal(err)
		}
	}
	d.sets = append(d.sets, set)
}

// check runs a command and looks for keys in all that it leaves.
func (d *canaryDesk) check(line string, faults ...cardsim.Fault) {
	d.t.Helper()
	trace := filepath.Join(d.state, "trace")
	d.forget("trace")
	args := d.words(strings.NewReplacer("$OLD", canaryOld, "$NEW", canaryNew).Replace(line))
	r := d.run(context.Background(), append(args[1:], "-v", "--trace", trace), faults...)
	if want := args[0]; want == "+" && r.exit != 0 || want == "-" && r.exit == 0 {
		d.t.Fatalf("%s: exit status %d\n%s", line, r.exit, r.stderr)
	}
	if generated, err := os.ReadFile(filepath.Join(d.state, "g.keys")); err == nil {
		d.expect(string(generated))
	}
	keys := d.sessionKeys(trace)
	for _, set := range d.sets {
		keys = append(keys, set[:]...)
	}
	for where, content := range d.leftBy(r) {
		upper := bytes.ToUpper(content)
		for _, key := range keys {
			for half := range slices.Chunk(key, 8) {
				if bytes.Contains(content, half) || bytes.Contains(upper, fmt.Appendf(nil, "%X", half)) {
					d.t.Errorf("%s: a key is in %s", line, where)
				}
			}
		}
	}
}

// sessionKeys are the keys of the sessions that a trace begins, had they been
// opened with any of the keys.
func (d *canaryDesk) sessionKeys(trace string) [][]byte {
	d.t.Helper()
	f, err := os.Open(trace)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	var keys [][]byte
	var host, answer []byte
	for lines := bufio.NewScanner(f); lines.Scan(); {
		direction, text, _ := strings.Cut(lines.Text(), " ")
		apdu, _ := hex.DecodeString(text)
		if direction == ">" {
			switch {
			case len(apdu) > 12 && apdu[1] == 0x50:
				host, answer = apdu[5:13], nil
			case len(apdu) > 12 && apdu[1] == 0x82 && answer != nil:
				for _, set := range d.sets {
					if bytes.Equal(hostCryptogram(answer, host, derive(answer, host, set)), apdu[5:13]) {
						d.proved++
						break
					}
				}
			}
			continue
		}
		if host == nil || answer != nil || len(apdu) < 30 {
			continue
		}
		answer = apdu[:len(apdu)-2]
		for _, set := range d.sets {
			keys = append(keys, derive(answer, host, set)...)
		}
	}
	return keys
}

// derive makes the session keys ENC, MAC and DEK from an answer to INITIALIZE
// UPDATE, as GlobalPlatform 2.3.1 has it in D.4.1 and E.4.1 and amendment D in
// 6.2.1. It stands here by itself: what is tested must not say what is right.
func derive(answer, host []byte, set [3][]byte) [][]byte {
	var keys [][]byte
	for i, key := range set {
		switch answer[11] {
		case 1:
			card := answer[12:20]
			data := slices.Concat(card[4:], host[:4], card[:4], host[4:])
			des3(key).Encrypt(data, data)
			des3(key).Encrypt(data[8:], data[8:])
			keys = append(keys, data)
		case 2:
			data := make([]byte, 16)
			copy(data, []byte{1, []byte{0x82, 0x01, 0x81}[i]})
			copy(data[2:], answer[12:14])
			cipher.NewCBCEncrypter(des3(key), make([]byte, 8)).CryptBlocks(data, data)
			keys = append(keys, data)
		case 3:
			data := make([]byte, 16)
			data[11], data[14], data[15] = []byte{4, 6, 7}[i], 128, 1
			if i == 2 {
				key = set[1] // R-MAC; there is no DEK of a session
			}
			keys = append(keys, cmacOfTwo(key, slices.Concat(data, host, answer[13:21])))
		}
	}
	return keys
}

// hostCryptogram is what EXTERNAL AUTHENTICATE begins with.
func hostCryptogram(answer, host []byte, keys [][]byte) []byte {
	if answer[11] == 3 {
		data := make([]byte, 16)
		data[11], data[14], data[15] = 1, 64, 1
		return cmacOfTwo(keys[1], slices.Concat(data, host, answer[13:21]))[:8]
	}
	data := slices.Concat(answer[12:20], host, []byte{0x80, 0, 0, 0, 0, 0, 0, 0})
	cipher.NewCBCEncrypter(des3(keys[0]), make([]byte, 8)).CryptBlocks(data, data)
	return data[16:]
}

func des3(key []byte) cipher.Block {
	block, err := des.NewTripleDESCipher(slices.Concat(key, key[:8]))
	if err != nil {
		panic(err)
	}
	return block
}

// cmacOfTwo is the AES-CMAC of two whole blocks.
func cmacOfTwo(key, data []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	sub := make([]byte, 16)
	block.Encrypt(sub, sub)
	carry := sub[0] >> 7
	for i := range 15 {
		sub[i] = sub[i]<<1 | sub[i+1]>>7
	}
	sub[15] = sub[15]<<1 ^ carry*0x87
	subtle.XORBytes(data[16:], data[16:], sub)
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(data, data)
	return data[16:]
}
