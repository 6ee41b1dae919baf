package cardsim

import (
	"bytes"
	"encoding/json"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// newInstance is the application that an instance of an applet is: one that is
// simulated, where the applet's AID is known, else one that can be selected
// and knows no command.
func newInstance(env environment, aid, applet []byte) application {
	env.instance = aid
	switch {
	case bytes.HasPrefix(applet, openpgpAID()):
		return newOpenPGP(env)
	case bytes.Equal(applet, isoAppletAID()):
		return newIsoApplet(env)
	case bytes.Equal(applet, muscleAID()):
		return newMuscle(env)
	default:
		return &unknownApplet{instance: aid}
	}
}

// instanceSize is the memory that an instance takes, in bytes.
func instanceSize(app application) int {
	switch app.(type) {
	case *openpgp:
		return 12 << 10
	case *isoApplet, *muscle:
		return 8 << 10
	default:
		return 256
	}
}

// unknownApplet is an application of which nothing is known but its AID.
type unknownApplet struct{ instance []byte }

func (a *unknownApplet) name() string            { return "applet" }
func (a *unknownApplet) aid() []byte             { return a.instance }
func (a *unknownApplet) historicalBytes() []byte { return nil }
func (a *unknownApplet) deselect()               {}
func (a *unknownApplet) factory() error          { return nil }

func (a *unknownApplet) selected(byte) ([]byte, iso7816.Status) { return nil, iso7816.StatusOK }

func (a *unknownApplet) process(iso7816.Command) ([]byte, iso7816.Status) {
	return nil, iso7816.StatusINSNotSupported
}

func (a *unknownApplet) marshal() (json.RawMessage, error) { return json.RawMessage("{}"), nil }
func (a *unknownApplet) unmarshal(json.RawMessage) error   { return nil }
