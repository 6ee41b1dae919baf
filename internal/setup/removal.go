package setup

import (
	"context"
	"slices"
)

// removal is what is to be taken back of a record, the last entry first.
type removal struct {
	changes []Change
	going   map[int]entry // by their place in changes
	gone    []entry       // of a run that was broken off
}

// removal looks at all entries but those that stay.
func (r *record) removal(ctx context.Context, stays func(entry) bool) (removal, error) {
	all := removal{going: map[int]entry{}}
	if r == nil {
		return all, nil
	}
	for _, k := range slices.Backward(r.Entries) {
		if stays(k.entry) {
			continue
		}
		is, difference, err := k.look(ctx)
		if err != nil {
			return removal{}, err
		}
		all.changes = append(all.changes, changeOf(k).found(is, difference))
		if is == absent {
			all.gone = append(all.gone, k.entry)
			continue
		}
		all.going[len(all.changes)-1] = k.entry
	}
	return all, nil
}

// makesRoom reports whether what is in a place will be taken back.
func (r *removal) makesRoom(place string) bool {
	for _, e := range r.going {
		if e.place() == place {
			return true
		}
	}
	return false
}

// carryOut removes the entries, if nothing that runs has them in memory.
func (r *removal) carryOut(ctx context.Context) error {
	if err := free(r.going); err != nil {
		return err
	}
	for i := range r.changes {
		e, is := r.going[i]
		if !is {
			continue
		}
		if err := e.remove(ctx); err != nil {
			return err
		}
		r.changes[i].Done = true
	}
	for _, e := range r.gone {
		if e, is := e.(tidied); is {
			e.tidy()
		}
	}
	return nil
}
