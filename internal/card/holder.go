package card

import "context"

// HolderSetter is a card that keeps what it says of the person it belongs to.
type HolderSetter interface {
	// SetHolder writes what is named and returns it as it is read back. An error says
	// what is on the card now.
	SetHolder(ctx context.Context, wish HolderWish) (Holder, error)
}

// HolderWish is what a card should say of its owner: nil for what stays, empty for what
// is removed.
type HolderWish struct {
	Name, Login, URL, Language, Sex *string
}

// IsZero reports whether nothing is named.
func (w HolderWish) IsZero() bool { return w == HolderWish{} }

// Holder is what a card says of the person it belongs to.
type Holder struct {
	Name     string `json:"name,omitempty"`
	Login    string `json:"login,omitempty"`
	URL      string `json:"url,omitempty"` // where the public key is found
	Language string `json:"language,omitempty"`
	Sex      string `json:"sex,omitempty"`
}

// Lines show it below a heading, without what is empty.
func (h Holder) Lines() []Line {
	lines := []Line{{Label: "Cardholder"}}
	for _, line := range []Line{
		{"name", h.Name}, {"login", h.Login}, {"URL", h.URL}, {"language", h.Language}, {"sex", h.Sex},
	} {
		if line.Value != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
