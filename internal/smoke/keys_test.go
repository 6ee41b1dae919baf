//go:build cgo

package smoke_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/smoke"
	"github.com/cardctl/cardctl/test/softhsm"
)

// Keys on one token share a login; a PIN that was wrong is not sent again.
func TestSeveralKeys(t *testing.T) {
	one, two := softhsm.New(t, "one"), softhsm.New(t, "two")
	for id := range byte(3) {
		one.Generate(t, "EC:prime256v1", id+1, fmt.Sprint("key", id+1))
	}
	two.Generate(t, "EC:prime256v1", 1, "key1")
	key := func(token softhsm.Token, id string) smoke.Options { return options(t, token, id) }
	tests := []struct {
		name   string
		keys   []smoke.Options
		pin    string
		passed []bool
		asked  int
		code   problem.Code
	}{
		{"one token", []smoke.Options{key(one, "%01"), key(one, "%02"), key(one, "%03")}, one.PIN, []bool{true, true, true}, 1, ""},
		{"two tokens", []smoke.Options{key(one, "%01"), key(two, "%01"), key(one, "%02")}, one.PIN, []bool{true, true, true}, 2, ""},
		{"one that is not there", []smoke.Options{key(one, "%09"), key(one, "%01")}, one.PIN, []bool{false, true}, 1, problem.NotFound},
		{"the wrong PIN", []smoke.Options{key(one, "%01"), key(two, "%01")}, "000000", []bool{false, false}, 1, problem.PINIncorrect},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			asked := 0
			for i := range test.keys {
				test.keys[i].Policy = policy(func(context.Context, secret.Request) (*secret.Bytes, error) {
					asked++
					return secret.New([]byte(test.pin)), nil
				})
			}
			reports, err := smoke.RunAll(t.Context(), test.keys)
			if test.code == "" && err != nil || test.code != "" && !problem.Is(err, test.code) {
				t.Errorf("got %v", err)
			}
			var passed []bool
			for i, r := range reports {
				passed = append(passed, r.Passed)
				if r.Key != test.keys[i].Key {
					t.Errorf("report %d is of %s", i, r.Key)
				}
			}
			if !slices.Equal(passed, test.passed) {
				t.Errorf("passed %v\n%+v", passed, reports)
			}
			if asked != test.asked {
				t.Errorf("the PIN was asked for %d times", asked)
			}
		})
	}
	// The tokens are logged out: a new login is not one too many.
	m, err := p11.NewModules().Load(t.Context(), one.Module, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	s, err := m.Find(t.Context(), p11.Wanted{URI: key(one, "%01").URI})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	wrong := secret.New([]byte("000000"))
	defer wrong.Wipe()
	if err := s.LoginWith(t.Context(), p11.User, wrong); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("somebody is logged in: %v", err)
	}
}
