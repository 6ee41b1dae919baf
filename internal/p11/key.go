package p11

import (
	"context"
	"crypto"

	"github.com/miekg/pkcs11"
)

// Key is a private key on a token, good until its session is closed.
type Key struct {
	session *Session
	handle  object
	public  crypto.PublicKey
	told    crypto.PublicKey // what the private object itself says, or nil

	id      []byte
	label   string
	sign    bool
	decrypt bool
	derive  bool
	// always wants the PIN again for every use.
	always bool
	// allowed are CKA_ALLOWED_MECHANISMS, nil where all are.
	allowed map[MechanismID]bool
}

func (s *Session) newKey(o object, v values, public crypto.PublicKey) *Key {
	k := &Key{
		session: s,
		handle:  o,
		public:  public,
		told:    v.publicKey(),
		id:      v[pkcs11.CKA_ID],
		label:   string(v[pkcs11.CKA_LABEL]),
		always:  v.flag(pkcs11.CKA_ALWAYS_AUTHENTICATE, false),
	}
	k.sign, k.decrypt, k.derive = v.uses()
	if list := parseNumbers(v[pkcs11.CKA_ALLOWED_MECHANISMS]); len(list) > 0 {
		k.allowed = make(map[MechanismID]bool)
		for _, id := range list {
			k.allowed[MechanismID(id)] = true
		}
	}
	return k
}

// Prospect is the private key of a public one, before a login shows it: what token and
// module could sign with it. It cannot be used.
func (s *Session) Prospect(ctx context.Context, public crypto.PublicKey) (*Key, error) {
	return &Key{session: s, public: public, sign: true}, s.readMechanisms(ctx)
}

// uses are CKA_SIGN, CKA_DECRYPT and CKA_DERIVE of a private key. Scute 1.7 denies every
// use of its keys, and lists mechanisms that they allow: these decide then.
func (v values) uses() (sign, decrypt, derive bool) {
	sign, decrypt, derive = v.flag(pkcs11.CKA_SIGN, true), v.flag(pkcs11.CKA_DECRYPT, true), v.flag(pkcs11.CKA_DERIVE, true)
	none := !sign && !decrypt && !derive && !v.flag(pkcs11.CKA_UNWRAP, false)
	if none && len(parseNumbers(v[pkcs11.CKA_ALLOWED_MECHANISMS])) > 0 {
		return true, true, true
	}
	return sign, decrypt, derive
}

// Public is the public half, *rsa.PublicKey, *ecdsa.PublicKey,
// ed25519.PublicKey or *ecdh.PublicKey.
func (k *Key) Public() crypto.PublicKey { return k.public }

// MaySign, MayDecrypt and MayDerive are CKA_SIGN, CKA_DECRYPT and CKA_DERIVE. They are
// true for a key whose allowed mechanisms are all that it reports.
func (k *Key) MaySign() bool    { return k.sign }
func (k *Key) MayDecrypt() bool { return k.decrypt }
func (k *Key) MayDerive() bool  { return k.derive }

// AlwaysAuthenticates reports whether the key wants the PIN for every use.
func (k *Key) AlwaysAuthenticates() bool { return k.always }

// URI names the key on its token.
func (k *Key) URI() URI {
	u := k.session.token.uri()
	if len(k.id) > 0 {
		u.Path = append(u.Path, Attribute{AttrID, string(k.id)})
	} else if k.label != "" {
		u.Path = append(u.Path, Attribute{AttrObject, k.label})
	}
	u.Path = append(u.Path, Attribute{AttrType, "private"})
	return u
}

// lists reports whether token and key have a mechanism in common. What the token
// can do with it, has tells.
func (k *Key) lists(id MechanismID) bool {
	return (k.allowed == nil || k.allowed[id]) && k.session.mechanisms.listed[id]
}

// has reports whether token and key share a mechanism for an operation, given
// as the flag of CK_MECHANISM_INFO.
func (k *Key) has(ctx context.Context, id MechanismID, operation uint) bool {
	if !k.lists(id) {
		return false
	}
	m, listed := k.session.mechanism(ctx, id)
	return listed && m.flags&operation != 0
}

// operation is one use of the key: it is begun, authenticated where the key
// wants it, and ended, with no other call in between. Where the token had ended
// the session it is made once more in a new one.
func (k *Key) operation(ctx context.Context, name string, begin func() error, end func() ([]byte, error)) ([]byte, error) {
	result, err := k.operate(ctx, name, begin, end)
	if !k.session.loggedOut(CodeOf(err)) || k.always && !CodeOf(err).isLost() || k.renew(ctx) != nil {
		return result, k.session.judge(ctx, err)
	}
	result, err = k.operate(ctx, name, begin, end)
	return result, k.session.judge(ctx, err)
}

func (k *Key) operate(ctx context.Context, name string, begin func() error, end func() ([]byte, error)) ([]byte, error) {
	if !k.always {
		return call(ctx, k.session.module, name, func() ([]byte, error) {
			if err := begin(); err != nil {
				return nil, err
			}
			return end()
		})
	}
	return withPIN(ctx, k.session, name, func(pin []byte) ([]byte, error) {
		if err := begin(); err != nil {
			return nil, err
		}
		if err := k.session.loginAgain(pin); err != nil {
			return nil, err
		}
		return end()
	})
}

// ListsPSS reports whether token and key have CKM_RSA_PKCS_PSS, which programs ask for
// before they sign with RSASSA-PSS.
func (k *Key) ListsPSS() bool { return k.lists(pkcs11.CKM_RSA_PKCS_PSS) }
