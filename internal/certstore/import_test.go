package certstore

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestImportWritesTheMatchingCertificate(t *testing.T) {
	p := fixtures()
	k := &fakeKey{pub: p.signer.Public(), limit: 2048}
	report, err := ImportOn(t.Context(), k, certificates(p.root, p.stranger, p.leaf, p.issuer), Options{Now: now, Roots: certificates(p.root)})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(k.stored, p.leaf.Raw) {
		t.Errorf("stored %X", k.stored)
	}
	if want := []string{"read", "write", "read back"}; !slices.Equal(k.did, want) {
		t.Errorf("did %v, want %v", k.did, want)
	}
	if report.Ref != "OPENPGP.3" || report.Unchanged || report.Replaced != nil || report.ChainStored || report.ChainOmitted != 2 {
		t.Errorf("%+v", report)
	}
	if c := report.Certificate; c.Subject != `CN=leaf,O=Snake Oil\, Ltd` || !c.MatchesKey || c.SHA256 != fingerprint(p.leaf.Raw) {
		t.Errorf("%+v", c)
	}
}

func TestImportStoresTheChainWhereThereIsRoom(t *testing.T) {
	p := fixtures()
	k := &fakeKey{pub: p.signer.Public(), holds: true}
	report, err := ImportOn(t.Context(), k, certificates(p.root, p.leaf, p.issuer, p.otherRoot), Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if !report.ChainStored || report.ChainOmitted != 0 {
		t.Errorf("%+v", report)
	}
	if want := raw(certificates(p.issuer, p.root)); !slices.EqualFunc(k.chain, want, bytes.Equal) {
		t.Errorf("%d issuers stored, or in another order", len(k.chain))
	}
}

func TestImportChecksBeforeItWrites(t *testing.T) {
	p := fixtures()
	for _, test := range []struct {
		name  string
		key   *fakeKey
		in    []*cert.Certificate
		o     Options
		code  problem.Code
		words []string
	}{
		{"no key", &fakeKey{}, certificates(p.leaf), Options{}, problem.NotFound, nil},
		{"another key's", &fakeKey{pub: p.signer.Public()}, certificates(p.stranger), Options{}, problem.Mismatch,
			[]string{"the certificate is not for the key", nameKey(p.signer.Public()), nameKey(p.stranger.PublicKey), "CN=stranger"}},
		{"all of other keys", &fakeKey{pub: p.signer.Public()}, certificates(p.stranger, p.issuer, p.root, p.otherRoot), Options{}, problem.Mismatch,
			[]string{"none of the certificates", "…"}},
		{"expired", &fakeKey{pub: p.signer.Public()}, certificates(p.expired), Options{}, problem.Refused, []string{"expired on 2024-05-04T03:02:01Z", "allow-expired"}},
		{"not yet valid", &fakeKey{pub: p.signer.Public()}, certificates(p.future), Options{}, problem.Refused, []string{"not valid before 2027-05-04T03:02:01Z"}},
		{"too long", &fakeKey{pub: p.signer.Public(), limit: 100}, certificates(p.leaf), Options{}, problem.NotSupported, []string{"the card accepts up to 100"}},
		{"of another CA", &fakeKey{pub: p.signer.Public()}, certificates(p.leaf, p.issuer), Options{Roots: certificates(p.otherRoot)}, problem.Mismatch, []string{"does not chain", "CN=issuer"}},
		{"with a gap in the chain", &fakeKey{pub: p.signer.Public()}, certificates(p.leaf), Options{Roots: certificates(p.root)}, problem.Mismatch, []string{"signed it"}},
		{"of an issuer that is no CA", &fakeKey{pub: p.signer.Public()}, certificates(p.leaf), Options{Roots: certificates(p.stranger)}, problem.Mismatch, nil},
		{"a CHUID for a card without one", &fakeKey{pub: p.signer.Public()}, certificates(p.leaf), Options{Identifier: key.RenewAnyway}, problem.NotSupported, []string{"no CHUID", "new-chuid"}},
		{"nobody confirms", &fakeKey{pub: p.signer.Public(), stored: p.older.Raw}, certificates(p.leaf), Options{Confirm: no}, problem.Refused, nil},
		{"nobody can be asked", &fakeKey{pub: p.signer.Public(), stored: p.older.Raw}, certificates(p.leaf), Options{}, problem.Refused, []string{"CN=older", "expires on 2027-05-04"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Now = now
			before := test.key.stored
			_, err := ImportOn(t.Context(), test.key, test.in, test.o)
			wantProblem(t, err, test.code, test.words...)
			if slices.Contains(test.key.did, "write") || !bytes.Equal(test.key.stored, before) {
				t.Errorf("the card was written to: %v", test.key.did)
			}
		})
	}
}

func TestImportOutsideTheValidityDates(t *testing.T) {
	p := fixtures()
	for _, leaf := range []*x509.Certificate{p.expired, p.future} {
		k := &fakeKey{pub: p.signer.Public()}
		o := Options{Now: now, AllowExpired: true, Roots: certificates(p.root)}
		if _, err := ImportOn(t.Context(), k, certificates(leaf, p.issuer), o); err != nil || !bytes.Equal(k.stored, leaf.Raw) {
			t.Errorf("%s: %v", leaf.Subject, err)
		}
	}
}

func TestImportOfTheSameCertificateDoesNothing(t *testing.T) {
	p := fixtures()
	k := &fakeKey{pub: p.signer.Public(), stored: p.leaf.Raw}
	report, err := ImportOn(t.Context(), k, certificates(p.leaf), Options{Now: now, Confirm: no})
	if err != nil || !report.Unchanged || !slices.Equal(k.did, []string{"read"}) {
		t.Errorf("%+v, %v, did %v", report, err, k.did)
	}
}

func TestImportNamesWhatItReplaces(t *testing.T) {
	p := fixtures()
	for _, test := range []struct {
		name   string
		stored []byte
		words  []string
	}{
		{"an older one", p.older.Raw, []string{"OPENPGP.3", "CN=leaf", `CN=older,O=Snake Oil\, Ltd, expires on 2027-05-04T03:02:01Z. The new one`}},
		{"one of another key", p.stranger.Raw, []string{"CN=stranger", "not for this key"}},
		{"PEM text", EncodePEM(p.older.Raw), []string{"PEM text instead of DER"}},
		{"half a certificate", p.older.Raw[:50], []string{"not a certificate in DER"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := &fakeKey{pub: p.signer.Public(), stored: test.stored}
			var question string
			report, err := ImportOn(t.Context(), k, certificates(p.leaf), Options{Now: now, Confirm: yes(&question)})
			if err != nil || report.Replaced == nil || !bytes.Equal(k.stored, p.leaf.Raw) {
				t.Fatalf("%+v, %v", report, err)
			}
			for _, w := range test.words {
				if !strings.Contains(question, w) {
					t.Errorf("no %q in %q", w, question)
				}
			}
		})
	}
}

func TestAFailedWriteSaysWhatIsOnTheCard(t *testing.T) {
	p := fixtures()
	failed := problem.New(problem.Failed, "the card refused PUT DATA [6581 memory failure]").Because("The card has no room for it.")
	removed := problem.New(problem.CardRemoved, "the card was removed")
	for _, test := range []struct {
		name    string
		stored  []byte
		put     func(k *fakeKey, leaf []byte) error
		readErr error
		code    problem.Code
		want    string
		left    []byte
	}{
		{"nothing was there, nothing is there", nil, func(*fakeKey, []byte) error { return failed }, nil, problem.Failed,
			"The card has no certificate, as before.", nil},
		{"the old one stayed", p.older.Raw, func(*fakeKey, []byte) error { return failed }, nil, problem.Failed,
			"still on the card, unchanged", p.older.Raw},
		{"the old one was lost", p.older.Raw, func(k *fakeKey, leaf []byte) error { k.stored = leaf[:100]; return failed }, nil, problem.Failed,
			"was lost and has been written back", p.older.Raw},
		{"the slot is empty now", p.older.Raw, func(k *fakeKey, _ []byte) error { k.stored = nil; return failed }, nil, problem.Failed,
			"was lost and has been written back", p.older.Raw},
		{"half was written", nil, func(k *fakeKey, leaf []byte) error { k.stored = leaf[:100]; return failed }, nil, problem.Failed,
			"100 bytes that are not the certificate", p.leaf.Raw[:100]},
		{"all was written all the same", p.older.Raw, func(k *fakeKey, leaf []byte) error { k.stored = leaf; return failed }, nil, problem.Failed,
			"The new certificate is on the card.", p.leaf.Raw},
		{"the card lies and the old one is lost", p.older.Raw, func(k *fakeKey, leaf []byte) error { k.stored = leaf[:100]; return nil }, nil, problem.Failed,
			"The card returned 100 bytes, not the", p.older.Raw},
		{"the card lies and nothing was there", nil, func(*fakeKey, []byte) error { return nil }, nil, problem.Failed,
			"The card returned 0 bytes, not the", nil},
		{"nothing can be read any more", p.older.Raw, func(*fakeKey, []byte) error { return failed }, errors.New("broken"), problem.Failed,
			"could not be read", p.older.Raw},
		{"the card was pulled out", p.older.Raw, func(*fakeKey, []byte) error { return removed }, errors.New("broken"), problem.CardRemoved,
			"the new certificate or the previous one", p.older.Raw},
		{"the card was pulled out, with nothing on it", nil, func(*fakeKey, []byte) error { return removed }, errors.New("broken"), problem.CardRemoved,
			"The card had no certificate before", nil},
		{"an error of no known kind", p.older.Raw, func(*fakeKey, []byte) error { return errors.New("odd") }, nil, problem.Failed,
			"odd. The previous certificate is still on the card", p.older.Raw},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := &fakeKey{pub: p.signer.Public(), stored: test.stored}
			k.put = func(leaf []byte) error {
				k.readErr = test.readErr
				return test.put(k, leaf)
			}
			var question string
			_, err := ImportOn(t.Context(), k, certificates(p.leaf), Options{Now: now, Confirm: yes(&question)})
			wantProblem(t, err, test.code, test.want)
			if !bytes.Equal(k.stored, test.left) {
				t.Errorf("%d bytes are on the card, want %d", len(k.stored), len(test.left))
			}
		})
	}
}

