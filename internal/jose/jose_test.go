package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/secret"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// parts are the decoded parts of a compact serialization, and what is signed.
func parts(t *testing.T, compact string) (header map[string]any, payload, signature, signed []byte) {
	t.Helper()
	encoded := strings.Split(compact, ".")
	if len(encoded) != 3 {
		t.Fatalf("%q", compact)
	}
	var decoded [3][]byte
	for i, part := range encoded {
		var err error
		decoded[i], err = base64.RawURLEncoding.DecodeString(part)
		check(t, err)
	}
	check(t, json.Unmarshal(decoded[0], &header))
	return header, decoded[1], decoded[2], []byte(encoded[0] + "." + encoded[1])
}

// TestSign verifies with the standard library what was signed with each kind of key.
func TestSign(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	for algorithm, key := range map[string]crypto.Signer{"ES256": p256, "EdDSA": ed, "RS256": rsaKey} {
		jws, err := Sign(key, Header{"kid": "here", "nonce": "once"}, []byte("payload"))
		check(t, err)
		compact, err := jws.Compact()
		check(t, err)
		header, payload, signature, signed := parts(t, compact)
		if header["alg"] != algorithm || header["kid"] != "here" || header["nonce"] != "once" || string(payload) != "payload" {
			t.Errorf("%v signs %q", header, payload)
		}
		digest := sha256.Sum256(signed)
		good := false
		switch public := key.Public().(type) {
		case *ecdsa.PublicKey:
			half := len(signature) / 2
			good = ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
		case ed25519.PublicKey:
			good = ed25519.Verify(public, signed, signature)
		case *rsa.PublicKey:
			good = rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
		}
		if !good {
			t.Errorf("%s: wrong signature", algorithm)
		}
	}
}

// TestNothingIsSigned as RFC 8555, 6.3 has it: the payload is there, and empty.
func TestNothingIsSigned(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	jws, err := Sign(key, nil, nil)
	check(t, err)
	text, err := jws.JSON()
	check(t, err)
	var flattened map[string]string
	check(t, json.Unmarshal(text, &flattened))
	if payload, has := flattened["payload"]; !has || payload != "" || flattened["protected"] == "" || flattened["signature"] == "" {
		t.Errorf("%s", text)
	}
}

type failing struct{ crypto.Signer }

var errCard = errors.New("the card was pulled out")

func (failing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errCard }

func TestErrorsOfSignersStayAsTheyAre(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	if _, err := Sign(failing{key}, nil, nil); err != errCard {
		t.Errorf("%v", err)
	}
	odd, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	check(t, err)
	if _, err := Sign(odd, nil, nil); !errors.Is(err, ErrKey) {
		t.Errorf("%v", err)
	}
}

func TestMAC(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	jws, err := MAC(key, Header{"kid": "here"}, []byte("payload"))
	check(t, err)
	compact, err := jws.Compact()
	check(t, err)
	header, _, signature, signed := parts(t, compact)
	mac := hmac.New(sha256.New, key)
	mac.Write(signed)
	if header["alg"] != "HS256" || !hmac.Equal(mac.Sum(nil), signature) {
		t.Errorf("%v, %X", header, signature)
	}
	if _, err := MAC(key[1:], nil, nil); !errors.Is(err, ErrKey) {
		t.Errorf("%v", err)
	}
}

// TestThumbprint is the example of RFC 7638, 3.1.
func TestThumbprint(t *testing.T) {
	modulus, err := base64.RawURLEncoding.DecodeString("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")
	check(t, err)
	public, err := Public(&rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537})
	check(t, err)
	thumbprint, err := public.Thumbprint()
	check(t, err)
	if thumbprint != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Error(thumbprint)
	}
	if _, err := Public(nil); !errors.Is(err, ErrKey) {
		t.Errorf("%v", err)
	}
}

