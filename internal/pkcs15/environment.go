package pkcs15

import "github.com/cardctl/cardctl/internal/iso7816"

// Templates of MANAGE SECURITY ENVIRONMENT (ISO/IEC 7816-4, 10.3.3).
const (
	templateSignature       = 0xB6
	templateConfidentiality = 0xB8
	templateAuthentication  = 0xA4
)

// environment is the data of MANAGE SECURITY ENVIRONMENT with a key: what is done with it, its
// file, and its reference.
func environment(algorithm byte, file [2]byte, reference byte) []byte {
	return []byte{0x80, 0x01, algorithm, 0x81, 0x02, file[0], file[1], 0x84, 0x01, reference}
}

// Padding indicators of PSO: DECIPHER.
const (
	indicatorWhole  = 0x00
	indicatorFirst  = 0x81 // half of a cryptogram of 256 bytes
	indicatorSecond = 0x82
)

// decipher is PSO: DECIPHER (ISO/IEC 7816-8, 11.11) of a cryptogram behind a padding indicator;
// answer is the most bytes that come back.
func decipher(indicator byte, cryptogram []byte, answer int) iso7816.Command {
	return iso7816.Command{
		INS: iso7816.InsPerformSecurityOp, P1: 0x80, P2: 0x86, Data: append([]byte{indicator}, cryptogram...), Ne: answer,
	}
}
