package inventory

import (
	"context"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
)

// UnknownTries is the tries left of a PIN whose token does not count aloud.
const UnknownTries = -1

// InspectToken reads what a PKCS#11 token shows without a login. Many tokens
// hide private keys until then; a key is known by its public half.
func InspectToken(ctx context.Context, m *p11.Module, uri p11.URI) (info Info, err error) {
	info = Info{Keys: []Key{}, Certificates: []Certificate{}, PINs: []PIN{}}
	session, err := m.Open(ctx, uri)
	if err != nil {
		return info, err
	}
	defer func() {
		if closed := session.Close(); err == nil {
			err = closed
		}
	}()
	token := session.Token()
	info.Card = Card{Type: "PKCS#11 token", Serial: token.Serial, Label: token.Label, Applications: []Application{}}
	for _, role := range []p11.Role{p11.User, p11.SecurityOfficer} {
		info.PINs = append(info.PINs, tokenPIN(token, role))
	}
	contents, err := session.Contents(ctx)
	if err != nil {
		return info, session.Explain(ctx, err)
	}
	refs := map[string]string{} // by ID, for the certificates
	for _, stored := range contents.Keys {
		ref := session.URI(stored).String()
		refs[string(stored.ID)] = ref
		if stored.HasPublic || stored.HasPrivate {
			info.Keys = append(info.Keys, tokenKey(ref, stored))
		}
		for _, c := range stored.Certificates {
			info.Certificates = append(info.Certificates, Certificate{
				Ref: ref, Value: c.DER, Public: stored.Public, SerializedID: token.SerializedID(c.ID),
			})
		}
	}
	for _, c := range contents.Certificates {
		if _, shown := refs[string(c.ID)]; !shown {
			ref := session.URI(p11.StoredKey{ID: c.ID, Label: c.Label}).String()
			info.Certificates = append(info.Certificates, Certificate{Ref: ref, Value: c.DER, SerializedID: token.SerializedID(c.ID)})
		}
	}
	return info, nil
}

func tokenKey(ref string, stored p11.StoredKey) Key {
	k := Key{Ref: ref, Algorithm: string(key.AlgorithmOf(stored.Public)), Label: stored.Label}
	for i, may := range []bool{stored.Sign, stored.Decrypt, stored.Derive} {
		if may {
			k.Usage = append(k.Usage, []key.Usage{key.Sign, key.Decrypt, key.Derive}[i])
		}
	}
	if stored.Public != nil {
		k.Fingerprint = key.TokenFingerprint(stored.Public)
		k.describePublic(stored.Public)
	}
	return k
}

// tokenPIN is as exact as PKCS#11: the last try, blocked, or neither.
func tokenPIN(t p11.Token, role p11.Role) PIN {
	state := t.PIN(role)
	pin := PIN{
		Name: map[p11.Role]string{p11.User: "user", p11.SecurityOfficer: "so"}[role], TriesLeft: UnknownTries,
		MinLength: int(t.MinPINLength), MaxLength: int(t.MaxPINLength), Blocked: state.Locked, Set: state.Initialized,
	}
	switch {
	case state.Locked:
		pin.TriesLeft = 0
	case state.FinalTry:
		pin.TriesLeft = 1
	}
	return pin
}
