package iso7816

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func TestEncodeAndParse(t *testing.T) {
	data := bytes.Repeat([]byte{0xAB}, 300)
	for name, test := range map[string]struct {
		cmd      Command
		extended bool
		want     string
	}{
		"case 1":                 {Command{INS: 0xE6}, false, "00E60000"},
		"case 2 short":           {Command{INS: 0xCA, P2: 0x6E, Ne: 256}, false, "00CA006E00"},
		"case 2 short of one":    {Command{INS: 0xCA, P2: 0x6E, Ne: 1}, false, "00CA006E01"},
		"case 2 extended":        {Command{INS: 0xCA, P2: 0x6E, Ne: 65536}, true, "00CA006E000000"},
		"case 2 extended of 257": {Command{INS: 0xCA, P2: 0x6E, Ne: 257}, false, "00CA006E000101"},
		"case 3 short":           {Command{INS: 0x20, P2: 0x82, Data: []byte{1, 2}}, false, "00200082020102"},
		"case 3 extended":        {Command{INS: 0xDA, Data: []byte{1}}, true, "00DA000000000101"},
		"case 4 short":           {Command{INS: 0xA4, P1: 4, Data: []byte{0xD2}, Ne: 256}, false, "00A4040001D200"},
		"case 4 extended":        {Command{INS: 0x88, Data: []byte{7}, Ne: 65536}, true, "008800000000010700" + "00"},
		"forced by its data":     {Command{INS: 0xDA, Data: data}, false, "00DA000000012C" + hex.EncodeToString(data)},
	} {
		t.Run(name, func(t *testing.T) {
			apdu, err := test.cmd.Encode(test.extended)
			want, _ := hex.DecodeString(test.want)
			if err != nil || !bytes.Equal(apdu, want) {
				t.Fatalf("Encode = %X, %v, want %X", apdu, err, want)
			}
			back, _, err := ParseCommand(apdu)
			if err != nil || back.INS != test.cmd.INS || back.Ne != test.cmd.Ne || !bytes.Equal(back.Data, test.cmd.Data) {
				t.Fatalf("ParseCommand(%X) = %+v, %v", apdu, back, err)
			}
		})
	}
}

func TestEncodeRefusesWhatNoAPDUCarries(t *testing.T) {
	for _, cmd := range []Command{
		{Data: make([]byte, MaxExtendedData+1)}, {Ne: MaxExtendedNe + 1}, {Ne: -1},
	} {
		if _, err := cmd.Encode(true); !errors.Is(err, ErrEncoding) {
			t.Errorf("%d bytes, Ne %d: %v", len(cmd.Data), cmd.Ne, err)
		}
	}
}

func TestParseCommandRefuses(t *testing.T) {
	for _, s := range []string{"", "00A404", "00A4040002D2", "00A4040001D20000", "00A404000000", "00DA00000000020100000000", "00DA0000000000" + "01"} {
		apdu, _ := hex.DecodeString(s)
		if c, _, err := ParseCommand(apdu); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s = %+v, %v", s, c, err)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte{0, 0xA4, 4, 0, 1, 0xD2, 0})
	f.Add([]byte{0, 0x88, 0, 0, 0, 0, 1, 7, 0, 0})
	f.Fuzz(func(t *testing.T, apdu []byte) {
		c, extended, err := ParseCommand(apdu)
		if err != nil {
			return
		}
		again, err := c.Encode(extended)
		if err != nil || !bytes.Equal(again, apdu) {
			t.Fatalf("%X became %X, %v", apdu, again, err)
		}
	})
}
