package iso7816

// Capabilities is what a card announces of the ways a long command can reach
// it (ISO/IEC 7816-4, 12.1.1.9, third software function table). Cards are
// known to announce too much and too little, so it is where a Channel starts,
// not what it believes.
type Capabilities struct {
	Chaining       bool
	ExtendedLength bool
	// MaxCommand and MaxAnswer are the greatest lengths of an extended
	// command APDU and its answer in bytes, 0 where they are not told.
	MaxCommand, MaxAnswer int
}

// HistoricalBytes returns the historical bytes of an answer to reset
// (ISO/IEC 7816-3, 8.2), at most 15; nil where the ATR is malformed.
func HistoricalBytes(atr []byte) []byte {
	if len(atr) < 2 {
		return nil
	}
	count := int(atr[1] & 0x0F)
	next, present := 2, atr[1]>>4
	for present != 0 {
		for bit := byte(1); bit < 8; bit <<= 1 { // TA, TB, TC
			if present&bit != 0 {
				next++
			}
		}
		if present&8 == 0 { // no TD
			break
		}
		if next >= len(atr) {
			return nil
		}
		present = atr[next] >> 4
		next++
	}
	if next+count > len(atr) {
		return nil
	}
	return atr[next : next+count]
}

// CapabilitiesOf reads the card capabilities, tag 7 in compact TLV, from
// historical bytes.
func CapabilitiesOf(historical []byte) Capabilities {
	if len(historical) == 0 {
		return Capabilities{}
	}
	body := historical[1:]
	if historical[0] == 0x00 && len(body) >= 3 {
		body = body[:len(body)-3] // status indicator
	} else if historical[0] != 0x80 {
		return Capabilities{}
	}
	for len(body) > 0 {
		tag, length := body[0]>>4, int(body[0]&0x0F)
		if 1+length > len(body) {
			break
		}
		if tag == 7 && length == 3 {
			third := body[3]
			return Capabilities{Chaining: third&0x80 != 0, ExtendedLength: third&0x40 != 0}
		}
		body = body[1+length:]
	}
	return Capabilities{}
}
