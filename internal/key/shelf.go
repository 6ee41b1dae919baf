package key

import "context"

// Shelf is a key that may have several certificates, some of them where programs do
// not look for them: of a token, objects with an ID of their own.
type Shelf interface {
	Key

	// Shelved are all certificates for the key and those that programs take for its
	// own. DeleteCertificate removes the first. It may take a call each.
	Shelved(ctx context.Context) ([]Shelved, error)

	// Complete makes whole what is there already: the certificate gets the name by
	// which programs find it, and issuers are added, whose number is returned. It
	// changes nothing, and needs no PIN, where nothing is missing.
	Complete(ctx context.Context, leaf []byte, chain [][]byte) (issuers int, err error)

	// Mended tells what of names was put right, in sentences.
	Mended() []string
}

// Shelved is a certificate, in DER as it is on the token. Astray is why programs do
// not find it by the key, empty where they do.
type Shelved struct {
	DER    []byte
	Astray string
}
