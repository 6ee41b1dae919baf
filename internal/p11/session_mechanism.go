package p11

import (
	"context"

	"github.com/miekg/pkcs11"
)

// mechanisms are what a session knows of the mechanisms of its token: their list,
// which is one call, and of each what it can do when that is needed first. There
// are 70 of them and more, and a network HSM is asked over the network.
type mechanisms struct {
	listed map[MechanismID]bool
	infos  map[MechanismID]Mechanism
}

// listMechanisms reads the list once. It is part of a call.
func (s *Session) listMechanisms() error {
	if s.mechanisms.listed != nil {
		return nil
	}
	ids, err := s.module.library.mechanisms(s.token.Slot)
	if err != nil {
		return err
	}
	s.mechanisms = mechanisms{make(map[MechanismID]bool), make(map[MechanismID]Mechanism)}
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
	m, known := s.mechanisms.infos[id]
	if known {
		return m, true
	}
	info, err := call(ctx, s.module, "C_GetMechanismInfo", func() (mechanismInfo, error) {
		return s.module.library.mechanismInfo(s.token.Slot, id)
	})
	switch CodeOf(err) {
	case pkcs11.CKR_MECHANISM_INVALID:
		delete(s.mechanisms.listed, id)
		return Mechanism{}, false
	case pkcs11.CKR_OK:
	default:
		info.flags = ^uint(0)
	}
	m = newMechanism(id, info)
	s.mechanisms.infos[id] = m
	return m, true
}

// Makes reports whether the token says that it can make keys of this algorithm:
// rsa2048, rsa3072, rsa4096, p256, p384, p521, ed25519 or x25519.
func (s *Session) Makes(ctx context.Context, algorithm string) (bool, error) {
	k, known := kindNamed(algorithm)
	if !known {
		return false, nil
	}
	if _, err := again(ctx, s, "C_GetMechanismList", func() (struct{}, error) { return struct{}{}, s.listMechanisms() }); err != nil {
		return false, s.Explain(ctx, err)
	}
	m, listed := s.mechanism(ctx, k.generate)
	return listed && k.madeBy(m), nil
}
