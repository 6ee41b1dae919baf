package applet

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// SetKeysOptions is what SetKeys shall do.
type SetKeysOptions struct {
	Domain Domain

	// Generate makes random keys. Without it somebody is asked for
	// secret.NewCardKeys, or are the well-known test keys with NewDefault.
	Generate, NewDefault bool

	// Diversification makes the card's own keys of what somebody is asked for as
	// the new keys. The keys that the card has may be made like that too, or not:
	// that is asked of the card, and nothing is tried for it.
	Diversification gp.Diversification

	// Cipher is that of the new keys; 0 for that of the secure channel.
	Cipher gp.Cipher

	// Version is the version of the new keys, 1 to 127; 0 keeps the version
	// of the keys that are replaced, and is 1 where those are the card's
	// first ones. Add keeps the old keys too.
	Version byte
	Add     bool

	// File is where the new keys are written before the card gets them, as
	// gp.ParseKeySet reads them, with mode 0600. It must not be there yet.
	File string
	// Store is called instead, if it is not nil: it keeps the new keys before the card
	// gets them.
	Store func(ctx context.Context, keys *secret.Bytes) error
}

// kept is where the new keys are, in words.
func (o *SetKeysOptions) kept() string {
	if o.Store != nil {
		return "stored"
	}
	return "in " + o.File
}

// KeyReport is what SetKeys did.
type KeyReport struct {
	Reader  string `json:"reader"`
	Version byte   `json:"version"`
	Cipher  string `json:"cipher"`
	Bits    int    `json:"bits"`
	File    string `json:"file"`

	// CheckValues are the key check values of ENC, MAC and DEK.
	CheckValues [3]string `json:"checkValues"`
}

// SetKeys replaces the keys of the security domain of the card that is meant. They
// are in a file before the card has them, and the card has proved that it has them
// when SetKeys returns without an error.
func SetKeys(ctx context.Context, d *desk.Desk, a desk.Access, o SetKeysOptions) (report *KeyReport, err error) {
	const what = "applet set-keys"
	if o.File == "" && o.Store == nil {
		return nil, problem.New(problem.Usage, "%s: no file for the new keys", what).
			Because("Keys that exist only on the card would be lost.").Advise(advice.Repeat(advice.Fill(advice.KeysFile)))
	}
	if o.Store == nil && input.Exists(o.File) {
		return nil, problem.New(problem.Refused, "%s: %s already exists", what, o.File).
			Because("The file may hold keys that the card already has, from an interrupted run. If the card does not have them, name another file.").
			Advise(o.tryFile())
	}
	err = withCard(ctx, d, a, o.Domain, func(ctx context.Context, c *card) (err error) {
		w := &keyChange{card: c, o: o, state: unchanged}
		report, err = w.start(ctx)
		return explain(err, what, w.state)
	})
	return report, err
}

// tryFile is whether the card has the keys in the file.
func (o *SetKeysOptions) tryFile() advice.Advice {
	return advice.Do(advice.ListApplets, advice.Set(advice.Field(secret.CardKeys), "file:"+o.File))
}

// keyChange is one run of SetKeys.
type keyChange struct {
	*card
	o     SetKeysOptions
	state string

	fresh            *gp.KeySet
	cipher, before   gp.Cipher // of the new keys and of the secure channel
	replace, version byte      // as PUT KEY wants them
}

// start gets all the keys before the secure channel is opened: it would not last
// while somebody is asked.
func (w *keyChange) start(ctx context.Context) (_ *KeyReport, err error) {
	defer func() { w.fresh.Wipe() }()
	if w.fresh, err = w.newKeys(ctx); err != nil {
		return nil, err
	}
	if w.o.Diversification != gp.NoDiversification {
		if err := w.prepare(ctx); err != nil {
			return nil, err
		}
		if err := w.choose(ctx); err != nil {
			return nil, err
		}
		if err := w.open(ctx); err != nil {
			return nil, err
		}
	} else if err := w.connect(ctx); err != nil {
		return nil, err
	}
	w.state = oldKeys
	return w.run(ctx)
}