func TestAnInterruptedWriteLooksAtTheCard(t *testing.T) {
	p := fixtures()
	ctx, cancel := context.WithCancel(t.Context())
	k := &fakeKey{pub: p.signer.Public(), stored: p.older.Raw}
	k.put = func(leaf []byte) error {
		cancel()
		k.stored = nil
		return ctx.Err()
	}
	var question string
	_, err := ImportOn(ctx, k, certificates(p.leaf), Options{Now: now, Confirm: yes(&question)})
	wantProblem(t, err, problem.Interrupted, "has been written back")
	if !errors.Is(err, context.Canceled) || !bytes.Equal(k.stored, p.older.Raw) {
		t.Errorf("error %v, %d bytes on the card", err, len(k.stored))
	}
}

func TestACanceledImportWritesNothing(t *testing.T) {
	p := fixtures()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k := &fakeKey{pub: p.signer.Public()}
	if _, err := ImportOn(ctx, k, certificates(p.leaf), Options{Now: now}); !errors.Is(err, context.Canceled) || slices.Contains(k.did, "write") {
		t.Errorf("error %v, did %v", err, k.did)
	}
}

func TestPick(t *testing.T) {
	p := fixtures()
	leaf, issuers, err := Pick(certificates(p.root, p.older, p.otherRoot, p.leaf, p.issuer, p.expired), p.signer.Public())
	if err != nil || !bytes.Equal(leaf.Raw, p.leaf.Raw) {
		t.Fatalf("%v, %v", leaf, err)
	}
	if want := []string{"issuer", "root"}; !slices.Equal(subjects(issuers), want) || !bytes.Equal(issuers[1].Raw, p.root.Raw) {
		t.Errorf("issuers %v", subjects(issuers))
	}
	if _, _, err := Pick(nil, p.signer.Public()); !problem.Is(err, problem.Mismatch) {
		t.Errorf("none: %v", err)
	}
}

