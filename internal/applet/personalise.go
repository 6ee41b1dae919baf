package applet

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
)

// maxStored is the greatest length of data for STORE DATA in bytes: 256 blocks of
// short commands.
const maxStored = 256 * 255

// StoreOptions is what StoreData shall do.
type StoreOptions struct {
	Domain Domain

	// Applet gets the data; nil for the security domain itself.
	Applet gp.AID

	// Data is what is stored, Structure how it is built: "dgi", "ber-tlv" or "" for
	// no information about it. BlockSize is how many bytes of data a command has at
	// most; 0 for as many as a short one holds.
	Data      []byte
	Structure string
	BlockSize int
}

// StoreReport is what StoreData did.
type StoreReport struct {
	Reader string `json:"reader"`
	Applet gp.AID `json:"applet,omitempty"`
	Bytes  int    `json:"bytes"`
}

// StoreData sends data to an application or to the security domain of the card that
// is meant: INSTALL [for personalization] (11.5.2.3.6) and STORE DATA (11.11). Nobody
// can read it back.
func StoreData(ctx context.Context, d *desk.Desk, a desk.Access, o StoreOptions) (report *StoreReport, err error) {
	const what = "applet store-data"
	structures := map[string]byte{"": 0, "dgi": gp.StoreDGI, "ber-tlv": gp.StoreBERTLV}
	format, known := structures[strings.ToLower(o.Structure)]
	switch {
	case !known:
		return nil, problem.New(problem.Usage, "%s: unknown structure of data %q", what, o.Structure).Because("Valid structures: dgi, ber-tlv.")
	case len(o.Data) == 0:
		return nil, problem.New(problem.Usage, "%s: there is no data", what)
	case o.BlockSize != 0 && (o.BlockSize < minBlock || o.BlockSize > 255):
		return nil, problem.New(problem.Usage, "%s: blocks of %d bytes are not possible", what, o.BlockSize).
			Because("A block has %d to 255 bytes.", minBlock).Advise(advice.Repeat().Without(advice.BlockSize))
	}
	report = &StoreReport{Applet: o.Applet, Bytes: len(o.Data)}
	return report, withCard(ctx, d, a, o.Domain, func(ctx context.Context, c *card) error {
		report.Reader = c.at.Place
		state := unchanged
		err := c.connect(ctx)
		if err == nil && o.Applet != nil {
			err = c.domain.InstallForPersonalization(ctx, o.Applet)
		}
		if err == nil {
			state = "Part of the data may be on the card."
			_, err = c.domain.StoreData(ctx, format, o.Data, o.BlockSize, false)
		}
		return explain(err, what, state)
	})
}

// ReadStored is what is stored: the content of a file of that name, or else the bytes
// in hexadecimal. It never repeats what was given.
func ReadStored(ctx context.Context, argument string) ([]byte, error) {
	if _, err := os.Stat(argument); err == nil {
		data, err := input.File(ctx, argument, maxStored)
		if err == nil && len(data) > maxStored {
			return nil, problem.New(problem.Usage, "the file has more than %d bytes", maxStored)
		}
		if err != nil && ctx.Err() == nil {
			err = problem.Wrap(problem.Failed, err, "cannot read the data")
		}
		return data, err
	} else if !errors.Is(err, os.ErrNotExist) && !strings.Contains(err.Error(), "name too long") {
		return nil, problem.Wrap(problem.Failed, errors.New("the file cannot be read"), "cannot read the data")
	}
	data, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "").Replace(argument))
	switch {
	case err != nil:
		return nil, problem.New(problem.NotFound, "the data is neither a file nor hexadecimal").
			Because("No file has this name, and it is not pairs of hexadecimal digits.")
	case len(data) > maxStored:
		return nil, problem.New(problem.Usage, "the data has more than %d bytes", maxStored)
	}
	return data, nil
}
