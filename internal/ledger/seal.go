package ledger

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"filippo.io/age/plugin"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// UI is how a plugin of age talks to a person. Without it a plugin that asks fails.
type UI struct {
	// Show shows a line.
	Show func(line string)
	// Ask asks for a value, hidden or not.
	Ask func(prompt string, hidden bool) (*secret.Bytes, error)
}

// errNobody is for a plugin that asks where nobody can be asked.
var errNobody = errors.New("nobody can be asked")

func (u UI) client() *plugin.ClientUI {
	return &plugin.ClientUI{
		DisplayMessage: func(name, message string) error {
			if u.Show != nil {
				u.Show("age-plugin-" + name + ": " + message)
			}
			return nil
		},
		RequestValue: func(_, prompt string, hidden bool) (string, error) {
			if u.Ask == nil {
				return "", errNobody
			}
			value, err := u.Ask(prompt, hidden)
			if err != nil {
				return "", err
			}
			defer value.Wipe()
			return string(value.Reveal()), nil // the library asks for a string
		},
		Confirm: func(_, _, _, _ string) (bool, error) { return false, errNobody },
		WaitTimer: func(name string) {
			if u.Show != nil {
				u.Show("age-plugin-" + name + ": waiting")
			}
		},
	}
}

// Sealers are whom secrets are sealed to. Each of them can open all.
type Sealers struct {
	recipients []age.Recipient
	names      []string
}

// Count is how many they are. With a single one, a key that is lost is the end of all
// secrets.
func (s *Sealers) Count() int { return len(s.recipients) }

// Names are they as they were given.
func (s *Sealers) Names() []string { return s.names }

// Recipients reads recipients of age: public keys, or those of plugins (age1NAME1…). Each
// is tried: one that cannot be sealed to is a problem.Usage.
func Recipients(list []string, ui UI) (*Sealers, error) {
	if len(list) == 0 {
		return nil, problem.New(problem.Usage, "there is no recipient to seal secrets to")
	}
	s := &Sealers{}
	for _, name := range list {
		if slices.Contains(s.names, name) {
			continue // one key to lose, however often it is named
		}
		s.names = append(s.names, name)
		r, err := recipient(name, ui)
		if err == nil {
			_, err = sealTo([]byte("dummy"), r)
		}
		if err != nil {
			return nil, cannotSeal(name, err)
		}
		s.recipients = append(s.recipients, r)
	}
	if _, err := s.seal(secret.New([]byte("dummy"))); err != nil { // not all kinds go together
		return nil, err
	}
	return s, nil
}

// cannotSeal does not repeat what may be a private key.
func cannotSeal(name string, err error) error {
	if !strings.HasPrefix(name, "age1") {
		return problem.New(problem.Usage, "not a recipient of age").Because("A recipient begins with age1.")
	}
	return problem.Wrap(problem.Usage, err, "cannot seal to "+name)
}

func recipient(name string, ui UI) (age.Recipient, error) {
	switch {
	case strings.HasPrefix(name, "age1pq1"):
		return age.ParseHybridRecipient(name)
	case strings.Count(name, "1") > 1 && strings.HasPrefix(name, "age1"):
		return plugin.NewRecipient(name, ui.client())
	}
	return age.ParseX25519Recipient(name)
}

func (s *Sealers) seal(value *secret.Bytes) ([]byte, error) {
	blob, err := sealTo(value.Reveal(), s.recipients...)
	if err != nil {
		return nil, problem.Wrap(problem.Failed, err, "cannot seal a secret")
	}
	return blob, nil
}

func sealTo(value []byte, to ...age.Recipient) ([]byte, error) {
	var text bytes.Buffer
	wrapped := armor.NewWriter(&text)
	w, err := age.Encrypt(wrapped, to...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(value); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), wrapped.Close()); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// Identities reads the private keys of a file of age, those of plugins too.
func Identities(content *secret.Bytes, ui UI) ([]age.Identity, error) {
	var all []age.Identity
	for line := range strings.Lines(string(content.Reveal())) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i, err := identity(line, ui)
		if err != nil {
			return nil, problem.New(problem.Usage, "not an identity of age").
				Because("A line of the file begins with AGE-SECRET-KEY-1, AGE-SECRET-KEY-PQ-1 or AGE-PLUGIN-.")
		}
		all = append(all, i)
	}
	if len(all) == 0 {
		return nil, problem.New(problem.Usage, "the file has no identity of age")
	}
	return all, nil
}

func identity(line string, ui UI) (age.Identity, error) {
	switch {
	case strings.HasPrefix(line, "AGE-PLUGIN-"):
		return plugin.NewIdentity(line, ui.client())
	case strings.HasPrefix(line, "AGE-SECRET-KEY-PQ-1"):
		return age.ParseHybridIdentity(line)
	}
	return age.ParseX25519Identity(line)
}

// Unseal opens a sealed secret. If none of the identities is one of its recipients, that is
// a problem.Mismatch.
func Unseal(ctx context.Context, blob []byte, identities ...age.Identity) (*secret.Bytes, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(identities) == 0 {
		return nil, problem.New(problem.Usage, "a sealed secret needs an identity")
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(blob)), identities...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, problem.New(problem.Mismatch, "the secret is not sealed to this identity")
	case err != nil:
		return nil, problem.Wrap(problem.Failed, err, "cannot open a sealed secret")
	}
	value, err := io.ReadAll(io.LimitReader(r, secret.MaxLength+1))
	if err != nil || len(value) > secret.MaxLength {
		secret.Wipe(value)
		return nil, problem.Wrap(problem.Mismatch, err, "the sealed secret is damaged")
	}
	return secret.New(value), nil
}
