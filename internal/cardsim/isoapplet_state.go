package cardsim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// isoAppletState is what survives power loss.
type isoAppletState struct {
	LifeCycle lifeCycle     `json:"lifeCycle"`
	PIN       referenceData `json:"pin"`
	PUK       referenceData `json:"puk"`

	MF   *isoFile              `json:"mf"`
	Keys [isoAppletKeys]isoKey `json:"keys"`
}

// isoAppletKeys is the number of private keys; their references are 0 to 15.
const isoAppletKeys = 16

// isoKey is one private key. What it is for stands in files, which the applet
// does not understand.
type isoKey struct {
	PKCS8 []byte `json:"pkcs8,omitempty"`

	private crypto.Signer // PKCS8 parsed; nil where there is none
}

func (k *isoKey) load() error {
	k.private = nil
	if len(k.PKCS8) == 0 {
		return nil
	}
	private, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
	if err != nil {
		return err
	}
	switch private := private.(type) {
	case *rsa.PrivateKey:
		if private.N.BitLen() == isoAppletModulus {
			k.private = private
		}
	case *ecdsa.PrivateKey:
		if _, ok := curveOf(private); ok {
			k.private = private
		}
	}
	if k.private == nil {
		return errors.New("a key of a kind the applet does not have")
	}
	return nil
}

// check refuses a state that the commands could not work on.
func (s *isoAppletState) check() error {
	switch s.LifeCycle {
	case lifeCycleCreation, lifeCycleInitialisation, lifeCycleOperational:
	default:
		return fmt.Errorf("life cycle %d", s.LifeCycle)
	}
	if s.PIN.Tries < 0 || s.PIN.Tries > pinTries || s.PUK.Tries < 0 || s.PUK.Tries > pukTries {
		return errors.New("reference data out of range")
	}
	if s.LifeCycle == lifeCycleOperational && s.PIN.Length == 0 {
		return errors.New("operational without a PIN")
	}
	if s.MF == nil || s.MF.ID != masterFileID {
		return errors.New("no master file")
	}
	if err := s.MF.check(nil); err != nil {
		return err
	}
	for i := range s.Keys {
		if err := s.Keys[i].load(); err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
	}
	return nil
}

// draw returns random bytes.
func (a *isoApplet) draw(n int) ([]byte, iso7816.Status) {
	b := make([]byte, n)
	if _, err := io.ReadFull(a.random, b); err != nil {
		return nil, iso7816.StatusMemoryFailure
	}
	return b, iso7816.StatusOK
}
