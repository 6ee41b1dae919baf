package p11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"

	"github.com/miekg/pkcs11"
)

// called is an object with a label.
func called(o fakeObject, label string) fakeObject {
	o.attributes[pkcs11.CKA_LABEL] = []byte(label)
	return o
}

// certificateFor is a certificate object for a key.
func certificateFor(t *testing.T, key crypto.Signer, id, label string) fakeObject {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: label}}
	value, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return called(fakeObject{attributes: map[uint][]byte{
		pkcs11.CKA_CLASS: number(pkcs11.CKO_CERTIFICATE), pkcs11.CKA_ID: []byte(id), pkcs11.CKA_VALUE: value,
	}}, label)
}

func TestWhatProgramsCallAKey(t *testing.T) {
	key := fakeP256()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	holding := func(label, serial string, objects ...fakeObject) *fakeToken {
		token := newFakeToken(label, serial)
		token.objects = objects
		return token
	}
	open := func(token *fakeToken) *fakeToken {
		token.info.flags &^= pkcs11.CKF_LOGIN_REQUIRED
		return token
	}
	at := func(token *fakeToken, reader string) *fakeToken {
		token.place = reader
		return token
	}
	public := func(id, label string) fakeObject { return called(publicHalf(t, key, id), label) }
	otherPublic := func(id, label string) fakeObject { return called(publicHalf(t, other, id), label) }
	own := holding("desk", "01", public("E", "key"), certificateFor(t, key, "E", "certificate"))
	const inDesk, serialized = "pkcs11:token=desk;serial=01;", `Snake\x20Oil//01/desk/45`
	for what, test := range map[string]struct {
		tokens []*fakeToken
		wanted Wanted
		id     []byte

		uri, unnamed, serializedID, handle, label, certificate string
	}{
		"one key":                    {[]*fakeToken{own}, Wanted{}, nil, inDesk + "id=%45;type=private", "", serialized, "45", "key", "certificate"},
		"beside another token":       {[]*fakeToken{holding("desk", "02"), own}, Wanted{}, nil, inDesk + "id=%45;type=private", "", serialized, "45", "key", "certificate"},
		"without a certificate":      {[]*fakeToken{holding("desk", "01", public("E", "key"))}, Wanted{}, nil, inDesk + "id=%45;type=private", "", "", "45", "key", "-"},
		"a certificate alone":        {[]*fakeToken{holding("desk", "01", certificateFor(t, key, "E", "a"))}, Wanted{}, nil, inDesk + "id=%45;type=private", "", serialized, "45", "-", "a"},
		"an empty label":             {[]*fakeToken{holding("", "01", public("E", ""))}, Wanted{}, nil, "pkcs11:serial=01;id=%45;type=private", "", "", "45", "", "-"},
		"characters with a meaning":  {[]*fakeToken{holding(`%;&'"ü`, "$1", public("E", ""))}, Wanted{}, nil, "pkcs11:token=%25%3B%26%27%22%C3%BC;serial=%241;id=%45;type=private", "", "", "45", "", "-"},
		"no serial number":           {[]*fakeToken{holding("desk", "", public("E", ""))}, Wanted{}, nil, "pkcs11:token=desk;manufacturer=Snake%20Oil;id=%45;type=private", "", "", "45", "", "-"},
		"no names of the token":      {[]*fakeToken{holding("", "", public("E", "")), holding("desk", "")}, Wanted{}, nil, "", otherToken, "", "45", "", "-"},
		"an ID of two keys":          {[]*fakeToken{holding("desk", "01", public("E", "key"), otherPublic("E", "other"))}, Wanted{}, nil, inDesk + "id=%45;object=key;type=private", "", "", "", "key", "-"},
		"names of two keys":          {[]*fakeToken{holding("desk", "01", public("E", "key"), otherPublic("E", "key"))}, Wanted{}, nil, "", otherKey, "", "", "key", "-"},
		"no ID":                      {[]*fakeToken{holding("desk", "01", public("", "key"), otherPublic("E", "other"))}, Wanted{}, nil, inDesk + "object=key;type=private", "", "", "", "key", "-"},
		"no ID, no label":            {[]*fakeToken{holding("desk", "01", public("", ""), otherPublic("E", "other"))}, Wanted{}, nil, "", otherKey, "", "", "", "-"},
		"another one's certificate":  {[]*fakeToken{holding("desk", "01", public("E", "key"), certificateFor(t, key, "E", "a"), certificateFor(t, other, "E", "b"))}, Wanted{}, nil, inDesk + "id=%45;object=key;type=private", "", "", "", "key", "a"},
		"a certificate astray":       {[]*fakeToken{holding("desk", "01", public("E", "key"), certificateFor(t, key, "F", "a"))}, Wanted{}, nil, inDesk + "id=%45;type=private", "", "", "45", "key", "a"},
		"two IDs, and hidden":        {[]*fakeToken{holding("desk", "01", public("E", "key"), public("F", "key"))}, Wanted{}, nil, "", severalIDs, "", "", "key", "-"},
		"two IDs, and shown":         {[]*fakeToken{open(holding("desk", "01", public("E", "a"), public("F", "b"), called(privateHalf(key, "F", nil), "c")))}, Wanted{}, nil, inDesk + "id=%46;type=private", "", "", "46", "c", "-"},
		"a private key twice":        {[]*fakeToken{open(holding("desk", "01", public("E", "a"), privateHalf(key, "E", nil), privateHalf(key, "E", nil)))}, Wanted{}, nil, "", otherKey, "", "", "", "-"},
		"no private key":             {[]*fakeToken{open(holding("desk", "01", public("E", "a")))}, Wanted{}, nil, "", noPrivate, "", "", "a", "-"},
		"a twin in another reader":   {[]*fakeToken{own, at(holding("desk", "01", public("E", "key")), "another")}, Wanted{}, nil, "", otherToken, "", "45", "key", "certificate"},
		"a copy in another reader":   {[]*fakeToken{own, at(holding("desk", "02", public("E", "key")), "another")}, Wanted{}, nil, inDesk + "id=%45;type=private", "", serialized, "45", "key", "certificate"},
		"on two tokens":              {[]*fakeToken{own, holding("desk (two)", "01", public("E", "key"))}, Wanted{}, nil, "", onSeveral, "", "", "-", "-"},
		"an ID on two tokens":        {[]*fakeToken{own, holding("desk (two)", "01", otherPublic("E", "key"))}, Wanted{}, nil, inDesk + "id=%45;type=private", "", serialized, "", "key", "certificate"},
		"not shown":                  {[]*fakeToken{holding("desk", "01", otherPublic("E", "key"))}, Wanted{}, nil, "", notShown, "", "", "-", "-"},
		"no token":                   {nil, Wanted{}, nil, "", notShown, "", "", "-", "-"},
		"hidden, of the card":        {[]*fakeToken{holding("desk", "01"), holding("desk", "02")}, Wanted{Serial: "01"}, []byte("E"), inDesk + "id=%45;type=private", "", "", "45", "-", "-"},
		"hidden, of the PIN":         {[]*fakeToken{holding("desk", "01"), holding("desk (two)", "01")}, Wanted{Serial: "01", Token: "desk"}, []byte("E"), inDesk + "id=%45;type=private", "", "", "45", "-", "-"},
		"hidden, on one of two":      {[]*fakeToken{holding("desk", "01"), holding("desk (two)", "01")}, Wanted{Serial: "01"}, []byte("E"), "", notShown, "", "", "-", "-"},
		"hidden, with an ID in use":  {[]*fakeToken{holding("desk", "01", otherPublic("E", "other"))}, Wanted{Serial: "01"}, []byte("E"), "", otherKey, "", "", "-", "-"},
		"hidden, of another card":    {[]*fakeToken{holding("desk", "02")}, Wanted{Serial: "01"}, []byte("E"), "", notShown, "", "", "-", "-"},
		"absent, where all is shown": {[]*fakeToken{open(holding("desk", "01"))}, Wanted{Serial: "01"}, []byte("E"), "", notShown, "", "", "-", "-"},
		"hidden, by an unknown ID":   {[]*fakeToken{holding("desk", "01")}, Wanted{Serial: "01"}, nil, "", notShown, "", "", "-", "-"},
	} {
		t.Run(what, func(t *testing.T) {
			m, f := startFake(t, test.tokens...)
			views, err := m.Views(t.Context(), "reader")
			if err != nil {
				t.Fatal(err)
			}
			if test.wanted.Serial == "" {
				test.wanted.Public = key.Public()
			}
			got := views.KnownAs(test.wanted, test.id)
			if got.Module != "/usr/lib/fake.so" || got.URI != test.uri || got.Unnamed != test.unnamed || got.SerializedID != test.serializedID ||
				got.Handle != test.handle || orNone(got.KeyLabel) != test.label || orNone(got.CertificateLabel) != test.certificate {
				t.Errorf("%+v, labels %s, %s", got, orNone(got.KeyLabel), orNone(got.CertificateLabel))
			}
			if n := f.count("C_Login"); n > 0 {
				t.Errorf("%d logins", n)
			}
		})
	}
}