// ofStep is a key that the tools of step-ca encrypted under the password "password"
// (github.com/smallstep/certificates, ca/identity/testdata/config/ca.json).
const ofStep = "eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJjdHkiOiJqd2sranNvbiIsImVuYyI6IkEyNTZHQ00iLCJwMmMiOjEwMDAwMCwicDJzIjoiSVQ3MVNUMTNNMTd1S3Y4VHRDczYyUSJ9.TXShNLPcITS0bFvQeMjjCDhQLICQs1ShECkgUkUsAm9ZWpSq6Yu03w.SWxtxscivS3L5Yo5.O-XY9YKK8wEJgVs7X1-FxiM_6w4s7iJQNXRD2JrZRsXtDqUz7diPfXuBOFPUFsNzykvob1qCsU4B23Ek2nbaS2HqPrIOGbOvOsR8Pt6kNoraH1QDp3Hyzkv0S-VGM0MCGYDDmmH33PZmsdS36Aw8v9xBnDHlwlMg4NjTskxpqggfQl01433B0lCJqJdrmeBeGL1ZCKixvc-wAQxU8GH5iiD925ViLY7RlVo-tmIBXpxRgheLgKiuMxmgPvf15qCdgU5TRqeuJbYJLzvPpoai0W4WHjpM1zLjjmp5OYRFW4m4ZRZf5g1Cm4lstFPUlTn85fkMZFdBh4_bFbjAv7k.epXp8DZKHj_dxP9EohwDIg"

func password(text string) *secret.Bytes { return secret.New([]byte(text)) }

func TestOpenKey(t *testing.T) {
	key, kid, err := OpenKey(ofStep, password("password"))
	check(t, err)
	public, err := Public(key.Public())
	check(t, err)
	thumbprint, err := public.Thumbprint()
	check(t, err)
	if want := "2wSN_CmexXWig_DnpVZsYFdMH1Stc86BIBzN0rt5ipE"; kid != want || thumbprint != want { // step's identifiers are thumbprints
		t.Errorf("%q, %q", kid, thumbprint)
	}
	if _, _, err := OpenKey(ofStep, password("Password")); !errors.Is(err, ErrPassword) {
		t.Errorf("%v", err)
	}
	if _, _, err := OpenKey("", password("")); err == nil || errors.Is(err, ErrPassword) {
		t.Errorf("%v", err)
	}
}

// TestWorkOfOpenKeyIsBounded gives it a key that wants 2^31-1 iterations.
func TestWorkOfOpenKeyIsBounded(t *testing.T) {
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":2147483647,"p2s":"IT71ST13M17uKv8TtCs62Q"}`))
	_, rest, _ := strings.Cut(ofStep, ".")
	if _, _, err := OpenKey(header+"."+rest, password("password")); err == nil {
		t.Error("it was opened")
	}
}

func TestDeriveKey(t *testing.T) {
	one, err := DeriveKey(password("secret"), "purpose")
	check(t, err)
	again, err := DeriveKey(password("secret"), "purpose")
	check(t, err)
	other, err := DeriveKey(password("secret"), "another purpose")
	check(t, err)
	if !one.Equal(again) || one.Equal(other) {
		t.Error("not one key for one purpose")
	}
}

func TestClaims(t *testing.T) {
	jws, err := MAC([]byte("0123456789abcdef0123456789abcdef"), nil, []byte(`{"sub":"me"}`))
	check(t, err)
	text, err := jws.Compact()
	check(t, err)
	var claims struct {
		Subject string `json:"sub"`
	}
	check(t, Claims(text, &claims))
	if claims.Subject != "me" {
		t.Errorf("%+v", claims)
	}
	for _, wrong := range []string{"", "secret", "a.b.c", text[:len(text)/3], strings.Replace(text, ".", ".AA", 1)} {
		if err := Claims(wrong, &claims); !errors.Is(err, ErrNoToken) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func FuzzClaims(f *testing.F) {
	f.Add("eyJhbGciOiJIUzI1NiJ9.e30.AAAA")
	f.Add("")
	f.Fuzz(func(_ *testing.T, text string) {
		var claims map[string]any
		_ = Claims(text, &claims)
	})
}

func FuzzOpenKey(f *testing.F) {
	f.Add(ofStep[:200])
	f.Add(`{"protected":"e30","ciphertext":""}`)
	f.Fuzz(func(_ *testing.T, text string) {
		if strings.Contains(text, "p2c") || len(text) > 200 {
			return // the work is bounded, and still much
		}
		_, _, _ = OpenKey(text, password("password"))
	})
}
