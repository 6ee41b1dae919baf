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
	var meant []PIN
	for _, p := range d.PINs {
		if p.Unblocking || p.SO != so {
			continue
		}
		if strings.Contains(label, "("+p.Label) { // the module cuts what does not fit
			return p.TriesLeft, nil
		}
		meant = append(meant, p)
	}
	if len(meant) != 1 {
		return -1, nil
	}
	return meant[0].TriesLeft, nil
}
