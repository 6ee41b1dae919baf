package cardsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// schema marks the state of a card; a change that older programs cannot read
// gets another number.
const schema = "cardctl/simulated-card/v1"

// settings are what a card was made with.
type settings struct {
	Schema  string       `json:"schema"`
	Profile string       `json:"profile"`
	Serial  string       `json:"serial"`
	Latency jsonDuration `json:"latency,omitempty"`
}

// cardState is the state of a card that survives power loss.
type cardState struct {
	settings
	Applications []applicationState `json:"applications"`
}

type applicationState struct {
	Name  string          `json:"name"`
	State json.RawMessage `json:"state"`
}

// jsonDuration is written as time.ParseDuration reads it.
type jsonDuration time.Duration

const maxLatency = time.Minute

func (d jsonDuration) check() error {
	if d < 0 || time.Duration(d) > maxLatency {
		return fmt.Errorf("latency %v is not between 0 and %v", time.Duration(d), maxLatency)
	}
	return nil
}

func (d jsonDuration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(d).String()), d.check()
}

func (d *jsonDuration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = jsonDuration(parsed)
	return d.check()
}

// ErrState is a state that this program did not write, or not completely.
var ErrState = errors.New("not the state of a simulated card")

// parseState reads what snapshot wrote. Applications are not looked into.
func parseState(data []byte) (cardState, error) {
	var state cardState
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&state); err != nil {
		return cardState{}, fmt.Errorf("%w: %v", ErrState, err)
	}
	if state.Schema != schema {
		return cardState{}, fmt.Errorf("%w: schema %q, %q is wanted", ErrState, state.Schema, schema)
	}
	if decoder.More() {
		return cardState{}, fmt.Errorf("%w: something follows it", ErrState)
	}
	if len(state.Applications) == 0 {
		return cardState{}, fmt.Errorf("%w: no application", ErrState)
	}
	return state, nil
}

// snapshot is the state of the card as it is now.
func (c *Card) snapshot() ([]byte, error) {
	state := cardState{settings: c.settings}
	state.Schema = schema
	for _, app := range c.apps {
		inner, err := app.marshal()
		if err != nil {
			return nil, fmt.Errorf("application %s: %w", app.name(), err)
		}
		state.Applications = append(state.Applications, applicationState{Name: app.name(), State: inner})
	}
	data, err := json.MarshalIndent(state, "", " ")
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// load brings the card to the state that survived.
func (c *Card) load() error {
	state, err := parseState(c.persisted)
	if err != nil {
		return err
	}
	c.settings = state.settings
	names := make([]string, len(state.Applications))
	for i, app := range state.Applications {
		names[i] = app.Name
	}
	if err := c.build(names); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	for i, app := range c.apps {
		if err := app.unmarshal(state.Applications[i].State); err != nil {
			return fmt.Errorf("%w: application %s: %w", ErrState, app.name(), err)
		}
	}
	c.stale = false
	return nil
}

var errPowerLost = errors.New("power lost")

// commit makes the state as it is now survive power loss.
func (c *Card) commit() error {
	if !c.powered {
		return errPowerLost
	}
	c.traffic.Writes++
	if c.faults.powerLossBefore(c.traffic.Writes) {
		c.powerOff()
		return errPowerLost
	}
	state, err := c.snapshot()
	if err == nil {
		err = c.medium.write(state)
	}
	if err != nil {
		c.stale = true
		return err
	}
	c.persisted = state
	if c.faults.powerLossAfter(c.traffic.Writes) {
		c.powerOff()
		return errPowerLost
	}
	return nil
}

// recover goes back to what was written where a write failed.
func (c *Card) recover() {
	if !c.stale || !c.powered {
		return
	}
	if err := c.load(); err != nil {
		c.powerOff()
		return
	}
	c.reset()
}

func (c *Card) latency() time.Duration { return time.Duration(c.settings.Latency) + c.faults.delay }
