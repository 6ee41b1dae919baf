package piv

import (
	"context"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
)

// dataObject is one in documents. The card shows what has no Needs.
type dataObject struct {
	Tag    string `json:"tag"`
	Name   string `json:"name"`
	Length *int   `json:"length,omitempty"` // bytes
	Needs  string `json:"needs,omitempty"`  // the PIN without which the card does not show it
	// Of the CHUID.
	GUID    string `json:"guid,omitempty"` // upper-case hex
	Expires string `json:"expires,omitempty"`
	Signed  bool   `json:"signed,omitempty"`
}

// Details are the data objects beside certificates. What they hold is personal data and
// management keys: of the CHUID alone it is shown.
func (c *onCard) Details(ctx context.Context) ([]card.Fact, error) {
	selected, err := c.application(ctx)
	if err != nil {
		return nil, err
	}
	objects := []dataObject{}
	lines := []card.Line{{Label: "Data objects"}}
	var unread error
	for _, o := range app.DataObjects() {
		content, err := selected.GetData(ctx, o)
		found := dataObject{Tag: fmt.Sprintf("%X", uint32(o)), Name: o.String()}
		switch {
		case iso7816.StatusOf(err) == iso7816.StatusSecurityNotSatisfied:
			found.Needs = string(pin.User)
		case err != nil && key.Unreachable(ctx, err):
			return nil, explain(err, "reading the data objects", "")
		case err != nil && unread == nil && iso7816.StatusOf(err) == 0:
			unread = err
			continue
		case err != nil || content == nil:
			continue
		default:
			length := len(content)
			found.Length = &length
		}
		if o == app.CHUID {
			found.identify(content)
		}
		objects, lines = append(objects, found), append(lines, card.Line{Label: found.Name, Value: found.inWords()})
	}
	if len(objects) == 0 {
		return nil, explain(unread, "reading the data objects", "")
	}
	return []card.Fact{{Field: "dataObjects", Value: objects, Lines: lines}}, explain(unread, "reading the data objects", "")
}

// identify adds what a CHUID says.
func (o *dataObject) identify(chuid []byte) {
	if guid, ok := app.GUID(chuid); ok {
		o.GUID = fmt.Sprintf("%X", guid[:])
	}
	if date, ok := app.Expires(chuid); ok {
		o.Expires = date.Format(time.DateOnly)
	}
	o.Signed = app.Signed(chuid)
}

func (o *dataObject) inWords() string {
	if o.Needs != "" {
		return "readable with the " + pin.User.Name() + " only"
	}
	words := fmt.Sprintf("%d bytes", *o.Length)
	if o.GUID != "" {
		words += ", GUID " + o.GUID
	}
	if o.Expires != "" {
		words += ", expires " + o.Expires
	}
	if o.Signed {
		words += ", signed"
	}
	return words
}
