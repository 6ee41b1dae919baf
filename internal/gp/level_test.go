package gp

import "testing"

func TestParseLevel(t *testing.T) {
	for text, want := range map[string]Level{
		"": LevelNone, "c-mac": LevelMAC, "C-Decryption": LevelEncryption, "r-mac": LevelRMAC, "c-mac, r-mac": LevelRMAC,
		"c-decryption,r-mac": LevelEncryptedRMAC, "r-encryption": LevelFull,
	} {
		if got, err := ParseLevel(text); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"mac", "3", "c-mac,", ",", "c-mac;r-mac"} {
		if got, err := ParseLevel(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}
