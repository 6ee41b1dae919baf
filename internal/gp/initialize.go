package gp

// Lengths of the answer to INITIALIZE UPDATE in bytes.
const (
	kddLength        = 10
	keyInformation   = kddLength + 2 // up to the number of the protocol
	sequence02Length = 2
	sequence03Length = 3
	challengeLength  = 8
	cryptogramLength = 8
	longLength       = 16 // challenges and cryptograms with S16
	initializeLength = keyInformation + challengeLength + cryptogramLength
	initialize03     = initializeLength + 1
	initialize03Long = keyInformation + 1 + longLength + longLength
)

// InitializeUpdate is the answer to INITIALIZE UPDATE (D.4.1.4, E.5.1.4;
// Amendment D, 7.1.1.4).
type InitializeUpdate struct {
	KeyDiversificationData [kddLength]byte
	KeyVersion             byte
	SCP                    byte

	// I is the parameter "i", which only SCP03 answers.
	I byte

	// Challenge is the card challenge: 8 bytes, with S16 16. In SCP02 it
	// begins with the sequence counter.
	Challenge []byte

	Cryptogram []byte

	// Sequence is the sequence counter: 2 bytes in SCP02, 3 in SCP03 with
	// pseudo-random card challenges, else nil.
	Sequence []byte
}

// ParseInitializeUpdate reads the answer. Its length has to be exactly that of
// the protocol and the options that it names.
func ParseInitializeUpdate(answer []byte) (*InitializeUpdate, error) {
	if len(answer) < keyInformation {
		return nil, malformed("INITIALIZE UPDATE answered %d bytes", len(answer))
	}
	u := &InitializeUpdate{
		KeyDiversificationData: [kddLength]byte(answer[:kddLength]),
		KeyVersion:             answer[kddLength],
		SCP:                    answer[kddLength+1],
	}
	rest := answer[keyInformation:]
	length, size := initializeLength, challengeLength
	switch u.SCP {
	case 1, 2:
	case 3:
		if len(rest) == 0 {
			return nil, malformed("INITIALIZE UPDATE of SCP03 answered %d bytes", len(answer))
		}
		u.I, rest = rest[0], rest[1:]
		length = initialize03
		if u.I&optionS16 != 0 {
			length, size = initialize03Long, longLength
		}
		if u.I&optionPseudoRandom03 != 0 {
			length += sequence03Length
		}
	default:
		return nil, Protocol{SCP: u.SCP}.check()
	}
	if len(answer) != length {
		return nil, malformed("INITIALIZE UPDATE of SCP%02X answered %d bytes instead of %d", u.SCP, len(answer), length)
	}
	u.Challenge, rest = rest[:size:size], rest[size:]
	u.Cryptogram, rest = rest[:size:size], rest[size:]
	switch u.SCP {
	case 2:
		u.Sequence = u.Challenge[:sequence02Length:sequence02Length]
	case 3:
		if len(rest) > 0 {
			u.Sequence = rest
		}
	}
	return u, nil
}
