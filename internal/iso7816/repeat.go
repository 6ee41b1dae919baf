package iso7816

// Instruction bytes that only mayRepeat knows.
const (
	insReadBinary       = 0xB0
	insReadBinaryOdd    = 0xB1
	insReadRecord       = 0xB2
	insReadRecordOdd    = 0xB3
	insGetDataOdd       = 0xCB
	insGetStatus        = 0xF2 // GlobalPlatform
	insInitializeUpdate = 0x50 // GlobalPlatform
	insYubicoMetadata   = 0xF7 // of a key of PIV
	insYubicoSerial     = 0xF8
	insYubicoVersion    = 0xFD
)

// mayRepeat reports whether a command may be sent again after the card answered
// with a wish, such as 6Cxx, whether it was carried out or not: it asks for data,
// carries no secret and changes nothing that outlives the session. Every command
// that may is listed here; one that is not known may not.
func (c Command) mayRepeat() bool {
	if c.Ne == 0 {
		return false
	}
	switch c.CLA & 0xF0 {
	case 0x00, 0x10: // ISO/IEC 7816-4
		return c.readsInterindustry()
	case 0x80: // GlobalPlatform
		switch c.INS {
		case InsGetData, insGetDataOdd, insGetStatus, insInitializeUpdate:
			return true
		}
	}
	return false
}

func (c Command) readsInterindustry() bool {
	switch c.INS {
	case InsSelect, InsSelectData, InsGetResponse, InsGetData, insGetDataOdd, InsGetNextData, InsGetChallenge,
		insReadBinary, insReadBinaryOdd, insReadRecord, insReadRecordOdd:
		return true
	case InsInternalAuthenticate:
		return true
	case insYubicoMetadata, insYubicoSerial, insYubicoVersion:
		return len(c.Data) == 0
	case InsPerformSecurityOp:
		// Deciphering is a use of the key. A digital signature is counted, and
		// may use up the PIN that was verified for it.
		const plain = 0x80
		return c.P1 == plain
	case InsGenerateKeyPair:
		// Bit 1 of P1: no new key, the public key of the one that is there
		// (ISO/IEC 7816-8, 11.2.4).
		return c.P1&0x01 != 0
	}
	return false
}
