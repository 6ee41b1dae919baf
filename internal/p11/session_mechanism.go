package p11

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"slices"

	"github.com/miekg/pkcs11"
)

// mechanisms are what a session knows of the mechanisms of its token: their list,
// which is one call, and of each what it can do when that is needed first. There
// are 70 of them and more, and a network HSM is asked over the network.
type mechanisms struct {
	listed map[MechanismID]bool
	infos  map[MechanismID]Mechanism
}

// readMechanisms reads the list once.
func (s *Session) readMechanisms(ctx context.Context) error {
	_, err := again(ctx, s, "C_GetMechanismList", func() (struct{}, error) { return struct{}{}, s.listMechanisms() })
	return s.Explain(ctx, err)
}

// listMechanisms is readMechanisms as part of a call.
func (s *Session) listMechanisms() error {
	if s.mechanisms.listed != nil {
		return nil
	}
	ids, err := s.module.library.mechanisms(s.token.Slot)
	if err != nil {
		return err
	}
	s.mechanisms.listed = make(map[MechanismID]bool)
	for _, id := range ids {
		s.mechanisms.listed[id] = true
	}
	return nil
}

// mechanism is what the token says of one that it lists. One of which it says
// nothing may be able to do everything: its use tells.
func (s *Session) mechanism(ctx context.Context, id MechanismID) (m Mechanism, listed bool) {
	if !s.mechanisms.listed[id] {
		return Mechanism{}, false
	}
	m, err := s.mechanismInfo(ctx, id)
	switch CodeOf(err) {
	case pkcs11.CKR_MECHANISM_INVALID:
		delete(s.mechanisms.listed, id)
		return Mechanism{}, false
	case pkcs11.CKR_OK:
		return m, true
	}
	return s.know(id, mechanismInfo{flags: ^uint(0)}), true
}

// mechanismInfo asks once what a mechanism can do.
func (s *Session) mechanismInfo(ctx context.Context, id MechanismID) (Mechanism, error) {
	if m, known := s.mechanisms.infos[id]; known {
		return m, nil
	}
	info, err := call(ctx, s.module, "C_GetMechanismInfo", func() (mechanismInfo, error) {
		return s.module.library.mechanismInfo(s.token.Slot, id)
	})
	if err != nil {
		return Mechanism{}, err
	}
	return s.know(id, info), nil
}

func (s *Session) know(id MechanismID, info mechanismInfo) Mechanism {
	if s.mechanisms.infos == nil {
		s.mechanisms.infos = make(map[MechanismID]Mechanism)
	}
	m := newMechanism(id, info)
	s.mechanisms.infos[id] = m
	return m
}

// Makes reports whether the token says that it can make keys of this algorithm:
// rsa2048, rsa3072, rsa4096, p256, p384, p521, ed25519 or x25519.
func (s *Session) Makes(ctx context.Context, algorithm string) (bool, error) {
	k, known := kindNamed(algorithm)
	if !known {
		return false, nil
	}
	if s.mechanisms.listed == nil { // the name is enough to ask
		if m, err := s.mechanismInfo(ctx, k.generate); err == nil {
			return k.madeBy(m), nil
		}
	}
	if err := s.readMechanisms(ctx); err != nil {
		return false, err
	}
	m, listed := s.mechanism(ctx, k.generate)
	return listed && k.madeBy(m), nil
}

// Serves reports whether the token lists a mechanism that uses a private key of this kind
// and length. It tells why a key could not be used. Before a use it proves nothing, because
// not every module is right about lengths.
func (s *Session) Serves(ctx context.Context, public crypto.PublicKey) (bool, error) {
	if err := s.readMechanisms(ctx); err != nil {
		return false, err
	}
	const bitsOfCurve25519 = 255
	var bits, mostBytes uint // a greater length is in bits
	var uses []MechanismID
	for _, scheme := range schemesFor(public) {
		uses = append(uses, scheme.Mechanism)
	}
	switch public := public.(type) {
	case *rsa.PublicKey:
		bits, mostBytes, uses = uint(public.N.BitLen()), 512, append(uses, pkcs11.CKM_RSA_PKCS_OAEP)
	case *ecdsa.PublicKey:
		bits, mostBytes, uses = uint(public.Params().BitSize), 66, append(uses, pkcs11.CKM_ECDH1_DERIVE)
	case ed25519.PublicKey:
		return s.mechanisms.listed[ckmEDDSA], nil
	case *ecdh.PublicKey:
		bits, uses = bitsOfCurve25519, append(uses, pkcs11.CKM_ECDH1_DERIVE)
	default:
		return true, nil
	}
	return slices.ContainsFunc(uses, func(id MechanismID) bool {
		m, listed := s.mechanism(ctx, id)
		least, most := m.MinKeySize, m.MaxKeySize
		if most <= mostBytes {
			least, most = 8*least, 8*most
		}
		return listed && (most == 0 || bits >= least && bits <= most)
	}), nil
}

// PadsPSS reports whether the token lists a mechanism by which programs get RSASSA-PSS
// signatures: its own, or the one that signs a block which the program padded.
func (s *Session) PadsPSS(ctx context.Context) (bool, error) {
	err := s.readMechanisms(ctx)
	return s.mechanisms.listed[pkcs11.CKM_RSA_PKCS_PSS] || s.mechanisms.listed[pkcs11.CKM_RSA_X_509], err
}
