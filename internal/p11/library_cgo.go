//go:build cgo && !windows

package p11

import (
	"errors"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/miekg/pkcs11"
)

// openLibrary maps the module into the process. It is never unmapped: a
// library with threads or exit handlers of its own crashes when it is.
func openLibrary(path string) (library, error) {
	err := mapModule(path)
	var ctx *pkcs11.Ctx
	if err == nil {
		if ctx = pkcs11.New(path); ctx == nil {
			err = errLoader
		}
	}
	if err != nil {
		return nil, problem.New(problem.Failed, "%s: the module cannot be loaded", path).
			Because("%s.", err).
			Advise(advice.Run("ldd", path))
	}
	own, err := directly(ctx)
	if err != nil {
		return nil, notAModule(path, err)
	}
	return cryptoki{ctx, own}, nil
}

// cryptoki is the library through miekg/pkcs11, and directly where that does
// not do.
type cryptoki struct {
	ctx *pkcs11.Ctx
	direct
}

// failure turns miekg's error into ours.
func failure(function string, err error) error {
	if err == nil {
		return nil
	}
	code := Code(pkcs11.CKR_GENERAL_ERROR)
	var rv pkcs11.Error
	if errors.As(err, &rv) {
		code = Code(rv)
	}
	return &CallError{Function: function, Code: code}
}

// initialize allows the module to lock. One that cannot, as Scute cannot, may
// do without: it is never called by two threads at once.
func (c cryptoki) initialize() error {
	err := c.ctx.Initialize()
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_CANT_LOCK)) {
		err = c.ctx.Initialize(pkcs11.InitializeWithFlags(0))
	}
	return failure("C_Initialize", err)
}

func (c cryptoki) finalize() error { return failure("C_Finalize", c.ctx.Finalize()) }

func (c cryptoki) info() (libraryInfo, error) {
	i, err := c.ctx.GetInfo()
	return libraryInfo{
		manufacturer: i.ManufacturerID,
		description:  i.LibraryDescription,
		major:        i.LibraryVersion.Major,
		minor:        i.LibraryVersion.Minor,
	}, failure("C_GetInfo", err)
}

func (c cryptoki) slotInfo(slot uint) (slotInfo, error) {
	i, err := c.ctx.GetSlotInfo(slot)
	return slotInfo{description: i.SlotDescription, manufacturer: i.ManufacturerID},
		failure("C_GetSlotInfo", err)
}

func (c cryptoki) tokenInfo(slot uint) (tokenInfo, error) {
	i, err := c.ctx.GetTokenInfo(slot)
	return tokenInfo{
		label:        i.Label,
		manufacturer: i.ManufacturerID,
		model:        i.Model,
		serial:       i.SerialNumber,
		flags:        i.Flags,
		minPINLength: i.MinPinLen,
		maxPINLength: i.MaxPinLen,
	}, failure("C_GetTokenInfo", err)
}

func (c cryptoki) mechanismInfo(slot uint, id MechanismID) (mechanismInfo, error) {
	i, err := c.ctx.GetMechanismInfo(slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(uint(id), nil)})
	return mechanismInfo{minKeySize: i.MinKeySize, maxKeySize: i.MaxKeySize, flags: i.Flags},
		failure("C_GetMechanismInfo", err)
}

func (c cryptoki) openSession(slot uint) (session, error) {
	s, err := c.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	return session(s), failure("C_OpenSession", err)
}

func (c cryptoki) closeSession(s session) error {
	return failure("C_CloseSession", c.ctx.CloseSession(pkcs11.SessionHandle(s)))
}

func (c cryptoki) logout(s session) error {
	return failure("C_Logout", c.ctx.Logout(pkcs11.SessionHandle(s)))
}

func (c cryptoki) sessionState(s session) (uint, error) {
	i, err := c.ctx.GetSessionInfo(pkcs11.SessionHandle(s))
	return i.State, failure("C_GetSessionInfo", err)
}

// findObjects asks for no more than maxObjects.
func (c cryptoki) findObjects(s session, template []objectAttribute) (found []object, err error) {
	if err := c.ctx.FindObjectsInit(pkcs11.SessionHandle(s), attributes(template)); err != nil {
		return nil, failure("C_FindObjectsInit", err)
	}
	defer func() {
		if ferr := c.ctx.FindObjectsFinal(pkcs11.SessionHandle(s)); err == nil {
			err = failure("C_FindObjectsFinal", ferr)
		}
	}()
	for len(found) < maxObjects {
		more, err := c.nextObjects(s)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
		if len(more) < searchBatch { // as NSS takes it
			break
		}
	}
	return found, nil
}

func (c cryptoki) destroyObject(s session, o object) error {
	return failure("C_DestroyObject", c.ctx.DestroyObject(pkcs11.SessionHandle(s), pkcs11.ObjectHandle(o)))
}

func (c cryptoki) signInit(s session, m mechanism, key object) error {
	return failure("C_SignInit", c.ctx.SignInit(pkcs11.SessionHandle(s), native(m), pkcs11.ObjectHandle(key)))
}

func (c cryptoki) decryptInit(s session, m mechanism, key object) error {
	return failure("C_DecryptInit", c.ctx.DecryptInit(pkcs11.SessionHandle(s), native(m), pkcs11.ObjectHandle(key)))
}

func (c cryptoki) deriveKey(s session, m mechanism, key object, template []objectAttribute) (object, error) {
	derived, err := c.ctx.DeriveKey(pkcs11.SessionHandle(s), native(m), pkcs11.ObjectHandle(key), attributes(template))
	return object(derived), failure("C_DeriveKey", err)
}

func attributes(template []objectAttribute) []*pkcs11.Attribute {
	list := make([]*pkcs11.Attribute, 0, len(template))
	for _, a := range template {
		list = append(list, pkcs11.NewAttribute(a.kind, a.value))
	}
	return list
}

func native(m mechanism) []*pkcs11.Mechanism {
	var parameter any
	switch {
	case m.pss != nil:
		parameter = pkcs11.NewPSSParams(m.pss.hash, m.pss.mgf, m.pss.saltLength)
	case m.oaep != nil:
		parameter = pkcs11.NewOAEPParams(m.oaep.hash, m.oaep.mgf, pkcs11.CKZ_DATA_SPECIFIED, nil)
	case m.ecdh != nil:
		parameter = pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, m.ecdh)
	}
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(uint(m.id), parameter)}
}
