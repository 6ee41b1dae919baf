package setup

import (
	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
)

func importCertificate(ref string) advice.Advice {
	return advice.Do(advice.ImportCertificate, advice.Set(advice.Key, ref)).On("FILE")
}

// useGnuPGCard shows the cards whose keys GnuPG uses.
func useGnuPGCard() advice.Advice {
	return advice.Run("gpg", "--card-status")
}

// printInstead shows what would be written, for a person to write it.
func printInstead() advice.Advice {
	return advice.Repeat(advice.Switch(advice.Print)).Without(advice.Check, advice.Undo)
}

// setUp sets up a program, with these values.
func setUp(target string, values ...advice.Value) advice.Advice {
	return advice.Do(advice.SetUp, values...).On(target)
}

// generateP256 makes a key that every program uses.
func generateP256() advice.Advice {
	return advice.Do(advice.GenerateKey, advice.Fill(advice.Key), advice.Set(advice.Algorithm, string(key.P256)))
}
