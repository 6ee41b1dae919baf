package cardfault

import (
	"crypto"
	"crypto/ecdh"
	"crypto/rand"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// Peer is the point of a new key on P-256, and the secret that it shares with another key.
func Peer(public crypto.PublicKey) (point, shared []byte, err error) {
	own, err := pubkey.Agreement(public)
	if err != nil {
		return nil, nil, err
	}
	peer, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	shared, err = peer.ECDH(own)
	return peer.PublicKey().Bytes(), shared, err
}