// choose finds out whether the card's keys are those that were given, or made of
// them as the new ones are: what the card proves without that keys are tried.
func (w *keyChange) choose(ctx context.Context) error {
	if w.wanted.DefaultKeys {
		return nil
	}
	made := w.credentials(w.keys, w.wanted.KeyVersion)
	made.Diversification = w.o.Diversification
	has, err := w.domain.Has(ctx, made)
	if has {
		w.wanted.Diversification = w.o.Diversification
	}
	return err
}

// oldKeys is the state of a card whose keys were not changed.
const oldKeys = "The card still has its old keys."

func (w *keyChange) run(ctx context.Context) (_ *KeyReport, err error) {
	protocol := w.domain.Session().Protocol
	w.before = protocol.Cipher()
	w.cipher = cmp.Or(w.o.Cipher, w.before)
	if w.o.Generate {
		length := w.keys.Length()
		if w.cipher == gp.TripleDES {
			length = tripleDESLength
		}
		if w.fresh, err = generate(length, protocol.OneKey() && w.cipher == protocol.Cipher()); err != nil {
			return nil, err
		}
	}
	if err := w.derive(); err != nil {
		return nil, err
	}
	values, err := w.fresh.CheckValues(w.cipher)
	if err != nil {
		return nil, err
	}
	if err := w.confirm(ctx, w.look); err != nil {
		return nil, err
	}
	if err := w.keep(ctx); err != nil {
		return nil, err
	}
	if err := w.put(ctx); err != nil {
		return nil, err
	}
	if err := w.prove(ctx); err != nil {
		return nil, err
	}
	w.state = ""
	w.at.Recording.Changed(desk.Change{Secret: secret.CardKeys})
	return &KeyReport{
		Reader: w.at.Place, Version: w.version, Cipher: w.cipher.String(), Bits: w.fresh.Length() * 8, File: w.o.File,
		CheckValues: [3]string{values[0].String(), values[1].String(), values[2].String()},
	}, nil
}

// keep has the new keys somewhere else before the card has them.
func (w *keyChange) keep(ctx context.Context) error {
	if w.o.Store == nil {
		return writeKeys(w.o.File, w.fresh)
	}
	text := w.fresh.Text()
	defer text.Wipe()
	return w.o.Store(ctx, text)
}

