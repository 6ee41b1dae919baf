package keygen

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

func TestGenerateInAnEmptySlot(t *testing.T) {
	k := &fakeKey{}
	report, err := GenerateOn(t.Context(), k, Options{Spec: key.Spec{Algorithm: key.P256}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"generate p256"}; !slices.Equal(k.did, want) {
		t.Errorf("did %v, want %v", k.did, want)
	}
	document, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"reader":"","ref":"OPENPGP.3","algorithm":"p256","fingerprint":"` + newFingerprint + `","keygrip":"` + key.Keygrip(keys().fresh.Public()) + `"`,
		`"created":"2026-05-04T03:02:01Z","publicKey":"-----BEGIN PUBLIC KEY-----\n`,
		`"unchanged":false}`,
	} {
		if !strings.Contains(string(document), want) {
			t.Errorf("no %s in %s", want, document)
		}
	}
}

func TestOverwritingNeedsTheFingerprint(t *testing.T) {
	for _, test := range []struct {
		name    string
		key     func() *fakeKey
		replace string
		code    problem.Code // empty where it is written
		words   []string
	}{
		{"occupied, nothing said", occupied, "", problem.Refused,
			[]string{"the p256 key " + oldFingerprint + ", created on 2026-05-04T03:02:01Z", "replace " + oldFingerprint}},
		{"occupied, another named", occupied, newFingerprint, problem.Refused, []string{newFingerprint, oldFingerprint}},
		{"occupied, half of it named", occupied, oldFingerprint[20:], problem.Refused, nil},
		{"occupied, named", occupied, oldFingerprint, "", nil},
		{"occupied, named as gpg writes it", occupied, "0123 4567 89AB cdef 0123  4567 89AB CDEF 0123 4567", "", nil},
		{"occupied, named with colons", occupied, "0x01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67", "", nil},
		{"empty, one named", func() *fakeKey { return &fakeKey{} }, oldFingerprint, "", nil},
		{"empty, only separators", func() *fakeKey { return &fakeKey{} }, " ", "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for verb, run := range map[string]func(k *fakeKey) (Report, error){
				"generate": func(k *fakeKey) (Report, error) {
					return GenerateOn(t.Context(), k, Options{Replace: test.replace})
				},
				"import": func(k *fakeKey) (Report, error) {
					return ImportOn(t.Context(), k, keys().fresh, Options{Replace: test.replace})
				},
			} {
				k := test.key()
				was := k.occupant
				report, err := run(k)
				if test.code != "" {
					wantProblem(t, err, test.code, test.words...)
					if len(k.did) != 0 || k.occupant != was {
						t.Errorf("%s: did %v", verb, k.did)
					}
					continue
				}
				if err != nil || report.Fingerprint != newFingerprint {
					t.Errorf("%s: %+v, %v", verb, report, err)
				}
				if was != nil && report.Replaced != oldFingerprint {
					t.Errorf("%s: replaced %q", verb, report.Replaced)
				}
			}
		})
	}
}

func TestGenerateCompletesWhatWasInterrupted(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Options
		code problem.Code
	}{
		{"the card's own choice", Options{}, ""},
		{"the same algorithm", Options{Spec: key.Spec{Algorithm: key.P256}}, ""},
		{"the same algorithm, named", Options{Spec: key.Spec{Algorithm: key.P256}, Replace: oldFingerprint}, ""},
		{"another algorithm", Options{Spec: key.Spec{Algorithm: key.RSA2048}}, problem.Refused},
		{"another named, which was there before", Options{Spec: key.Spec{Algorithm: key.P256}, Replace: newFingerprint}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := unfinished()
			report, err := GenerateOn(t.Context(), k, test.o)
			if test.code != "" {
				wantProblem(t, err, test.code)
				return
			}
			if err != nil || report.Replaced != "" || !pubkey.Same(k.public, keys().old.Public()) {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
}

func TestImportOfTheSameKey(t *testing.T) {
	k := occupied()
	report, err := ImportOn(t.Context(), k, keys().old, Options{})
	if err != nil || !report.Unchanged || report.Fingerprint != oldFingerprint || report.Keygrip == "" || report.PublicKey == "" {
		t.Errorf("%+v, %v", report, err)
	}
	if len(k.did) != 0 {
		t.Errorf("did %v", k.did)
	}

	k = unfinished()
	report, err = ImportOn(t.Context(), k, keys().old, Options{Replace: oldFingerprint})
	if err != nil || report.Unchanged || report.Replaced != "" || !slices.Equal(k.did, []string{"import"}) {
		t.Errorf("unfinished: %+v, %v, did %v", report, err, k.did)
	}
}

func TestImportComparesWhatTheCardHas(t *testing.T) {
	k := &fakeKey{lie: keys().old.Public()}
	_, err := ImportOn(t.Context(), k, keys().fresh, Options{})
	wantProblem(t, err, problem.Mismatch, "not the one that was sent")
}

func TestImportOfNoKey(t *testing.T) {
	_, err := ImportOn(t.Context(), &fakeKey{}, "a string", Options{})
	wantProblem(t, err, problem.NotSupported)
}

func TestTheCardsErrorsComeThrough(t *testing.T) {
	failed := problem.New(problem.PINIncorrect, "the admin PIN is wrong").WithTries(2)
	_, err := GenerateOn(t.Context(), &fakeKey{fails: failed}, Options{})
	wantProblem(t, err, problem.PINIncorrect)
	_, err = ImportOn(t.Context(), &fakeKey{fails: failed}, keys().fresh, Options{})
	wantProblem(t, err, problem.PINIncorrect)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k := &fakeKey{}
	if _, err := GenerateOn(ctx, k, Options{}); !errors.Is(err, context.Canceled) || len(k.did) != 0 {
		t.Errorf("canceled: %v, did %v", err, k.did)
	}
}

// certificateOf is a certificate of the old key.
func certificateOf(t *testing.T, name string) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, keys().old.Public(), keys().old)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestReplacingNamesTheCertificateThatStays(t *testing.T) {
	for _, test := range []struct {
		name        string
		certificate []byte
		want        string
	}{
		{"none", nil, ""},
		{"of the old key", certificateOf(t, "Floppy Head"), "CN=Floppy Head"},
		{"not readable", []byte("hello"), "(not readable)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := occupied()
			k.certificate = test.certificate
			report, err := GenerateOn(t.Context(), k, Options{Replace: oldFingerprint})
			if err != nil || report.StaleCertificate != test.want {
				t.Errorf("%q, %v, want %q", report.StaleCertificate, err, test.want)
			}
		})
	}
	// A card is not read for what cannot be there.
	k := &fakeKey{}
	if _, err := GenerateOn(t.Context(), k, Options{}); err != nil || slices.Contains(k.did, "certificate") {
		t.Errorf("did %v, %v", k.did, err)
	}
	// The key that comes may be the one of the certificate.
	k = occupied()
	k.public, k.certificate = keys().fresh.Public(), certificateOf(t, "Floppy Head")
	if report, err := ImportOn(t.Context(), k, keys().old, Options{Replace: oldFingerprint}); err != nil || report.StaleCertificate != "" {
		t.Errorf("%+v, %v", report, err)
	}
}
