package openpgp

import (
	"context"

	"github.com/cardctl/cardctl/internal/card"
)

// cardholder is what an OpenPGP card says of the person it belongs to.
type cardholder struct {
	Name  string `json:"name,omitempty"`
	Login string `json:"login,omitempty"`
	URL   string `json:"url,omitempty"` // where the public key is found
}

// Facts are the cardholder, where the card tells one, and the number of signatures
// made with OPENPGP.1.
func (c *onCard) Facts(ctx context.Context) ([]card.Fact, error) {
	if c.seen.terminated {
		return nil, nil
	}
	selected, err := c.application(ctx)
	if err != nil {
		return nil, err
	}
	holder, err := selected.Cardholder(ctx)
	if err != nil {
		return nil, explain(err, "reading the card", "")
	}
	var facts []card.Fact
	if told := cardholder(holder); told != (cardholder{}) {
		facts = append(facts, card.Fact{Field: "cardholder", Value: told, Lines: []card.Line{
			{Label: "cardholder", Value: told.Name}, {Label: "login", Value: told.Login}, {Label: "URL", Value: told.URL},
		}})
	}
	count, err := selected.SignatureCount(ctx)
	if err != nil {
		return facts, explain(err, "reading the card", "")
	}
	return append(facts, card.Fact{Field: "signatureCount", Value: count}), nil
}