// look sees which keys the card uses, and words the question.
func (w *keyChange) look(context.Context) (wording, error) {
	current := w.domain.Session().KeyVersion
	w.replace, w.version = w.versions(current)
	old := fmt.Sprintf("Its current keys, version %d, will no longer open it.", current)
	if w.o.Add {
		old = fmt.Sprintf("It keeps its current keys, version %d.", current)
	}
	version := w.version
	return func(card string) advice.Question {
		return advice.Question{Deed: fmt.Sprintf("Write new card keys, version %d, to", version), Subject: card, Lost: old}
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

// newKeys are the new keys that do not depend on the card.
func (w *keyChange) newKeys(ctx context.Context) (*gp.KeySet, error) {
	switch {
	case w.o.NewDefault:
		return gp.DefaultKeySet(), nil
	case w.o.Generate:
		return nil, nil
	}
	return w.ask(ctx, secret.Request{Name: secret.NewCardKeys, Label: "new card keys (one, or ENC:MAC:DEK, in hexadecimal)", New: true})
}

// tripleDESLength is the length of a triple DES key in bytes.
const tripleDESLength = 16

// derive makes the new keys those of this card, if that is wanted.
func (w *keyChange) derive() error {
	if w.o.Diversification == gp.NoDiversification || w.o.NewDefault || w.o.Generate {
		return nil
	}
	own, err := w.fresh.Diversify(w.o.Diversification, w.domain.Session().KeyDiversificationData[:])
	if err != nil {
		return err
	}
	w.fresh.Wipe()
	w.fresh = own
	return nil
}

// generate makes random keys; one key three times for a protocol that has one
// base key.
func generate(length int, oneKey bool) (*gp.KeySet, error) {
	var keys [3][]byte
	for i := range keys {
		keys[i] = make([]byte, length)
		defer clear(keys[i])
		if _, err := rand.Read(keys[i]); err != nil {
			return nil, err
		}
	}
	if oneKey {
		keys[1], keys[2] = keys[0], keys[0]
	}
	return gp.NewKeySet(keys[0], keys[1], keys[2])
}

// writeKeys writes a new file of mode 0600, down to the disk.
func writeKeys(path string, keys *gp.KeySet) error {
	text := keys.Text()
	defer text.Wipe()
	line := secret.New(slices.Concat(text.Reveal(), []byte("\n")))
	defer line.Wipe()
	if err := output.NewPrivateFile(path, line.Reveal()); err != nil {
		return problem.Wrap(problem.Failed, err, "cannot write the new keys")
	}
	return nil
}

// put gives the card the keys. Unless it accepts them, it is asked for a proof of
// those that it has: cards are known that refuse keys which they took.
func (w *keyChange) put(ctx context.Context) error {
	w.state = fmt.Sprintf("The card has either its old keys or the new ones, version %d, which are %s.", w.version, w.o.kept())
	err := w.domain.PutKeys(ctx, gp.NewKeys{Keys: w.fresh, Cipher: w.cipher, Replace: w.replace, Version: w.version})
	if err == nil {
		w.state = fmt.Sprintf("The card accepted the new keys, version %d, which are %s.", w.version, w.o.kept())
		return nil
	}
	return w.found(ctx, err)
}

// found asks the card for a proof of its keys, after PUT KEY that it did not answer
// by success. No keys are tried. With the new ones the work goes on. The file goes
// only if the card refused the keys and proves that it has the old ones.
func (w *keyChange) found(ctx context.Context, unclear error) error {
	if w.domain.Reselect(ctx) != nil {
		return unclear
	}
	if has, err := w.domain.Has(ctx, w.credentials(w.fresh, w.version)); err != nil {
		return unclear
	} else if has {
		w.state = fmt.Sprintf("The card has the new keys, version %d, which are %s.", w.version, w.o.kept())
		return nil
	}
	old := w.credentials(w.keys, w.wanted.KeyVersion)
	old.Diversification = w.wanted.Diversification
	if has, err := w.domain.Has(ctx, old); err != nil || !has {
		return unclear
	}
	w.state = oldKeys
	if w.o.Store != nil {
		return unclear
	}
	if !iso7816.Refused(unclear) || os.Remove(w.o.File) != nil {
		w.state = fmt.Sprintf("The card still has its old keys; those in %s are not on it.", w.o.File)
	}
	return unclear
}

func (w *keyChange) credentials(keys *gp.KeySet, version byte) gp.Credentials {
	return gp.Credentials{
		Keys: keys, KeyVersion: version, KeyIndex: w.wanted.KeyIndex, Level: w.wanted.level(), Protocol: w.wanted.Protocol,
		AcceptRandomChallenge: w.wanted.AcceptRandomChallenge,
	}
}

// prove opens a secure channel with the new keys.
func (w *keyChange) prove(ctx context.Context) error {
	if err := w.domain.Reselect(ctx); err != nil {
		return err
	}
	credentials := w.credentials(w.fresh, w.version)
	if w.cipher != w.before {
		credentials.Level = gp.LevelMAC // the protocol is another one, and has this level for sure
	}
	err := w.domain.Open(ctx, credentials)
	if err == nil {
		return w.guard.Notice(ctx, w.domain, credentials)
	}
	if errors.Is(err, gp.ErrCardCryptogram) || iso7816.StatusOf(err) != 0 {
		p := problem.New(problem.Failed, "the card did not prove that it has the new keys").
			Because("%s", problem.Sentence(err.Error()))
		if w.o.Store == nil {
			p = p.Advise(w.o.tryFile())
		}
		p.Cause = err
		return p
	}
	return err
}

// HasKeys reports whether the card that is meant proves that it has the card keys that
// somebody is asked for. No keys are tried.
func HasKeys(ctx context.Context, d *desk.Desk, a desk.Access, domain Domain) (has bool, err error) {
	err = withCard(ctx, d, a, domain, func(ctx context.Context, c *card) error {
		if err := c.prepare(ctx); err != nil {
			return err
		}
		w := &keyChange{card: c}
		has, err = c.domain.Has(ctx, w.credentials(c.keys, c.wanted.KeyVersion))
		return explain(err, "the card keys", unchanged)
	})
	return has, err
}
