package gp

import (
	"encoding/hex"
	"errors"
	"testing"
)

func seed(f *testing.F, texts ...string) {
	for _, text := range texts {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

func FuzzParseInitializeUpdate(f *testing.F) {
	seed(f, "000074746E6E6E6262620102069FAA2A0591E73367DD78794D04315E", "00000000000000000000300370C40932A6FEFEAEB2E127185170F45FCA000015")
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := ParseInitializeUpdate(b)
		if err == nil && (len(u.Challenge) != len(u.Cryptogram) || len(u.Challenge) < 8) {
			t.Errorf("%+v", u)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	seed(f, "E31D4F08A0000001510000009F700101C5039EFE80CC08A000000151000000", "E3254F07A00000015153509F700101CE0201008408A000000151535041CC08A000000151000000")
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, kind := range []Kind{IssuerDomain, Application, LoadFile, LoadFileWithModules} {
			entries, err := ParseStatus(kind, b)
			if err != nil && !errors.Is(err, ErrIncomplete) {
				t.Error(err)
			}
			for _, e := range entries {
				if len(e.AID) == 0 || e.State() == "" {
					t.Errorf("%+v", e)
				}
			}
		}
	})
}

func FuzzParseOldStatus(f *testing.F) {
	seed(f, "05A00000000101000206A0000000010106A00000000102", "05A0000000020100")
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, kind := range []Kind{IssuerDomain, Application, LoadFile, LoadFileWithModules} {
			entries, err := ParseOldStatus(kind, b)
			if err != nil && !errors.Is(err, ErrIncomplete) || len(entries)*4 > len(b) {
				t.Errorf("%d entries in %d bytes", len(entries), len(b))
			}
		}
	})
}

func FuzzParseKeyInformation(f *testing.F) {
	seed(f, "E020C00401018820C00402018820C00403018820C0060170A180A003C00401718010", "E00CC00A0120FF80001001000100")
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := ParseKeyInformation(b)
		if err == nil && len(keys)*4 > len(b) {
			t.Errorf("%d keys in %d bytes", len(keys), len(b))
		}
	})
}
