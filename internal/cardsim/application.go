package cardsim

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// application is one application on a card. The card calls it for one command
// at a time, with chaining and extended length already undone and nothing but
// the command's own data in it.
type application interface {
	name() string

	// aid is the full application identifier, 5 to 16 bytes.
	aid() []byte

	// historicalBytes are those of the ATR, at most 15 bytes; nil where the
	// application leaves them to others.
	historicalBytes() []byte

	// selected answers SELECT by DF name; p2 says what shall be returned.
	// The card forgot before what was verified.
	selected(p2 byte) ([]byte, iso7816.Status)

	process(c iso7816.Command) ([]byte, iso7816.Status)

	// deselect forgets what does not survive a reset or another selection.
	deselect()

	// factory makes the state as it is delivered, without committing it.
	factory() error

	// marshal and unmarshal carry what survives power loss.
	marshal() (json.RawMessage, error)
	unmarshal(state json.RawMessage) error
}

// fileSystem is an application with files of its own: it gets every SELECT
// that names no application of the card.
type fileSystem interface {
	selectFile(c iso7816.Command) ([]byte, iso7816.Status)
}

// javaCard is an application that may send up to 256 bytes although the command
// had no Le, as Java Cards do under T=1.
type javaCard interface {
	impliesLe() bool
}

// carrier is an application that puts others on the card: the issuer security
// domain of a Java card.
type carrier interface {
	// carried are the applications that can be selected now.
	carried() []application

	// implicit is the application that a reset selects.
	implicit() application
}

// accompanied is an application of a device that has another one to tell of itself.
type accompanied interface {
	companion() application // nil for none
}

// secureMessenger is an application that takes commands under the secure
// messaging of GlobalPlatform, in interindustry classes too.
type secureMessenger interface {
	unwraps()
}

// choosy is an application that does not take every part of its name, or that keeps its
// security status when it is selected again.
type choosy interface {
	takesName(length int) bool
	keepsStatus() bool
}

// attesting is an application whose keys are attested by a key that its maker certified.
type attesting interface {
	// attestationCA are the certificates of the maker, in DER, the root first.
	attestationCA() [][]byte
}

// environment is what a card gives to each of its applications.
type environment struct {
	profile *profile
	serial  [4]byte
	random  io.Reader

	// instance is the AID under which a Java card installed the application;
	// nil where it has its own.
	instance []byte

	// javaCard is what the card is made with; its factory alone needs it.
	javaCard javaCardOptions

	// commit makes the state of the whole card survive power loss. Where it
	// fails the change did not happen and the command ends.
	commit func() error
}

// save commits the state; what it answers ends the command where it is not
// StatusOK.
func (e *environment) save() iso7816.Status {
	if err := e.commit(); err != nil {
		return iso7816.StatusMemoryFailure
	}
	return iso7816.StatusOK
}

// try checks a password that has tries left. The try is counted before the comparison, and
// all of them are given back after it, so that no power loss makes a try free. A status
// that is not StatusOK ends the command.
func (e *environment) try(r *referenceData, all int, password []byte) (right bool, status iso7816.Status) {
	r.Tries--
	if status = e.save(); status != iso7816.StatusOK || !r.equals(password) {
		return false, status
	}
	r.Tries = all
	return true, e.save()
}

// restore reads what an application saved, and refuses what it cannot have saved: the
// state is then as it was.
func restore[S any, P interface {
	*S
	check() error
}](state P, raw json.RawMessage) error {
	var saved S
	if err := json.Unmarshal(raw, &saved); err != nil {
		return err
	}
	if err := P(&saved).check(); err != nil {
		return err
	}
	*state = saved
	return nil
}

// Applications are the names that Options.Applications may hold.
func Applications() []string {
	return []string{openpgpName, pivName, isoAppletName, myEIDName, gpName, muscleName}
}

// newApplication returns the application without a state.
func newApplication(name string, env environment) (application, error) {
	switch name {
	case openpgpName:
		return newOpenPGP(env), nil
	case pivName:
		return newPIV(env), nil
	case isoAppletName:
		return newIsoApplet(env), nil
	case myEIDName:
		return newMyEID(env), nil
	case gpName:
		return newGP(env), nil
	case muscleName:
		return newMuscle(env), nil
	default:
		return nil, fmt.Errorf("no simulated application is called %q", name)
	}
}
