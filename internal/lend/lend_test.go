//go:build cgo

package lend_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/lend"
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
