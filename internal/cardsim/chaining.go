package cardsim

import (
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// link is what the card remembers from one APDU to the next.
type link struct {
	// chain is the data of a command chain that is not complete.
	chaining bool
	header   [3]byte // INS, P1, P2 of the chain
	chain    []byte

	// rest is what GET RESPONSE fetches, status its last status word.
	rest   []byte
	status iso7816.Status

	// held is the answer that waits for the same command with the right Le.
	held     []byte
	heldFor  []byte // header and data of that command
	heldDone iso7816.Status
}

// Bits of an interindustry class byte, ISO/IEC 7816-4, 5.4.1.
const (
	classProprietary = 0x80
	classFurther     = 0x40 // further interindustry: channels 4 to 19
	classReserved    = 0x20
	classSecure      = 0x0C
	classChannel     = 0x03

	classSecureGP = 0x04 // of the secure bits: not the secure messaging of ISO/IEC 7816-4
)

// classStatus refuses the class bytes the card does not know.
func classStatus(cla byte) iso7816.Status {
	switch {
	case cla == 0xFF:
		return iso7816.StatusCLANotSupported
	case cla&classProprietary != 0:
		return iso7816.StatusOK // for the application to judge
	case cla&classFurther != 0:
		return iso7816.StatusChannelNotSupported
	case cla&classReserved != 0:
		return iso7816.StatusCLANotSupported
	case cla&classChannel != 0:
		return iso7816.StatusChannelNotSupported
	case cla&classSecure != 0:
		return statusSecureMessagingNotSupported
	}
	return iso7816.StatusOK
}

const statusSecureMessagingNotSupported iso7816.Status = 0x6882

// execute answers one command APDU.
func (c *Card) execute(apdu []byte) []byte {
	cmd, extended, err := iso7816.ParseCommand(apdu)
	if err != nil {
		return encode(nil, iso7816.StatusWrongLength)
	}
	if status := classStatus(cmd.CLA); status != iso7816.StatusOK && !c.unwraps(cmd.CLA) {
		return encode(nil, status)
	}
	const fullBlock = 5 + iso7816.MaxShortData + 1
	if c.profile.noLeOnBlocks && (cmd.CLA&iso7816.ClassChaining != 0 && cmd.Ne > 0 || !extended && len(apdu) == fullBlock) {
		return encode(nil, iso7816.StatusUnknown)
	}
	if extended && !c.profile.extendedLength {
		return encode(nil, iso7816.StatusWrongLength)
	}
	interindustry := cmd.CLA&classProprietary == 0
	if interindustry && cmd.INS == iso7816.InsGetResponse && !c.link.chaining {
		return c.getResponse(cmd)
	}
	c.link.rest = nil
	if interindustry {
		complete, status := c.unchain(&cmd)
		if !complete {
			return encode(nil, status)
		}
	}
	if held := c.release(cmd); held != nil {
		return held
	}
	data, status := c.dispatch(cmd)
	return c.respond(cmd, data, status)
}

// unwraps reports whether the class byte is that of GlobalPlatform's secure
// messaging, and the application that is selected takes it.
func (c *Card) unwraps(cla byte) bool {
	_, ok := c.current.(secureMessenger)
	return ok && cla == classSecureGP
}

// dispatch hands a complete command to whom it is for.
func (c *Card) dispatch(cmd iso7816.Command) ([]byte, iso7816.Status) {
	switch {
	case cmd.CLA&classProprietary == 0 && cmd.INS == iso7816.InsSelect:
		return c.selectApplication(cmd)
	case c.current != nil:
		return c.current.process(cmd)
	case cmd.CLA&classProprietary != 0:
		return nil, iso7816.StatusCLANotSupported
	default:
		return nil, iso7816.StatusINSNotSupported
	}
}

// unchain collects the links of a command chain (ISO/IEC 7816-4, 5.3.3). It
// is complete when cmd holds the data of the whole chain.
func (c *Card) unchain(cmd *iso7816.Command) (complete bool, status iso7816.Status) {
	more := cmd.CLA&iso7816.ClassChaining != 0
	header := [3]byte{cmd.INS, cmd.P1, cmd.P2}
	if more && !c.profile.chaining {
		return false, iso7816.StatusChainingNotSupported
	}
	if c.link.chaining && header != c.link.header {
		c.link.chaining, c.link.chain = false, nil
		return false, iso7816.StatusLastCommandExpected
	}
	if len(c.link.chain)+len(cmd.Data) > c.profile.commandLimit {
		c.link.chaining, c.link.chain = false, nil
		return false, iso7816.StatusWrongLength
	}
	c.link.chain = append(c.link.chain, cmd.Data...)
	c.link.chaining, c.link.header = more, header
	if more {
		return false, iso7816.StatusOK
	}
	cmd.Data = c.link.chain
	c.link.chain = nil
	return true, iso7816.StatusOK
}

// respond fits an answer into the Le of its command.
func (c *Card) respond(cmd iso7816.Command, data []byte, status iso7816.Status) []byte {
	if c.profile.endlessAnswers && cmd.INS == iso7816.InsGetData && len(data) > 0 {
		c.link.rest, c.link.status = data, status
		return encode(data[:min(len(data), cmd.Ne, iso7816.MaxShortNe)], moreData(iso7816.MaxShortNe))
	}
	if c.profile.exactLe && len(data) > 0 && len(data) <= iso7816.MaxShortNe && cmd.Ne > 0 && cmd.Ne != len(data) {
		c.link.held, c.link.heldFor, c.link.heldDone = data, heading(cmd), status
		return encode(nil, 0x6C00|iso7816.Status(len(data)&0xFF))
	}
	if c.profile.moreForNothing && cmd.Ne == 0 && len(data) == 0 && status == iso7816.StatusOK {
		return encode(nil, moreData(0)) // nothing is held: GET RESPONSE is refused
	}
	if cmd.Ne == 0 && c.impliesLe() {
		cmd.Ne = iso7816.MaxShortNe
	}
	if len(data) <= cmd.Ne {
		return encode(data, status)
	}
	c.link.rest, c.link.status = data[cmd.Ne:], status
	return encode(data[:cmd.Ne], moreData(len(c.link.rest)))
}

// release answers a command that comes again with the Le it was told.
func (c *Card) release(cmd iso7816.Command) []byte {
	held, asked := c.link.held, c.link.heldFor
	c.link.held, c.link.heldFor = nil, nil
	if held == nil || cmd.Ne != len(held) || !slices.Equal(asked, heading(cmd)) {
		return nil
	}
	return encode(held, c.link.heldDone)
}

// heading is all of a command but its Le.
func heading(cmd iso7816.Command) []byte {
	return append([]byte{cmd.CLA, cmd.INS, cmd.P1, cmd.P2}, cmd.Data...)
}

// getResponse is GET RESPONSE, ISO/IEC 7816-4, 11.8.1.
func (c *Card) getResponse(cmd iso7816.Command) []byte {
	switch {
	case cmd.P1 != 0 || cmd.P2 != 0:
		return encode(nil, iso7816.StatusWrongOffset)
	case len(cmd.Data) != 0:
		return encode(nil, iso7816.StatusWrongLength)
	case len(c.link.rest) == 0:
		return encode(nil, iso7816.StatusConditionsNotSatisfied)
	}
	n := min(cmd.Ne, len(c.link.rest))
	part := c.link.rest[:n]
	if c.profile.endlessAnswers {
		return encode(part, moreData(iso7816.MaxShortNe))
	}
	c.link.rest = c.link.rest[n:]
	if len(c.link.rest) > 0 {
		return encode(part, moreData(len(c.link.rest)))
	}
	return encode(part, c.link.status)
}

// moreData is 61xx; 00 means 256 bytes or more.
func moreData(n int) iso7816.Status {
	if n >= iso7816.MaxShortNe {
		n = 0
	}
	return 0x6100 | iso7816.Status(n)
}

// encode is an answer APDU.
func encode(data []byte, status iso7816.Status) []byte {
	answer := make([]byte, 0, len(data)+2)
	answer = append(answer, data...)
	return append(answer, byte(status>>8), byte(status))
}
