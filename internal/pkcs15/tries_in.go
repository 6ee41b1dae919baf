package pkcs15

import (
	"context"
	"strings"
)

// TriesIn is how many tries pkcs15-tool shows for a PIN of the card in a reader:
// the SO PIN, or the user PIN that OpenSC's module makes the token of this label
// of. It is -1 where it shows none, or several PINs could be meant.
func (t Tools) TriesIn(ctx context.Context, reader, label string, so bool) (int, error) {
	out, err := t.run(ctx, call{program: "pkcs15-tool", args: []string{"--reader", reader, "--list-pins"}})
	if err != nil {
		return -1, err
	}
	d, err := parseListing(out)
	if err != nil {
		return -1, err
	}
	var all, named []PIN
	for _, p := range d.PINs {
		if p.Unblocking || p.SO != so {
			continue
		}
		all = append(all, p)
		if names(label, p.Label) {
			named = append(named, p)
		}
	}
	if named == nil {
		named = all
	}
	if len(named) != 1 {
		return -1, nil
	}
	return named[0].TriesLeft, nil
}

// names reports whether the label of a token, "card (PIN)", has that of a PIN in
// it. The module cuts what does not fit.
func names(token, pin string) bool {
	if strings.HasSuffix(token, ")") {
		return strings.HasSuffix(token, "("+pin+")")
	}
	i := strings.LastIndex(token, "(")
	return i >= 0 && strings.HasPrefix(pin, token[i+1:])
}