// orNone is a dash for nil.
func orNone(label *string) string {
	if label == nil {
		return "-"
	}
	return *label
}

// What OpenVPN calls a certificate is certain only where one token has it, under an ID
// of its key alone.
func TestTheSerializedIDOfACertificate(t *testing.T) {
	key, foreign := fakeP256(), fakeRSA()
	own := certificateFor(t, key, "E", "own")
	value := own.attributes[pkcs11.CKA_VALUE]
	for what, test := range map[string]struct {
		objects [2][]fakeObject
		want    string
	}{
		"one":              {[2][]fakeObject{{own}, nil}, `Snake\x20Oil//01/one/45`},
		"none":             {[2][]fakeObject{}, ""},
		"on two tokens":    {[2][]fakeObject{{own}, {own}}, ""},
		"of the same key":  {[2][]fakeObject{{own, certificateFor(t, key, "E", "renewed")}, nil}, `Snake\x20Oil//01/one/45`},
		"of another key":   {[2][]fakeObject{{own, certificateFor(t, foreign, "E", "foreign")}, nil}, ""},
		"not to be parsed": {[2][]fakeObject{{own, {attributes: map[uint][]byte{pkcs11.CKA_CLASS: number(pkcs11.CKO_CERTIFICATE), pkcs11.CKA_ID: []byte("E")}}}, nil}, ""},
	} {
		one, two := newFakeToken("one", "01"), newFakeToken("two", "01")
		one.objects, two.objects = test.objects[0], test.objects[1]
		m, _ := startFake(t, one, two)
		views, err := m.Views(t.Context(), "reader")
		if got := views.SerializedID(value); err != nil || got != test.want {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}