// The decryption key of a card may be told as one for key agreement; its
// certificate has the same curve and point.
func TestPickForAKeyAgreementKey(t *testing.T) {
	p := fixtures()
	agreement, err := p.signer.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	if leaf, _, err := Pick(certificates(p.stranger, p.leaf), agreement.PublicKey()); err != nil || !bytes.Equal(leaf.Raw, p.leaf.Raw) {
		t.Errorf("%v, %v", leaf, err)
	}
	other, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Pick(certificates(p.leaf), other.PublicKey()); !problem.Is(err, problem.Mismatch) {
		t.Errorf("another key: %v", err)
	}
}

func TestReportInJSON(t *testing.T) {
	p := fixtures()
	k := &fakeKey{pub: p.signer.Public()}
	report, err := ImportOn(t.Context(), k, certificates(p.leaf, p.issuer), Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"reader":"","ref":"OPENPGP.3","certificate":{"subject":"CN=leaf,O=Snake Oil\\, Ltd","issuer":"CN=issuer,O=Snake Oil\\, Ltd",` +
		`"serialNumber":"AB04","notBefore":"2025-05-04T03:02:01Z","notAfter":"2027-05-04T03:02:01Z","sha256":"` + fingerprint(p.leaf.Raw) +
		`","matchesKey":true},"unchanged":false,"chainStored":false,"chainOmitted":1}`
	if string(document) != want {
		t.Errorf("got  %s\nwant %s", document, want)
	}
}

// later is a place that takes issuers after the certificate of its key.
type later struct {
	fakeKey
	completed [][]byte
}

func (k *later) Complete(_ context.Context, leaf []byte, chain [][]byte) (int, error) {
	if !bytes.Equal(leaf, k.stored) {
		return 0, errors.New("another certificate")
	}
	k.completed = chain
	return len(chain), nil
}

func TestIssuersThatComeLaterAreStored(t *testing.T) {
	p := fixtures()
	k := &later{fakeKey: fakeKey{pub: p.signer.Public(), stored: p.leaf.Raw, holds: true}}
	report, err := ImportOn(t.Context(), k, certificates(p.leaf, p.root, p.issuer), Options{Now: now})
	if err != nil || !report.Unchanged || !report.ChainStored || len(k.completed) != 2 || !bytes.Equal(k.completed[0], p.issuer.Raw) {
		t.Errorf("%+v, %v, %d issuers", report, err, len(k.completed))
	}
	k.completed = nil
	report, err = ImportOn(t.Context(), k, certificates(p.leaf), Options{Now: now})
	if err != nil || report.ChainStored || k.completed != nil {
		t.Errorf("no issuers: %+v, %v", report, err)
	}
}

// TestHostileFiles holds time and memory for a mebibyte.
func TestHostileFiles(t *testing.T) {
	const size, most, memory = MaxFile, slowdown * 2 * time.Second, 40 << 20
	p := fixtures()
	nested := func(begin string) []byte {
		return append([]byte(begin), bytes.Repeat([]byte{0x30, 0x80}, (size-len(begin))/2)...)
	}
	var many []byte
	for len(many)+len(p.leaf.Raw) <= size {
		many = append(many, p.leaf.Raw...)
	}
	block := EncodePEM(p.leaf.Raw)
	for name, data := range map[string][]byte{
		"BER":               nested(""),
		"PKCS#7":            nested("\x30\x80\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x02\xA0\x80"),
		"PKCS#12":           nested("\x30\x80\x02\x01\x03"),
		"segments":          append([]byte("\x30\x80\x02\x01\x03\x30\x80\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x01\xA0\x80"), bytes.Repeat([]byte{0x24, 0x80}, size/2-20)...),
		"certificates":      many,
		"small blocks":      bytes.Repeat([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), size/62),
		"blocks of nothing": bytes.Repeat([]byte("-----BEGIN X-----\nMAA=\n-----END X-----\n"), size/40),
		"whole blocks":      bytes.Repeat(block, size/len(block)),
	} {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		list, _ := Parse(t.Context(), data, nobody)
		took := time.Since(start)
		for range 2 { // of which something else may have taken a part
			if took <= most {
				break
			}
			start = time.Now()
			_, _ = Parse(t.Context(), data, nobody)
			took = min(took, time.Since(start))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if took > most {
			t.Errorf("%s: %s", name, took)
		}
		if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > memory {
			t.Errorf("%s: %d bytes", name, used)
		}
		runtime.KeepAlive(list)
	}
}
