package iso7816

import (
	"bytes"
	"slices"
)

// What a command carries is taken for a secret unless the instruction is listed
// here. A new instruction is blank in a trace until somebody decides that it
// carries no PIN, no key, and nothing that a key can be computed from.

// publicInterindustry are the instructions of ISO/IEC 7816 whose data field and
// whose answer are public. Those that write are not among them: what a file or a
// data object holds depends on the card.
var publicInterindustry = []byte{
	InsManageSecurity,               // which key is used
	InsActivateFile, InsTerminateDF, // no data
	InsGenerateKeyPair, InsGenerateKeyPair &^ 1, // which key is made, and its public key
	0x70, // MANAGE CHANNEL
	InsGetChallenge,
	InsInternalAuthenticate, // what is signed, and the signature
	InsSelect, InsSelectData,
	0xB0, 0xB1, 0xB2, 0xB3, // READ BINARY, READ RECORD
	InsGetData, InsGetData | 1, InsGetNextData,
	0xE0, 0xE4, // CREATE FILE: how large it is, DELETE FILE
}

// publicGlobalPlatform are those of GlobalPlatform. Not among them are STORE
// DATA, which may hold keys, and PUT KEY.
var publicGlobalPlatform = []byte{
	0x50, InsExternalAuthenticate, // challenges and cryptograms
	0x70, InsSelect,
	InsGetData, InsGetData | 1, InsGetNextData,
	0xE4, 0xE6, 0xE8, // DELETE, INSTALL, LOAD
	0xF0, 0xF2, // SET STATUS, GET STATUS
}

// publicMUSCLE are those of the MUSCLE applet: its state, and lists.
var publicMUSCLE = []byte{0x3A, 0x3C, 0x48, 0x58}

// publicObjects are the data objects of the OpenPGP application that PUT DATA may
// show (4.4.1): name, login, language, sex, URL, algorithms, state of the PINs,
// fingerprints, times, user interaction, certificate. 01E0 is erasing a MyEID card.
// Not among them are keys, the resetting code and the KDF's salts, nor the private
// objects 0101 to 0104, which are PINs on a MyEID card.
var publicObjects = []Tag{
	0x5B, 0x5E, 0x5F2D, 0x5F35, 0x5F50, 0xC1, 0xC2, 0xC3, 0xC4, 0xC7, 0xC8, 0xC9, 0xCA, 0xCB, 0xCC, 0xCE, 0xCF, 0xD0, 0xD6, 0xD7, 0xD8, 0xD9, 0x7F21, 0x01E0,
}

// publicData reports whether the data field of a command is public.
func publicData(c Command) bool {
	if interindustry(c.CLA) {
		switch c.INS {
		case InsPerformSecurityOp: // what is signed, and what is deciphered, but not what is enciphered
			return c.P1 == 0x9E || c.P1 == 0x80 && (c.P2 == 0x84 || c.P2 == 0x86)
		case InsPutData:
			return slices.Contains(publicObjects, Tag(c.P1)<<8|Tag(c.P2))
		}
	}
	return publicInstruction(c)
}

// publicAnswer reports whether the answer to a command is public. What was
// deciphered is not, nor what a card that means ill sends back of a secret. PUT
// KEY is answered with check values.
func publicAnswer(c Command) bool {
	const putKey = 0xD8
	switch {
	case globalPlatform(c.CLA) && c.INS == putKey:
		return true
	case interindustry(c.CLA) && c.INS == InsPerformSecurityOp:
		return c.P1 == 0x9E
	case interindustry(c.CLA) && privateObject(c):
		return false
	}
	return publicInstruction(c)
}

// privateObject reports whether a data object is read that a PIN may protect: the
// private ones of the OpenPGP application (4.4.1), and the printed information of a
// PIV card, where ykman keeps a management key.
func privateObject(c Command) bool {
	switch c.INS {
	case InsGetData:
		return c.P1 == 0x01 && c.P2 >= 0x01 && c.P2 <= 0x04
	case InsGetData | 1:
		return bytes.HasSuffix(c.Data, []byte{0x5F, 0xC1, 0x09})
	}
	return false
}

// publicInstruction reports whether what a command carries both ways is public
// by its instruction.
func publicInstruction(c Command) bool {
	switch {
	case interindustry(c.CLA):
		return slices.Contains(publicInterindustry, c.INS)
	case globalPlatform(c.CLA):
		return slices.Contains(publicGlobalPlatform, c.INS)
	case c.CLA&0xF0 == 0xB0:
		return slices.Contains(publicMUSCLE, c.INS)
	}
	return false
}

// interindustry says that the class means what ISO/IEC 7816-4 says, on any
// logical channel, without secure messaging.
func interindustry(cla byte) bool { return cla&0xEC == 0 || cla&0xE0 == 0x40 }

// globalPlatform says that the class is one of GlobalPlatform's, on any logical
// channel (11.1.4).
func globalPlatform(cla byte) bool { return cla&0xE0 == 0x80 || cla&0xC0 == 0xC0 && cla != 0xFF }
