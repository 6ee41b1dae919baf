package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/simulate"
)

// choice is one of several things that can be meant: what to type for it, and
// what it is.
type choice struct{ value, is string }

// readerChoices are the readers that are there now, and the simulated cards. A
// reader whose name has spaces is offered by its index as well: of several names
// that begin alike, bash types the beginning without quotes.
func (env *session) readerChoices(ctx context.Context, _ *cobra.Command) ([]choice, error) {
	list, err := env.listReaders(ctx, false)
	if err != nil {
		return nil, err
	}
	var found []choice
	for _, r := range list {
		is := "no card"
		if r.Card != nil {
			is = describeCard(r.Card)
		} else if r.Problem != nil {
			is = r.Problem.Message
		}
		found = append(found, choice{r.Name, is})
		if strings.Contains(r.Name, " ") {
			found = append(found, choice{strconv.Itoa(r.Index), r.Name + ", " + is})
		}
	}
	return found, nil
}

// chooseKey asks which of the keys that are there now is meant.
func (env *session) chooseKey(ctx context.Context) (string, error) {
	missing := func() error {
		p := problem.New(problem.Usage, "--key is missing")
		if example := inventory.ExampleKey(ctx, env.desk()); example != "" {
			return p.Advise(advice.Repeat(advice.Set(advice.Key, example)))
		}
		return p.Advise(advice.Repeat(advice.Fill(advice.Key)))
	}
	if env.flags.noInput || !env.terminal.Available() {
		return "", missing()
	}
	keys, err := env.keysOf(ctx, true)
	switch {
	case err != nil:
		return "", err
	case len(keys) == 0:
		return "", missing()
	}
	lines := make([]string, len(keys))
	for i, k := range keys {
		lines[i] = k.value + "  " + k.is
	}
	env.progress.Done()
	chosen, err := env.terminal.Choose(ctx, "Which key?", lines)
	env.working()
	if err != nil {
		return "", err
	}
	return keys[chosen].value, nil
}

// serialChoices are the serials of the cards that are there now.
func (env *session) serialChoices(ctx context.Context, _ *cobra.Command) ([]choice, error) {
	list, err := env.listReaders(ctx, false)
	if err != nil {
		return nil, err
	}
	var found []choice
	for _, r := range list {
		if r.Card != nil && r.Card.Serial != "" {
			found = append(found, choice{r.Card.Serial, r.Card.Type + " in " + r.Name})
		}
	}
	return found, nil
}

// keyChoices are the keys of the card that is meant now, and its empty places;
// those of every token where a module is named.
func (env *session) keyChoices(ctx context.Context, _ *cobra.Command) ([]choice, error) {
	return env.keysOf(ctx, false)
}

// keysOf has the line to the card kept for the command, where a person chooses.
func (env *session) keysOf(ctx context.Context, keep bool) ([]choice, error) {
	if env.flags.module != "" {
		return env.tokenKeyChoices(ctx)
	}
	d := env.desk()
	d.Keep = keep
	places, err := inventory.Keys(ctx, d, env.readOnly())
	return keysAsChoices(places), err
}

func (env *session) tokenKeyChoices(ctx context.Context) ([]choice, error) {
	places, err := inventory.TokenKeys(ctx, env.desk(), env.readOnly())
	return keysAsChoices(places), err
}

func keysAsChoices(places []inventory.KeyPlace) []choice {
	var choices []choice
	for _, p := range places {
		choices = append(choices, choice{p.Ref, p.Is})
	}
	return choices
}

// algorithmChoices are the algorithms that the place can have which --key names.
func (env *session) algorithmChoices(ctx context.Context, cmd *cobra.Command) ([]choice, error) {
	reference, err := cmd.Flags().GetString("key")
	if err != nil {
		return nil, err
	}
	able, err := keygen.Algorithms(ctx, env.desk(), env.readOnly(), reference)
	if err != nil {
		return nil, err
	}
	var choices []choice
	for _, a := range able {
		choices = append(choices, choice{value: a})
	}
	return choices, nil
}

// tokenChoices are the tokens of the modules.
func (env *session) tokenChoices(ctx context.Context, _ *cobra.Command) ([]choice, error) {
	list, err := env.listTokens(ctx)
	if err != nil {
		return nil, err
	}
	var choices []choice
	for _, t := range list.Tokens {
		if t.Label != "" {
			choices = append(choices, choice{t.Label, strings.TrimSpace(t.Manufacturer + " " + t.Model + " " + t.Serial)})
		}
	}
	return choices, nil
}

// moduleChoices are the PKCS#11 modules that are installed now.
func (env *session) moduleChoices(context.Context, *cobra.Command) ([]choice, error) {
	var choices []choice
	for _, m := range inventory.InstalledModules() {
		choices = append(choices, choice{m.Name, m.Path})
	}
	return choices, nil
}

// simulatedChoices are the simulated cards.
func (env *session) simulatedChoices(context.Context, *cobra.Command) ([]choice, error) {
	list, err := simulate.List(env.store())
	if err != nil {
		return nil, err
	}
	var choices []choice
	for _, card := range list {
		choices = append(choices, choice{card.Name, strings.Join(card.Applications, ", ")})
	}
	return choices, nil
}

// profileChoices are the profiles of simulated cards.
func (env *session) profileChoices(context.Context, *cobra.Command) ([]choice, error) {
	var choices []choice
	for _, p := range simulate.Profiles() {
		choices = append(choices, choice{p.Name, p.Description})
	}
	return choices, nil
}
