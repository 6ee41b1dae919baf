package pbe

import (
	"encoding/hex"
	"testing"
)

// TestRC2 has the vectors of RFC 2268, 5.
func TestRC2(t *testing.T) {
	for _, v := range []struct {
		bits               int
		key, plain, cipher string
	}{
		{63, "0000000000000000", "0000000000000000", "ebb773f993278eff"},
		{64, "ffffffffffffffff", "ffffffffffffffff", "278b27e42e2f0d49"},
		{64, "3000000000000000", "1000000000000001", "30649edf9be7d2c2"},
		{64, "88", "0000000000000000", "61a8a244adacccf0"},
		{64, "88bca90e90875a", "0000000000000000", "6ccf4308974c267f"},
		{64, "88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "1a807d272bbe5db1"},
		{128, "88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "2269552ab0f85ca6"},
		{129, "88bca90e90875a7f0f79c384627bafb216f80a6f85920584c42fceb0be255daf1e", "0000000000000000", "5b78d3a43dfff1f1"},
	} {
		key, err := hex.DecodeString(v.key)
		if err != nil {
			t.Fatal(err)
		}
		block, err := hex.DecodeString(v.plain)
		if err != nil {
			t.Fatal(err)
		}
		c := expandRC2(key, v.bits)
		c.Encrypt(block, block)
		if got := hex.EncodeToString(block); got != v.cipher {
			t.Errorf("%s encrypts to %s, want %s", v.key, got, v.cipher)
		}
		c.Decrypt(block, block)
		if got := hex.EncodeToString(block); got != v.plain {
			t.Errorf("%s decrypts to %s, want %s", v.key, got, v.plain)
		}
	}
}
