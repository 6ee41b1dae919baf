package applet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// SetKeysOptions is what SetKeys shall do.
type SetKeysOptions struct {
	Access Access

	// Generate makes random keys. Without it they come from Access.Ask as
	// secret.NewCardKeys, or are the well-known test keys with NewDefault.
	Generate, NewDefault bool

	// Version is the version of the new keys, 1 to 127; 0 keeps the version
	// of the keys that are replaced, and is 1 where those are the card's
	// first ones. Add keeps the old keys too.
	Version byte
	Add     bool

	// File is where the new keys are written before the card gets them, as
	// gp.ParseKeySet reads them, with mode 0600. It must not be there yet.
	File string

	// Confirm asks before the card is changed; nil asks nobody.
	Confirm func(ctx context.Context, question string) error
}

// KeyReport is what SetKeys did.
type KeyReport struct {
	Version byte   `json:"version"`
	Cipher  string `json:"cipher"`
	Bits    int    `json:"bits"`
	File    string `json:"file"`

	// CheckValues are the key check values of ENC, MAC and DEK.
	CheckValues [3]string `json:"checkValues"`
}

// SetKeys replaces the keys of the card's security domain. They are in a file
// before the card has them, and the card has proved that it has them when
// SetKeys returns without an error.
func SetKeys(ctx context.Context, o SetKeysOptions) (*KeyReport, error) {
	const what = "applet set-keys"
	if o.File == "" {
		return nil, problem.New(problem.Usage, "%s: no file for the new keys", what).
			Because("Keys that are nowhere but on the card would be lost.").Hint("--keys-file FILE")
	}
	if _, err := os.Lstat(o.File); err == nil {
		return nil, problem.New(problem.Refused, "%s: %s is already there", what, o.File).
			Because("It may hold keys that the card has already, from a set-keys that was cut short.").
			Hint("cardctl applet list --card-keys file:%s, which works where the card has them; else --keys-file with another name", o.File)
	}
	c, err := connect(ctx, o.Access)
	if err != nil {
		return nil, explain(err, what, "Nothing on the card was changed.")
	}
	defer c.close()
	w := &keyChange{card: c, o: o, state: "The card has its old keys."}
	report, err := w.run(ctx)
	return report, explain(err, what, w.state)
}

// keyChange is one run of SetKeys.
type keyChange struct {
	*card
	o     SetKeysOptions
	state string
}

func (w *keyChange) run(ctx context.Context) (*KeyReport, error) {
	session := w.domain.Session()
	replace, version := w.versions(session.KeyVersion)
	fresh, err := w.newKeys(ctx, session.Protocol)
	if err != nil {
		return nil, err
	}
	defer fresh.Wipe()
	values, err := fresh.CheckValues(session.Protocol.Cipher())
	if err != nil {
		return nil, err
	}
	if w.o.Confirm != nil {
		question := fmt.Sprintf("Give the card new keys of version %d in place of those of version %d?", version, session.KeyVersion)
		if replace == 0 {
			question = fmt.Sprintf("Give the card new keys of version %d? (It now uses those of version %d.)", version, session.KeyVersion)
		}
		if err := w.o.Confirm(ctx, question); err != nil {
			return nil, err
		}
	}
	if err := writeKeys(w.o.File, fresh); err != nil {
		return nil, err
	}
	if err := w.put(ctx, fresh, replace, version); err != nil {
		return nil, err
	}
	if err := w.prove(ctx, fresh, version); err != nil {
		return nil, err
	}
	w.state = ""
	return &KeyReport{
		Version: version, Cipher: session.Protocol.Cipher().String(), Bits: fresh.Length() * 8, File: w.o.File,
		CheckValues: [3]string{values[0].String(), values[1].String(), values[2].String()},
	}, nil
}

// versions are the version that PUT KEY replaces, 0 to add one, and the new
// one. The keys that a card came with are not replaced but go when the first
// others come.
func (w *keyChange) versions(current byte) (replace, version byte) {
	replace, version = current, w.o.Version
	first := current == gp.FactoryKeyVersion || current == 0
	if version == 0 && first {
		version = 1
	} else if version == 0 {
		version = current
	}
	if first || w.o.Add {
		replace = 0
	}
	return replace, version
}

func (w *keyChange) newKeys(ctx context.Context, p gp.Protocol) (*gp.KeySet, error) {
	switch {
	case w.o.NewDefault:
		return gp.DefaultKeySet(), nil
	case w.o.Generate:
		return generate(w.keys.Length(), p)
	}
	text, err := w.access.Ask(ctx, secret.Request{Name: secret.NewCardKeys, Label: "new card keys (one, or ENC:MAC:DEK, in hexadecimal)", New: true})
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	return gp.ParseKeySet(text)
}

// generate makes random keys; one key three times for a protocol that has one
// base key.
func generate(length int, p gp.Protocol) (*gp.KeySet, error) {
	var keys [3][]byte
	for i := range keys {
		keys[i] = make([]byte, length)
		defer clear(keys[i])
		if _, err := rand.Read(keys[i]); err != nil {
			return nil, err
		}
	}
	if p.OneKey() {
		keys[1], keys[2] = keys[0], keys[0]
	}
	return gp.NewKeySet(keys[0], keys[1], keys[2])
}

// writeKeys writes a new file of mode 0600, down to the disk.
func writeKeys(path string, keys *gp.KeySet) error {
	text := keys.Text()
	defer text.Wipe()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return problem.Wrap(problem.Failed, err, "cannot write the new keys")
	}
	_, err = f.Write(text.Reveal())
	if err == nil {
		_, err = f.WriteString("\n")
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		_ = os.Remove(path)
		return problem.Wrap(problem.Failed, err, "cannot write the new keys")
	}
	return nil
}

// syncDirectory makes a new name last; systems that cannot do that refuse it
// with an error of their own, which says nothing of the file.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}

// put gives the card the keys. Where it refuses, the file goes too: it would
// hold keys of no card.
func (w *keyChange) put(ctx context.Context, fresh *gp.KeySet, replace, version byte) error {
	w.state = fmt.Sprintf("The card has its old keys or the new ones, version %d, which are in %s.", version, w.o.File)
	err := w.domain.PutKeys(ctx, fresh, replace, version)
	var refused *gp.CommandError
	if errors.As(err, &refused) {
		w.state = "The card has its old keys."
		if err := os.Remove(w.o.File); err != nil {
			w.state = fmt.Sprintf("The card has its old keys; those in %s are of no card.", w.o.File)
		}
	}
	return err
}

// prove opens a secure channel with the new keys.
func (w *keyChange) prove(ctx context.Context, fresh *gp.KeySet, version byte) error {
	w.state = fmt.Sprintf("The card took the new keys, version %d, which are in %s.", version, w.o.File)
	if err := w.domain.Reselect(ctx); err != nil {
		return err
	}
	credentials := gp.Credentials{
		Keys: fresh, KeyVersion: version, KeyIndex: w.access.KeyIndex, Level: w.access.level(), Protocol: w.access.Protocol,
	}
	err := w.domain.Open(ctx, credentials)
	if err == nil {
		return w.notice(ctx, credentials)
	}
	if errors.Is(err, gp.ErrCardCryptogram) || errors.Is(err, gp.ErrHostRefused) || iso7816.StatusOf(err) != 0 {
		p := problem.New(problem.Failed, "the card took the new keys and does not authenticate with them").
			Because("%s", problem.Sentence(err.Error())).
			Hint("cardctl applet list with the keys in %s, and else with the old ones", w.o.File)
		p.Cause = err
		return p
	}
	return err
}
