package family

import (
	"cmp"
	"context"
	"slices"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
)

// Identify tells what the card on a line is: every application that a family
// knows, and what the first of them tells of the card.
func Identify(ctx context.Context, line *desk.Line) (card.Identity, error) {
	found, families, err := probe(ctx, line, everything)
	if err != nil {
		return found, err
	}
	if err := describe(ctx, line, families, &found); err != nil {
		return found, err
	}
	return found, strangers(ctx, line, families, &found)
}

// strangers has another program describe a card whose keys no family can use and
// that told no serial. That the program does not know it either is no error.
func strangers(ctx context.Context, line *desk.Line, families []card.Family, found *card.Identity) error {
	if found.Serial != "" || found.State != "" || line.Reader() == "" || slices.ContainsFunc(families, HasKeys) {
		return nil
	}
	for _, f := range All() {
		if f.Strangers == nil {
			continue
		}
		if err := f.Strangers(ctx, line, found); err != nil && key.Unreachable(ctx, err) {
			return err
		}
	}
	return nil
}

// describe adds what the first of the families tells that knows a serial.
func describe(ctx context.Context, line *desk.Line, families []card.Family, found *card.Identity) error {
	for _, f := range families {
		if found.Serial != "" || f.Describe == nil {
			continue
		}
		if err := f.Describe(ctx, line, found); err != nil {
			return key.Explain(err, "reading the card", "")
		}
	}
	return nil
}

// Serials are all serials that a card answers to: each of its applications may
// have one.
func Serials(ctx context.Context, line *desk.Line) ([]string, error) {
	found, families, err := probe(ctx, line, everything)
	if err != nil {
		return nil, err
	}
	return serials(ctx, line, families, found)
}

func serials(ctx context.Context, line *desk.Line, families []card.Family, found card.Identity) ([]string, error) {
	var all []string
	for _, f := range families {
		if f.Describe == nil {
			continue
		}
		one := found.Of(f.Apps)
		one.Thorough = true
		if err := f.Describe(ctx, line, &one); err != nil {
			return nil, key.Explain(err, "reading the card", "")
		}
		if one.Serial != "" && !slices.Contains(all, one.Serial) {
			all = append(all, one.Serial)
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	if err := strangers(ctx, line, families, &found); err != nil || found.Serial == "" {
		return nil, err
	}
	return []string{found.Serial}, nil
}

// everything has every application looked for.
func everything(int, card.Probe) bool { return true }

// probe looks for the applications that families know. Those of the first
// family are looked for last, so that what is described first is selected.
func probe(ctx context.Context, line *desk.Line, looked func(i int, p card.Probe) bool) (card.Identity, []card.Family, error) {
	found := card.Identity{Type: "unknown card", Applications: []card.Application{}}
	ch, err := line.Channel(ctx)
	if err != nil {
		return found, nil, err
	}
	from := prober{ch: ch}
	all := All()
	types := make([]string, len(all))
	applications := make([][]card.Application, len(all))
	for n := range all {
		i := (n + 1) % len(all)
		for _, p := range all[i].Probes {
			if !looked(i, p) {
				continue
			}
			a, err := from.lookFor(ctx, p)
			if err != nil {
				return found, nil, key.Explain(err, "reading the card", "")
			}
			if a == nil {
				continue
			}
			if types[i] == "" {
				types[i] = p.Type
			}
			applications[i] = append(applications[i], *a)
			found.State = cmp.Or(found.State, a.State)
		}
	}
	var families []card.Family
	for i, list := range applications {
		if len(list) == 0 {
			continue
		}
		if len(families) == 0 {
			found.Type = types[i]
		}
		families = append(families, all[i])
		found.Applications = append(found.Applications, list...)
	}
	return found, families, nil
}

// Chip is the serial of the chip that the card on a line is; empty where it does not tell.
// Another application than before may be selected afterwards.
func Chip(ctx context.Context, line *desk.Line) (string, error) {
	for _, f := range All() {
		if f.Chip == nil {
			continue
		}
		serial, err := f.Chip(ctx, line)
		if err != nil {
			return "", key.Explain(err, "reading the card", "")
		}
		if serial != "" {
			return serial, nil
		}
	}
	return "", nil
}

// KnownKeys says whether others may know the keys that the card on a line is
// managed with, and what kind of card it is; kind is empty for a card without such
// keys.
func KnownKeys(ctx context.Context, line *desk.Line) (known bool, kind string, err error) {
	for _, f := range All() {
		if f.KnownKeys == nil {
			continue
		}
		known, told, err := f.KnownKeys(ctx, line)
		if told || err != nil {
			return known, f.Kind, err
		}
	}
	return false, "", nil
}

// Exposure is what others may know of the card on a line, and what kind of card it is;
// nil for a card of which no family tells that.
func Exposure(ctx context.Context, line *desk.Line) (told *card.Exposure, kind string, err error) {
	for _, f := range All() {
		if f.Exposure == nil {
			continue
		}
		if told, err := f.Exposure(ctx, line); told != nil || err != nil {
			return told, f.Kind, err
		}
	}
	return nil, "", nil
}
