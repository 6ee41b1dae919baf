package openpgp

import (
	"context"

	"github.com/cardctl/cardctl/internal/card"
)

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
	if told := describedHolder(holder); told != (card.Holder{}) {
		facts = append(facts, card.Fact{Field: "cardholder", Value: told, Lines: told.Lines()})
	}
	count, err := selected.SignatureCount(ctx)
	if err != nil {
		return facts, explain(err, "reading the card", "")
	}
	return append(facts, card.Fact{Field: "signatureCount", Value: count}), nil
}

// Objects are those of the cardholder, the signature counter, the touch policies and the KDF.
func (c *onCard) Objects(ctx context.Context) (map[uint32][]byte, error) {
	selected, err := c.application(ctx)
	if err != nil {
		return nil, err
	}
	objects, err := selected.Objects(ctx)
	if err != nil {
		return nil, explain(err, "reading the card", "")
	}
	return objects, nil
}
