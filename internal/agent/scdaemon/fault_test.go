package scdaemon_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/scdaemon"
	"github.com/cardctl/cardctl/test/cardfault"
)

// Error codes of libgpg-error that a program gets for a card with which something is wrong.
const (
	noPublicKey    = 9
	cardError      = 108
	cardRemoved    = 110
	cardNotPresent = 112
)

var errNoKey = errors.New("another key")

func codeError(code int) error { return fmt.Errorf("ERR %d", 6<<24|code) }

// tries is data of a command that may fail.
func (c *client) tries(command string) ([]byte, error) {
	c.t.Helper()
	lines := c.ask(command)
	if last := lines[len(lines)-1]; strings.HasPrefix(last, "ERR ") {
		return nil, errors.New(strings.Join(strings.Fields(last)[:2], " "))
	}
	return unescaped(c.t, lines), nil
}

// faultOperation begins a program as gpg-agent begins: it selects a card, learns its keys, and
// reads the one that it uses.
func faultOperation(ref string, use func(c *client, serial, ref string, public crypto.PublicKey) error) func(*testing.T, agent.Tokens, any) (func() error, error) {
	return func(t *testing.T, tokens agent.Tokens, public any) (func() error, error) {
		c := connect(t, tokens, scdaemon.Options{})
		if _, err := c.tries("SERIALNO"); err != nil {
			return nil, err
		}
		if _, err := c.tries("LEARN --force"); err != nil {
			return nil, err
		}
		read, err := c.tries("READKEY " + ref)
		if err != nil {
			return nil, err
		}
		if !bytes.Contains(read, numberOf(public)) {
			return nil, errNoKey
		}
		number, err := c.serial()
		return func() error { return use(c, number, ref, public) }, err
	}
}

// numberOf is what a public key has of itself in every form.
func numberOf(public crypto.PublicKey) []byte {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return public.N.Bytes()
	case *ecdsa.PublicKey:
		point, _ := public.Bytes()
		return point
	}
	return nil
}

// serial is that of the selected card.
func (c *client) serial() (string, error) {
	lines := c.ask("GETATTR SERIALNO")
	number, ok := strings.CutPrefix(lines[0], "S SERIALNO ")
	if !ok {
		return "", errors.New(strings.Join(strings.Fields(lines[0])[:2], " "))
	}
	return number, nil
}

func signsDigest(command string) func(c *client, serial, ref string, public crypto.PublicKey) error {
	return func(c *client, _, ref string, public crypto.PublicKey) error {
		digest := bytes.Repeat([]byte{0x5A}, 32)
		if _, err := c.tries(fmt.Sprintf("SETDATA %X", digest)); err != nil {
			return err
		}
		signature, err := c.tries(command + " " + ref)
		if err != nil {
			return err
		}
		if len(signature) != 64 || !ecdsa.Verify(public.(*ecdsa.PublicKey), digest, new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			return errors.New("a wrong signature")
		}
		return nil
	}
}

// checksPIN asks for the PIN of the card that was selected.
func checksPIN(c *client, serial, _ string, _ crypto.PublicKey) error {
	_, err := c.tries("CHECKPIN " + serial)
	return err
}

func decryptsRSA(c *client, _, ref string, public crypto.PublicKey) error {
	//lint:ignore SA1019 GnuPG uses this padding
	ciphertext, err := rsa.EncryptPKCS1v15(rand.Reader, public.(*rsa.PublicKey), []byte("a secret"))
	if err != nil {
		return err
	}
	if _, err := c.tries(fmt.Sprintf("SETDATA %X", ciphertext)); err != nil {
		return err
	}
	plain, err := c.tries("PKDECRYPT " + ref)
	if err == nil && string(plain) != "a secret" {
		err = fmt.Errorf("decrypted to %q", plain)
	}
	return err
}

func derives(c *client, _, ref string, public crypto.PublicKey) error {
	point, want, err := cardfault.Peer(public)
	if err != nil {
		return err
	}
	if _, err := c.tries(fmt.Sprintf("SETDATA %X", point)); err != nil {
		return err
	}
	shared, err := c.tries("PKDECRYPT " + ref)
	if err == nil && !bytes.Equal(shared[1:], want) {
		err = errors.New("another secret")
	}
	return err
}

// Whatever happens to the card, GnuPG gets an error code that it knows.
func TestCardFaults(t *testing.T) {
	gone := []string{errNoKey.Error()}
	for _, code := range []int{noPublicKey, cardRemoved, cardNotPresent} {
		gone = append(gone, codeError(code).Error())
	}
	cardfault.Judge(t, cardfault.Door{
		Gone: gone, Reset: append([]string{codeError(cardError).Error()}, gone...),
		Operations: []cardfault.Operation{
			{Name: "authenticate", Kind: cardfault.OpenPGP, Ref: "OPENPGP.3", Open: faultOperation("OPENPGP.3", signsDigest("PKAUTH")), Cold: true},
			{Name: "sign", Kind: cardfault.OpenPGP, Ref: "OPENPGP.1", Open: faultOperation("OPENPGP.1", signsDigest("PKSIGN --hash=sha256"))},
			{Name: "sign with PIV", Kind: cardfault.PIV, Ref: "PIV.9A", Open: faultOperation("PIV.9A", signsDigest("PKSIGN --hash=sha256"))},
			{Name: "check the PIN", Kind: cardfault.OpenPGP, Ref: "OPENPGP.3", Open: faultOperation("OPENPGP.3", checksPIN)},
			{Name: "decrypt", Kind: cardfault.OpenPGPRSA, Ref: "OPENPGP.2", Open: faultOperation("OPENPGP.2", decryptsRSA)},
			{Name: "derive", Kind: cardfault.OpenPGP, Ref: "OPENPGP.2", Open: faultOperation("OPENPGP.2", derives)},
		},
	})
}
