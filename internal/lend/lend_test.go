//go:build cgo

package lend_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/softhsm"
)

func TestMain(m *testing.M) { os.Exit(softhsm.Main(m)) }

// lent works with a key of a new token, whose PIN is typed so.
func lent(t *testing.T, typed string, work func(ctx context.Context, token softhsm.Token, k *lend.Key) error) error {
	t.Helper()
	token := softhsm.New(t, "desk")
	token.Generate(t, "EC:prime256v1", 0x45, "vpn")
	access := desk.Access{Ask: func(context.Context, secret.Request) (*secret.Bytes, error) {
		if typed == "" {
			typed = token.PIN
		}
		return secret.New([]byte(typed)), nil
	}}
	none := func(context.Context, key.Key) ([]byte, error) {
		return nil, problem.New(problem.NotFound, "no certificate")
	}
	d := &desk.Desk{Modules: desk.NewModules()}
	return lend.With(t.Context(), d, access, "pkcs11:token=desk;object=vpn", "softhsm2", none, func(ctx context.Context, k *lend.Key) error {
		return work(ctx, token, k)
	})
}

func TestAProgramGetsThePINThatTheTokenAccepted(t *testing.T) {
	given := ""
	err := lent(t, "", func(ctx context.Context, _ softhsm.Token, k *lend.Key) error {
		return k.SendPIN(ctx, func(_ context.Context, value *secret.Bytes) error {
			given = string(value.Reveal())
			return nil
		})
	})
	if err != nil || given == "" {
		t.Errorf("given %q, %v", given, err)
	}
}

// TestAWrongPINGoesToNoProgram: a program might send it again and again.
func TestAWrongPINGoesToNoProgram(t *testing.T) {
	err := lent(t, "918273", func(ctx context.Context, _ softhsm.Token, k *lend.Key) error {
		return k.SendPIN(ctx, func(context.Context, *secret.Bytes) error {
			t.Error("the program got the PIN")
			return nil
		})
	})
	if !problem.Is(err, problem.PINIncorrect) {
		t.Error(err)
	}
}

// TestAccepts tries a value that was not typed.
func TestAccepts(t *testing.T) {
	err := lent(t, "typed, and not sent", func(ctx context.Context, token softhsm.Token, k *lend.Key) error {
		if err := k.Accepts(ctx, secret.New([]byte(token.PIN))); err != nil {
			t.Error(err)
		}
		return k.Accepts(ctx, secret.New([]byte("918273")))
	})
	if !problem.Is(err, problem.PINIncorrect) {
		t.Error(err)
	}
}

// TestOnlyOne refuses a program that finds the key on another token too.
func TestOnlyOne(t *testing.T) {
	err := lent(t, "", func(ctx context.Context, _ softhsm.Token, k *lend.Key) error {
		var public crypto.PublicKey
		if err := k.Through(ctx, func(_ *p11.Module, s *p11.Session) error { public = s.Found().Public; return nil }); err != nil {
			return err
		}
		softhsm.New(t, "other").Generate(t, "EC:prime256v1", 0x45, "vpn")
		if err := k.OnlyOne(ctx, public); err != nil {
			t.Errorf("another key on another token: %v", err)
		}
		softhsm.New(t, "copy").WritePublic(t, public, 0x45, "vpn")
		return k.OnlyOne(ctx, public)
	})
	if !problem.Is(err, problem.NotFound) {
		t.Errorf("with a copy of the key: %v", err)
	}
}

// TestAFailureOfTheProgramIsItsOwn is no wrong PIN.
func TestAFailureOfTheProgramIsItsOwn(t *testing.T) {
	failure := errors.New("no such host")
	err := lent(t, "", func(ctx context.Context, _ softhsm.Token, k *lend.Key) error {
		return k.SendPIN(ctx, func(context.Context, *secret.Bytes) error { return failure })
	})
	if !errors.Is(err, failure) || problem.Is(err, problem.PINIncorrect) {
		t.Error(err)
	}
}

// TestKeysThatScuteDoesNotUse are refused before the module is loaded, and those of a token
// before they are used.
func TestKeysThatScuteDoesNotUse(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	work := func(*p11.Module, *p11.Session) error { t.Error("used"); return nil }
	k := &lend.Key{Module: "scute", Public: &private.PublicKey}
	if err := k.Through(t.Context(), work); !problem.Is(err, problem.NotSupported) {
		t.Errorf("a key of a card: %v", err)
	}
	err = lent(t, "", func(ctx context.Context, token softhsm.Token, k *lend.Key) error {
		k.Module = filepath.Join(t.TempDir(), "scute.so")
		if err := os.Symlink(token.Module, k.Module); err != nil {
			t.Fatal(err)
		}
		return k.Through(ctx, work)
	})
	if !problem.Is(err, problem.NotSupported) {
		t.Errorf("a key of a token: %v", err)
	}
}

// TestAlone refuses a program that might log in to another token.
func TestAlone(t *testing.T) {
	err := lent(t, "", func(ctx context.Context, _ softhsm.Token, k *lend.Key) error {
		if err := k.Alone(ctx); err != nil {
			t.Errorf("alone: %v", err)
		}
		softhsm.New(t, "other")
		return k.Alone(ctx)
	})
	if !problem.Is(err, problem.NotFound) {
		t.Errorf("with another token: %v", err)
	}
}

// TestNames of a key on a token. One that OpenSC shows without being told a driver needs
// none.
func TestNames(t *testing.T) {
	err := lent(t, "", func(ctx context.Context, token softhsm.Token, k *lend.Key) error {
		if needs, err := k.NeedsDriver(ctx); needs || err != nil {
			t.Errorf("no driver: %v, %v", needs, err)
		}
		var public crypto.PublicKey
		err := k.Through(ctx, func(m *p11.Module, s *p11.Session) error {
			public = s.Found().Public
			known, err := k.KnownAs(ctx, m, public)
			if known.Handle != "45" {
				t.Errorf("%+v", known)
			}
			return err
		})
		if err != nil {
			return err
		}
		k.Holder.Driver = "other" // which the module does not look at
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		for _, test := range []struct {
			public crypto.PublicKey
			serial string
			needs  bool
		}{{public, "", false}, {public, "of another card", true}, {other.Public(), "", true}} {
			k.Public, k.Holder.Serial = test.public, test.serial
			if needs, err := k.NeedsDriver(ctx); needs != test.needs || err != nil {
				t.Errorf("%+v: %v, %v", test, needs, err)
			}
		}
		k.Module = "no-such-module"
		_, err = k.NeedsDriver(ctx)
		return err
	})
	if !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
}
