package openpgp

import (
	"context"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Cardholder is what the card says of its owner (4.4.1): name (5B), login data
// (5E) and the URL of the public key (5F50).
type Cardholder struct {
	Name, Login, URL string
}

// Cardholder reads it. What a card does not have is empty.
func (c *Card) Cardholder(ctx context.Context) (Cardholder, error) {
	var holder Cardholder
	related, err := c.optional(ctx, 0x65)
	if err != nil {
		return holder, err
	}
	if name, ok := iso7816.FindTLV(template(related, 0x65), 0x5B); ok {
		surname, given, both := strings.Cut(string(name), "<<")
		if both {
			surname = given + " " + surname
		}
		holder.Name = strings.ReplaceAll(surname, "<", " ")
	}
	login, err := c.optional(ctx, 0x5E)
	if err != nil {
		return holder, err
	}
	url, err := c.optional(ctx, 0x5F50)
	holder.Login, holder.URL = string(login), string(url)
	return holder, err
}

// SignatureCount is the digital signature counter, DO 93 in 7A (4.4.1): the
// signatures made with the signature key since it was made.
func (c *Card) SignatureCount(ctx context.Context) (int, error) {
	support, err := c.optional(ctx, 0x7A)
	if err != nil {
		return 0, err
	}
	counter, _ := iso7816.FindTLV(template(support, 0x7A), 0x93)
	n := 0
	for _, b := range counter[:min(len(counter), 3)] {
		n = n<<8 | int(b)
	}
	return n, nil
}

// optional reads a data object; one that the card refuses is empty.
func (c *Card) optional(ctx context.Context, tag iso7816.Tag) ([]byte, error) {
	value, err := c.GetData(ctx, tag)
	if iso7816.StatusOf(err) != 0 {
		return nil, nil
	}
	return value, err
}
