package setup

import (
	"crypto/rsa"

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

// withGnuPG is a way to use a key in GnuPG that its own card daemon does not use.
func withGnuPG(on *subject) advice.Advice {
	if _, is := on.public.(*rsa.PublicKey); is && on.certificate != nil {
		return setUp(pkcs11Daemon, advice.Set(advice.Key, on.Ref))
	}
	return useGnuPGCard()
}

// printInstead shows what would be written, for a person to write it.
func printInstead() advice.Advice {
	return advice.Repeat(advice.Switch(advice.Print)).Without(advice.Check, advice.Undo)
}

// setUp sets up a program, with these values.
func setUp(target string, values ...advice.Value) advice.Advice {
	return advice.Do(advice.SetUp, values...).On(target)
}

// generateRSA makes a key for the older ways to a card.
func generateRSA() advice.Advice {
	return advice.Do(advice.GenerateKey, advice.Fill(advice.Key), advice.Set(advice.Algorithm, string(key.RSA2048)))
}

// generateP256 makes a key that every program uses.
func generateP256() advice.Advice {
	return advice.Do(advice.GenerateKey, advice.Fill(advice.Key), advice.Set(advice.Algorithm, string(key.P256)))
}
