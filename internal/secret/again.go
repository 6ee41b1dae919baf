package secret

import "context"

// Again returns an asker that asks for each secret once, and gives the same value again: a
// card that was let go wants a PIN that it accepted again. It is for one card, whose
// policy sends no PIN again that was not accepted. wipe wipes what it holds.
func Again(ask Asker) (again Asker, wipe func()) {
	type name struct {
		Name  Name
		Label string
	}
	held := map[name]*Bytes{}
	again = func(ctx context.Context, r Request) (*Bytes, error) {
		as := name{r.Name, r.Label}
		if value := held[as]; value != nil {
			return value.Clone(), nil
		}
		value, err := ask(ctx, r)
		if err == nil && value != nil {
			held[as] = value.Clone()
		}
		return value, err
	}
	return again, func() {
		for _, value := range held {
			value.Wipe()
		}
	}
}
