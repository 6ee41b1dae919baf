package cardsim

import (
	"crypto"
	_ "crypto/sha256" // SHA-256 for crypto.Hash
	_ "crypto/sha512" // SHA-512 for crypto.Hash
	"encoding/binary"
	"errors"
	"io"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// kdf is the KDF-DO F9, section 4.3.2: how the host makes of what a person
// types the password that it sends. The card only keeps it, and the initial
// passwords in it.
type kdf struct {
	hash    crypto.Hash // 0 where no derivation is done
	octets  uint32      // that are hashed
	saltPW1 []byte
	saltRC  []byte
	saltPW3 []byte

	initialPW1, initialPW3 []byte // derived; nil where the DO has none
}

// Tags inside of DO F9, and its values.
const (
	kdfAlgorithm  = 0x81
	kdfHash       = 0x82
	kdfOctets     = 0x83
	kdfSaltPW1    = 0x84
	kdfSaltRC     = 0x85
	kdfSaltPW3    = 0x86
	kdfInitialPW1 = 0x87
	kdfInitialPW3 = 0x88

	kdfIteratedSalted = 0x03
	kdfSHA256         = 0x08
	kdfSHA512         = 0x0A
	kdfSaltLength     = 8
)

var errKDF = errors.New("malformed KDF-DO")

// kdfNone is the DO of a card without derivation.
func kdfNone() []byte { return []byte{kdfAlgorithm, 1, 0} }

func (k *kdf) active() bool { return k.hash != 0 }

// parseKDF reads the content of DO F9.
func parseKDF(data []byte) (*kdf, error) {
	objects, err := iso7816.ParseTLVs(data)
	if err != nil {
		return nil, err
	}
	values := map[iso7816.Tag][]byte{}
	for _, o := range objects {
		values[o.Tag] = o.Value
	}
	algorithm := values[kdfAlgorithm]
	if len(algorithm) != 1 {
		return nil, errKDF
	}
	if algorithm[0] == 0 {
		return &kdf{}, nil
	}
	k := &kdf{
		saltPW1: values[kdfSaltPW1], saltRC: values[kdfSaltRC], saltPW3: values[kdfSaltPW3],
		initialPW1: values[kdfInitialPW1], initialPW3: values[kdfInitialPW3],
	}
	if hash := values[kdfHash]; len(hash) == 1 {
		switch hash[0] {
		case kdfSHA256:
			k.hash = crypto.SHA256
		case kdfSHA512:
			k.hash = crypto.SHA512
		}
	}
	if algorithm[0] != kdfIteratedSalted || k.hash == 0 || len(values[kdfOctets]) != 4 || len(k.saltPW1) != kdfSaltLength {
		return nil, errKDF
	}
	k.octets = binary.BigEndian.Uint32(values[kdfOctets])
	for _, salt := range [][]byte{k.saltRC, k.saltPW3} {
		if salt != nil && len(salt) != kdfSaltLength {
			return nil, errKDF
		}
	}
	for _, initial := range [][]byte{k.initialPW1, k.initialPW3} {
		if initial != nil && len(initial) != k.hash.Size() {
			return nil, errKDF
		}
	}
	return k, nil
}

// newKDF is what the profile with derivation from the factory starts with.
func newKDF(random io.Reader, password1, password3 []byte) (*kdf, error) {
	const octets = 100000 // what GnuPG takes at least
	salts := make([]byte, 3*kdfSaltLength)
	if _, err := io.ReadFull(random, salts); err != nil {
		return nil, err
	}
	k := &kdf{hash: crypto.SHA256, octets: octets, saltPW1: salts[:8], saltRC: salts[8:16], saltPW3: salts[16:]}
	k.initialPW1 = k.derive(k.saltPW1, password1)
	k.initialPW3 = k.derive(k.saltPW3, password3)
	return k, nil
}

// derive is the iterated and salted S2K of RFC 4880, 3.7.1.3.
func (k *kdf) derive(salt, password []byte) []byte {
	block := append(append([]byte{}, salt...), password...)
	h := k.hash.New()
	left := max(int(k.octets), len(block))
	for ; left > len(block); left -= len(block) {
		h.Write(block)
	}
	h.Write(block[:left])
	return h.Sum(nil)
}

func (k *kdf) encode() []byte {
	b := iso7816.AppendTLV(nil, kdfAlgorithm, []byte{kdfIteratedSalted})
	b = iso7816.AppendTLV(b, kdfHash, []byte{kdfSHA256})
	b = iso7816.AppendTLV(b, kdfOctets, binary.BigEndian.AppendUint32(nil, k.octets))
	b = iso7816.AppendTLV(b, kdfSaltPW1, k.saltPW1)
	b = iso7816.AppendTLV(b, kdfSaltRC, k.saltRC)
	b = iso7816.AppendTLV(b, kdfSaltPW3, k.saltPW3)
	b = iso7816.AppendTLV(b, kdfInitialPW1, k.initialPW1)
	return iso7816.AppendTLV(b, kdfInitialPW3, k.initialPW3)
}

// putKDF is PUT DATA of DO F9, on a card without keys. The passwords become the initial
// ones in the format the DO says, and have to be verified again; the resetting code
// goes, as nobody could use it.
func (a *openpgp) putKDF(data []byte) iso7816.Status {
	k, err := parseKDF(data)
	if err != nil || len(data) > specialLimit {
		return iso7816.StatusWrongData
	}
	for _, key := range a.state.Keys {
		if key.private != nil {
			return iso7816.StatusConditionsNotSatisfied
		}
	}
	if a.profile.kdfStored {
		a.state.KDF = append([]byte{}, data...)
		return a.save()
	}
	initial1, initial3 := k.initialPW1, k.initialPW3
	if !k.active() {
		initial1, initial3 = []byte(factoryPW1), []byte(factoryPW3)
	}
	next := a.state
	for _, change := range []struct {
		r       *referenceData
		initial []byte
	}{{&next.PW1, initial1}, {&next.PW3, initial3}} {
		if change.initial == nil {
			continue
		}
		fresh, err := newReferenceData(a.random, change.initial)
		if err != nil {
			return iso7816.StatusMemoryFailure
		}
		fresh.Tries = a.most(change.r)
		*change.r = fresh
	}
	next.RC = referenceData{}
	next.KDF = append([]byte{}, data...)
	a.state, a.verified = next, 0
	return a.save()
}
