package cardsim

import "bytes"

// atr is the answer to reset (ISO/IEC 7816-3, 8.2): direct convention, T=1
// only, or T=0 only, which has neither the bytes of T=1 nor a check byte, and the
// historical bytes of the first application that has any.
func (c *Card) atr() []byte {
	historical := []byte{0x80} // COMPACT-TLV objects, none of them
	for _, app := range c.apps {
		if h := app.historicalBytes(); h != nil {
			historical = h
			break
		}
	}
	if len(c.apps) > 1 {
		historical = platform(historical)
	}
	if c.profile.t0 {
		return append([]byte{
			0x3B,
			0x50 | byte(len(historical)), // T0: TA1 and TC1 follow
			0x18, 0xFF,                   // as below
		}, historical...)
	}
	atr := []byte{
		0x3B,
		0xD0 | byte(len(historical)), // T0: TA1, TC1 and TD1 follow
		0x18,                         // TA1: Fi 372, Di 12
		0xFF,                         // TC1: guard time of 11 etu
		0x81,                         // TD1: TD2 follows, T=1
		0xB1,                         // TD2: TA3, TB3, TD3 follow, T=1
		0xFE,                         // TA3: IFSC of 254 bytes
		0x75,                         // TB3: BWI 7, CWI 5
		0x1F,                         // TD3: TA4 follows, T=15
		0x03,                         // TA4: clock stop not supported, classes A and B (3 and 5 V)
	}
	atr = append(atr, historical...)
	check := byte(0)
	for _, b := range atr[1:] {
		check ^= b
	}
	return append(atr, check)
}

// platform are the historical bytes of a card with several applications: what the
// first says of how commands travel, and nothing of its status (ISO/IEC 7816-4,
// 12.1.1).
func platform(historical []byte) []byte {
	const withStatus, without, capabilities = 0x00, 0x80, 0x73
	if len(historical) < 4 || historical[0] != withStatus {
		return historical
	}
	at := bytes.IndexByte(historical, capabilities)
	if at < 0 {
		return []byte{without}
	}
	return append([]byte{without}, historical[at:at+4]...)
}
