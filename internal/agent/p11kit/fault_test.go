package p11kit

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/test/cardfault"
)

var errNoKey = errors.New("the key is not found")

// failed is the error of a call.
func failed(code rv) error {
	if code == ckrOK {
		return nil
	}
	return fmt.Errorf("0x%X", uint64(code))
}

// atKey begins a program, which finds the private key with this public half in one of the
// tokens.
func atKey(p *program, public crypto.PublicKey) (session, key uint64, err error) {
	list, code := p.call("C_GetSlotList", byte(1), room(10))
	if code != ckrOK {
		return 0, 0, failed(code)
	}
	slots := list.list()
	if len(slots) == 0 {
		return 0, 0, failed(ckrTokenNotPresent)
	}
	for _, slot := range slots {
		if session, key, err = keyIn(p, slot, public); !errors.Is(err, errNoKey) {
			break
		}
	}
	return session, key, err
}

// keyIn is that of the token in a slot.
func keyIn(p *program, slot uint64, public crypto.PublicKey) (session, key uint64, err error) {
	opened, code := p.call("C_OpenSession", slot, ckfSerialSession)
	if code != ckrOK {
		return 0, 0, failed(code)
	}
	session = opened.ulong()
	info, err := pubkey.Marshal(public)
	if err != nil {
		return 0, 0, err
	}
	if _, code := p.call("C_FindObjectsInit", session, []attribute{number(ckaClass, ckoPrivateKey), {ckaPublicKeyInfo, info}}); code != ckrOK {
		return 0, 0, failed(code)
	}
	found, code := p.call("C_FindObjects", session, room(10))
	if code != ckrOK {
		return 0, 0, failed(code)
	}
	keys := found.list()
	if _, code := p.call("C_FindObjectsFinal", session); code != ckrOK {
		return 0, 0, failed(code)
	}
	if len(keys) != 1 {
		return 0, 0, errNoKey
	}
	return session, keys[0], nil
}

// faultOperations are what programs do with a card, all of an agent by the same door.
func faultOperations() []cardfault.Operation {
	var doors sync.Map // Cards of agent.Tokens
	opens := func(use func(p *program, session, key uint64, public crypto.PublicKey) error) func(*testing.T, agent.Tokens, any) (func() error, error) {
		return func(t *testing.T, tokens agent.Tokens, public any) (func() error, error) {
			door, _ := doors.LoadOrStore(tokens, NewCards(tokens, Options{}))
			p := start(t, door.(*Cards))
			session, key, err := atKey(p, public)
			return func() error { return use(p, session, key, public) }, err
		}
	}
	return []cardfault.Operation{
		{Name: "sign", Kind: cardfault.OpenPGP, Ref: "OPENPGP.3", Open: opens(signOnce), Cold: true},
		{Name: "sign with the key for signatures", Kind: cardfault.OpenPGP, Ref: "OPENPGP.1", Open: opens(signOnce)},
		{Name: "sign with PIV", Kind: cardfault.PIV, Ref: "PIV.9A", Open: opens(signOnce)},
		{Name: "log in", Kind: cardfault.OpenPGP, Ref: "OPENPGP.3", Open: opens(loginOnce)},
		{Name: "decrypt", Kind: cardfault.OpenPGPRSA, Ref: "OPENPGP.2", Open: opens(decryptOnce)},
		{Name: "derive", Kind: cardfault.OpenPGP, Ref: "OPENPGP.2", Open: opens(deriveOnce)},
	}
}

func signOnce(p *program, session, key uint64, public crypto.PublicKey) error {
	if _, code := p.call("C_SignInit", session, mechanism{kind: ckmECDSA}, key); code != ckrOK {
		return failed(code)
	}
	digest := bytes.Repeat([]byte{0x5A}, 32)
	r, code := p.call("C_Sign", session, digest, room(64))
	if code != ckrOK {
		return failed(code)
	}
	signature, _ := r.output()
	if !ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), digest, scheme{half: 32}.decode(signature)) {
		return errors.New("a wrong signature")
	}
	return nil
}

// loginOnce logs in, which asks for the PIN of the card, and out.
func loginOnce(p *program, session, _ uint64, _ crypto.PublicKey) error {
	if _, code := p.call("C_Login", session, ckuUser, none{}); code != ckrOK {
		return failed(code)
	}
	_, code := p.call("C_Logout", session)
	return failed(code)
}

func decryptOnce(p *program, session, key uint64, public crypto.PublicKey) error {
	//lint:ignore SA1019 programs choose this padding
	ciphertext, err := rsa.EncryptPKCS1v15(rand.Reader, public.(*rsa.PublicKey), message)
	if err != nil {
		return err
	}
	if _, code := p.call("C_DecryptInit", session, mechanism{kind: ckmRSAPKCS}, key); code != ckrOK {
		return failed(code)
	}
	r, code := p.call("C_Decrypt", session, ciphertext, room(256))
	if code != ckrOK {
		return failed(code)
	}
	if plain, _ := r.output(); !bytes.Equal(plain, message) {
		return fmt.Errorf("decrypted to %q", plain)
	}
	return nil
}

func deriveOnce(p *program, session, key uint64, public crypto.PublicKey) error {
	point, want, err := cardfault.Peer(public)
	if err != nil {
		return err
	}
	m := mechanism{kind: ckmECDH1Derive, kdf: ckdNull, public: point}
	r, code := p.call("C_DeriveKey", session, m, key, []attribute{number(ckaClass, ckoSecretKey), number(ckaKeyType, ckkGenericSecret)})
	if code != ckrOK {
		return failed(code)
	}
	secret := r.ulong()
	r, code = p.call("C_GetAttributeValue", session, secret, []wanted{{ckaValue, 32}})
	if code != ckrOK {
		return failed(code)
	}
	if !bytes.Contains(r.data, want) {
		return errors.New("another secret")
	}
	return nil
}

// Whatever happens to the card, a program gets a value that programs know.
func TestCardFaults(t *testing.T) {
	gone := []string{errNoKey.Error(), failed(ckrDeviceRemoved).Error(), failed(ckrTokenNotPresent).Error()}
	cardfault.Judge(t, cardfault.Door{
		Gone: gone, Reset: append([]string{failed(ckrDeviceError).Error()}, gone...), Operations: faultOperations(),
	})
}
