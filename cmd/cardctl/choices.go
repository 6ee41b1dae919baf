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

// offer makes choices of what was found, but not of what has no name.
func offer[T any](found []T, err error, as func(T) choice) ([]choice, error) {
	var all []choice
	for _, one := range found {
		if c := as(one); c.value != "" {
			all = append(all, c)
		}
	}
	return all, err
}

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
	return offer(list, err, func(r readerReport) choice {
		if r.Card == nil {
			return choice{}
		}
		return choice{r.Card.Serial, r.Card.Type + " in " + r.Name}
	})
}

// keyChoices are the keys of the card that is meant now, and its empty places;
// those of every token where a module is named.
func (env *session) keyChoices(ctx context.Context, _ *cobra.Command) ([]choice, error) {
	return env.keysOf(ctx, false)
}

// keysOf has the line to the card kept for the command, where a person chooses.
func (env *session) keysOf(ctx context.Context, keep bool) ([]choice, error) {
	var places []inventory.KeyPlace
	var err error
	d := env.desk()
	if env.flags.module != "" {
		places, err = inventory.TokenKeys(ctx, d, env.readOnly())
	} else {
		d.Keep = keep
		places, err = inventory.Keys(ctx, d, env.readOnly())
	}
	return offer(places, err, func(p inventory.KeyPlace) choice { return choice{p.Ref, p.Is} })
}

// algorithmChoices are the algorithms that the place can have which --key names.
func (env *session) algorithmChoices(ctx context.Context, cmd *cobra.Command) ([]choice, error) {
	reference, err := cmd.Flags().GetString("key")
	if err != nil {
		return nil, err
	}
	able, err := keygen.Algorithms(ctx, env.desk(), env.readOnly(), reference)
	return offer(able, err, func(name string) choice { return choice{value: name} })
}

// tokenChoices are the tokens of the modules.
func (env *session) tokenChoices(ctx context.Context, _ *cobra.Command) ([]choice, error) {
	_, tokens, err := inventory.Tokens(ctx, env.desk(), false)
	return offer(tokens, err, func(t inventory.ListedToken) choice {
		return choice{t.Label, strings.TrimSpace(t.Manufacturer + " " + t.Model + " " + t.Serial)}
	})
}

// moduleChoices are the PKCS#11 modules that are installed now.
func (env *session) moduleChoices(context.Context, *cobra.Command) ([]choice, error) {
	return offer(inventory.InstalledModules(), nil, func(m inventory.InstalledModule) choice { return choice{m.Name, m.Path} })
}

// simulatedChoices are the simulated cards.
func (env *session) simulatedChoices(context.Context, *cobra.Command) ([]choice, error) {
	list, err := simulate.List(env.store())
	return offer(list, err, func(c simulate.Card) choice { return choice{c.Name, strings.Join(c.Applications, ", ")} })
}

// profileChoices are the profiles of simulated cards.
func (env *session) profileChoices(context.Context, *cobra.Command) ([]choice, error) {
	return offer(simulate.Profiles(), nil, func(p simulate.Profile) choice { return choice{p.Name, p.Description} })
}
