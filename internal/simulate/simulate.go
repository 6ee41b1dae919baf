// Package simulate creates, lists and deletes simulated cards, and puts them
// into virtual readers, where every program can use them. How such a card
// behaves is left to package cardsim.
package simulate

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// What a card is made as if nothing is said.
const DefaultProfile = cardsim.DefaultProfile

// Profile is a kind of simulated card.
type Profile = cardsim.Profile

// Applications, Profiles and SecureChannels are what a card can be made with.
func Applications() []string   { return cardsim.Applications() }
func Profiles() []Profile      { return cardsim.Profiles() }
func SecureChannels() []string { return cardsim.SecureChannels() }

// Card is a simulated card in a document.
type Card struct {
	Name         string   `json:"name"`
	Reader       string   `json:"reader"`
	Serial       string   `json:"serial"`
	Profile      string   `json:"profile"`
	Applications []string `json:"applications"`
	Busy         bool     `json:"busy"`
	PID          int      `json:"pid,omitempty"`
	Problem      string   `json:"problem,omitempty"`
}

func describe(info cardsim.Info) Card {
	c := Card{
		Name: info.Name, Reader: desk.SimulatedPrefix + info.Name,
		Serial: info.Serial, Profile: info.Profile, Applications: info.Applications,
		Busy: info.Busy, PID: info.PID,
	}
	if info.Err != nil {
		c.Problem = info.Err.Error()
	}
	return c
}

// List lists all simulated cards.
func List(cards *desk.SimulatedStore) ([]Card, error) {
	store, err := cards.Store()
	if err != nil {
		return nil, err
	}
	infos, err := store.List()
	if err != nil {
		return nil, err
	}
	list := make([]Card, len(infos))
	for i, info := range infos {
		list[i] = describe(info)
	}
	return list, nil
}

// Has reports whether there is a card of this name.
func Has(cards *desk.SimulatedStore, name string) bool {
	store, err := cards.Store()
	return err == nil && store.Has(name)
}

// find is the card of this name.
func find(cards *desk.SimulatedStore, name string) (Card, error) {
	list, err := List(cards)
	if err != nil {
		return Card{}, err
	}
	for _, c := range list {
		if c.Name == name {
			return c, nil
		}
	}
	return Card{}, desk.SimulatedProblem(cardsim.ErrNotFound, name)
}

// Options say what a card is made as.
type Options struct {
	cardsim.Options
	// OwnKeys says that a Java card has keys that are asked for; without it, it has
	// the test keys.
	OwnKeys bool
}

// Create makes a card, as from the factory.
func Create(ctx context.Context, cards *desk.SimulatedStore, name string, o Options, a desk.Access) (Card, error) {
	store, err := cards.Store()
	if err != nil {
		return Card{}, err
	}
	if o.Latency < 0 || o.Latency > time.Minute {
		return Card{}, problem.New(problem.Usage, "the latency %s is out of range", o.Latency).Because("A latency is 0 to 1m.")
	}
	if o.OwnKeys {
		keys, err := askKeys(ctx, a.Ask)
		if err != nil {
			return Card{}, err
		}
		defer keys.Wipe()
		o.CardKeys = keys.Reveal()
		defer wipe(o.CardKeys)
	}
	if err := store.Create(name, o.Options); errors.Is(err, cardsim.ErrExists) {
		return Card{}, taken(cards, name, err)
	} else if err != nil {
		return Card{}, desk.SimulatedProblem(err, name)
	}
	return find(cards, name)
}

// AttestationCA is the CA, in PEM, that certified what a simulated card attests its keys
// with: the root first.
func AttestationCA(cards *desk.SimulatedStore, name string) ([]byte, error) {
	store, err := cards.Store()
	if err != nil {
		return nil, err
	}
	c, err := store.Open(name)
	if err != nil {
		return nil, desk.SimulatedProblem(err, name)
	}
	var text []byte
	for _, der := range c.AttestationCA() {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := c.Close(); err != nil {
		return nil, err
	}
	if text == nil {
		return nil, problem.New(problem.NotSupported, "the simulated card %s attests no keys", name).
			Because("The card was created.").Advise(advice.Do(advice.ListSimulated))
	}
	return text, nil
}

// taken is the error of a name that a card has, with the next one that is free.
func taken(cards *desk.SimulatedStore, name string, err error) error {
	p := problem.Wrap(problem.Refused, err, "the simulated card "+name+" already exists").Because("The existing card was not changed.")
	list, err := List(cards)
	if err != nil {
		return p
	}
	for n := 2; ; n++ {
		free := fmt.Sprintf("%s-%d", name, n)
		if !slices.ContainsFunc(list, func(c Card) bool { return c.Name == free }) {
			return p.Advise(advice.Repeat().On(free))
		}
	}
}

func askKeys(ctx context.Context, ask secret.Asker) (*gp.KeySet, error) {
	text, err := ask(ctx, secret.Request{Name: secret.CardKeys, Label: "card keys (one, or ENC:MAC:DEK, in hexadecimal)", New: true})
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	keys, err := gp.ParseKeySet(text)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "the card keys cannot be used").Advise(advice.Repeat(advice.Ask(secret.CardKeys)))
	}
	return keys, nil
}

func wipe(keys [][]byte) {
	for _, key := range keys {
		secret.Wipe(key)
	}
}

// Delete deletes a card with all that is on it, once that is confirmed.
func Delete(ctx context.Context, cards *desk.SimulatedStore, name string, confirm desk.Confirm) (Card, error) {
	store, err := cards.Store()
	if err != nil {
		return Card{}, err
	}
	c, err := find(cards, name)
	if err != nil {
		return c, err
	}
	if err := confirm.Ask(ctx, advice.Question{Deed: "Delete", Subject: "the simulated card " + name, Lost: "Its keys and certificates will be lost."}); err != nil {
		return c, err
	}
	return c, desk.SimulatedProblem(store.Delete(name), name)
}
