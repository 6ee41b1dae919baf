//go:build cgo

package token_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/secret"
)

// TestCardsAndTokensAtOnce works on several cards, and on several tokens of one
// module, side by side in one process: nothing of one is seen by another.
func TestCardsAndTokensAtOnce(t *testing.T) {
	const cards, tokens = 3, 3
	k := loadTokens(t, map[secret.Name]string{secret.SOPIN: "87654321", secret.PIN: "first-pin"})
	dir := filepath.Join(t.TempDir(), "sim")
	store := cardsim.NewStore(dir)
	type place struct {
		desk *desk.Desk
		key  string
	}
	var places []place
	for i := range tokens {
		label := fmt.Sprintf("at-once-%d", i)
		removeToken(t, label)
		if _, err := k.initialise(t, "", cardinit.Options{Label: label}); err != nil {
			t.Fatal(err)
		}
		places = append(places, place{k.at("pkcs11:token=" + label), "pkcs11:token=" + label + ";id=%01"})
	}
	for i := range cards {
		name := fmt.Sprintf("card%d", i)
		if err := store.Create(name, cardsim.Options{Serial: fmt.Sprintf("0000000%d", i)}); err != nil {
			t.Fatal(err)
		}
		d := newDesk("")
		d.Modules, d.Meant.Reader = k.desk.Modules, desk.SimulatedPrefix+name
		d.Simulated = &desk.SimulatedStore{Dir: func() (string, error) { return dir, nil }}
		places = append(places, place{d, "OPENPGP.3"})
	}
	var all sync.WaitGroup
	keys := make([]string, len(places))
	for i, p := range places {
		all.Go(func() {
			typed := map[secret.Name]string{secret.PIN: "first-pin", secret.AdminPIN: "12345678"}
			a := desk.Access{
				Ask: func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
					switch {
					case typed[r.Name] == "" && r.Optional:
						return nil, nil
					case typed[r.Name] == "":
						return nil, fmt.Errorf("%s: %w", r.Label, secret.ErrMissing)
					}
					return secret.New([]byte(typed[r.Name])), nil
				},
				Confirm: func(context.Context, desk.Question) error { return nil },
				Now:     time.Now, Notify: func(string) {},
			}
			err := func() error {
				if p.key == "OPENPGP.3" {
					if _, err := cardinit.Initialise(t.Context(), p.desk, a, cardinit.Options{}); err != nil {
						return fmt.Errorf("init: %w", err)
					}
				}
				if _, err := keygen.Generate(t.Context(), p.desk, a, keygen.Wish{Key: p.key, Algorithm: "p256"}); err != nil {
					return fmt.Errorf("gen-key: %w", err)
				}
				for _, next := range []string{fmt.Sprintf("second-%d", i), fmt.Sprintf("third-%d", i)} {
					typed[secret.NewPIN] = next
					if _, err := cardinit.SetPIN(t.Context(), p.desk, a, "user", nil); err != nil {
						return fmt.Errorf("set-pin: %w", err)
					}
					typed[secret.PIN] = next
					subject, err := csr.ParseName(fmt.Sprintf("CN=place %d", i))
					if err != nil {
						return err
					}
					made, err := csr.Sign(t.Context(), p.desk, a, p.key, csr.Request{Subject: subject}, 0, time.Now())
					if err != nil {
						return fmt.Errorf("gen-csr: %w", err)
					}
					request, err := x509.ParseCertificateRequest(made.DER)
					if err != nil {
						return err
					}
					if err := request.CheckSignature(); err != nil {
						return err
					}
					keys[i] = string(request.RawSubjectPublicKeyInfo)
				}
				return nil
			}()
			if err != nil {
				t.Errorf("%s, %s: %v", p.desk.Meant.Reader, p.key, err)
			}
		})
	}
	all.Wait()
	for i, one := range keys {
		if one == "" || strings.Contains(strings.Join(keys[i+1:], ""), one) {
			t.Errorf("place %d has no key of its own", i)
		}
	}
}
