package ledger_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
)

// fill writes so many records.
func fill(t *testing.T, l *ledger.Ledger, records int) {
	t.Helper()
	for i := range records {
		begin(t, l, ledger.Change{Serial: fmt.Sprintf("A%d", i), Data: map[string]any{"n": i}})
	}
}

// renumber moves records in SQL, one after the other.
func renumber(from, to, by int) []string {
	var all []string
	for n := from; n != to; {
		all = append(all, fmt.Sprintf("UPDATE event SET number = %d WHERE number = %d", n+by, n))
		n -= by
	}
	return all
}

const copied = "INSERT INTO event (number, at, token, serial, person, data, previous, hash) SELECT %d, at, 'x', serial, person, data, previous, hash FROM event WHERE number = %d"

// theChain tries what somebody can do to the log who can write the database.
func theChain(t *testing.T, p place) {
	l := p.open(t, ledger.Options{})
	fill(t, l, 8)
	if v := whole(t, l); v.Records != 8 {
		t.Errorf("%+v", v)
	}
	for name, test := range map[string]struct {
		do, undo []string
		want     string
	}{
		"data":     {[]string{"UPDATE event SET data = replace(data, '\"n\":3', '\"n\":4') WHERE number = 4"}, []string{"UPDATE event SET data = replace(data, '\"n\":4', '\"n\":3') WHERE number = 4"}, "record 4 of the log was changed"},
		"time":     {[]string{"UPDATE event SET at = at + 1 WHERE number = 5"}, []string{"UPDATE event SET at = at - 1 WHERE number = 5"}, "record 5 of the log was changed"},
		"serial":   {[]string{"UPDATE event SET serial = 'B' WHERE number = 1"}, []string{"UPDATE event SET serial = 'A0' WHERE number = 1"}, "record 1 of the log was changed"},
		"person":   {[]string{"UPDATE event SET person = 7 WHERE number = 2"}, []string{"UPDATE event SET person = 0 WHERE number = 2"}, "record 2 of the log was changed"},
		"two":      {[]string{"UPDATE event SET person = 7 WHERE number IN (3, 6)"}, []string{"UPDATE event SET person = 0 WHERE number IN (3, 6)"}, "record 3 of the log was changed"},
		"exchange": {[]string{"UPDATE event SET number = 99 WHERE number = 3", "UPDATE event SET number = 3 WHERE number = 4", "UPDATE event SET number = 4 WHERE number = 99"}, []string{"UPDATE event SET number = 99 WHERE number = 3", "UPDATE event SET number = 3 WHERE number = 4", "UPDATE event SET number = 4 WHERE number = 99"}, "record 3 of the log was removed"},
		"before":   {[]string{fmt.Sprintf(copied, 0, 2)}, []string{"DELETE FROM event WHERE number = 0"}, "record 0 of the log was put in"},
		"put in": {append(renumber(8, 3, 1), fmt.Sprintf(copied, 4, 3), "UPDATE event SET hash = 'X' WHERE number = 4"),
			append([]string{"DELETE FROM event WHERE number = 4"}, renumber(5, 10, -1)...), "record 4 of the log"},
		"appended": {[]string{fmt.Sprintf(copied, 9, 8)}, []string{"DELETE FROM event WHERE number = 9"}, "record 9 of the log"},
		"moved":    {renumber(8, 5, 1), renumber(7, 10, -1), "record 6 of the log was removed"},
	} {
		t.Run(name, func(t *testing.T) {
			p.tamper(t, test.do...)
			_, err := l.Verify(t.Context(), nil)
			refused(t, "verify", err, problem.Mismatch)
			if err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
			_, err = l.Sign(t.Context(), key(t))
			refused(t, "sign", err, problem.Mismatch)
			p.tamper(t, test.undo...)
			whole(t, l)
		})
	}
	p.tamper(t, "DELETE FROM event WHERE number = 4")
	_, err := l.Verify(t.Context(), nil)
	if !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "record 4 of the log was removed") {
		t.Error(err)
	}
	p.tamper(t, renumber(5, 9, -1)...)
	if _, err = l.Verify(t.Context(), nil); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "record 4 of the log was removed") {
		t.Error(err)
	}
}

func key(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// theAnchor tries what a chain alone does not show: records at its end, and a log that was
// made again.
func theAnchor(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	k := key(t)
	if _, err := l.Sign(ctx, k); !problem.Is(err, problem.Refused) {
		t.Errorf("an empty log: %v", err)
	}
	fill(t, l, 5)
	a, err := l.Sign(ctx, k)
	must(t, err)
	var file bytes.Buffer
	must(t, a.Write(&file))
	if a, err = ledger.ReadAnchor(file.Bytes()); err != nil || a.Number != 5 || a.At.IsZero() {
		t.Fatalf("%+v, %v", a, err)
	}
	fill(t, l, 3)
	v, err := l.Verify(ctx, a)
	if err != nil || v.Records != 8 || v.Signed != 5 || v.By == "" || v.At.IsZero() {
		t.Fatalf("%+v, %v", v, err)
	}
	_, err = l.Sign(ctx, key(t))
	must(t, err)
	if v, err = l.Verify(ctx, a); err != nil || v.Signed != 5 {
		t.Errorf("the signature of a key that is not the anchor's: %+v, %v", v, err)
	}
	again, err := l.Sign(ctx, k)
	must(t, err)
	if v, err = l.Verify(ctx, a); err != nil || v.Signed != 8 {
		t.Errorf("%+v, %v", v, err)
	}
	for _, other := range []crypto.Signer{edKey(t), rsaKey(t)} {
		_, err := l.Sign(ctx, other)
		must(t, err)
	}
	if v, err = l.Verify(ctx, again); err != nil || v.Signed != 8 {
		t.Errorf("%+v, %v", v, err)
	}

	for name, broken := range map[string]func(*ledger.Anchor){
		"of another ledger":     func(a *ledger.Anchor) { a.Ledger = "other" },
		"without a signature":   func(a *ledger.Anchor) { a.Signature = nil },
		"with another key":      func(a *ledger.Anchor) { a.Key = again.Key[:40] },
		"of another number":     func(a *ledger.Anchor) { a.Number = 4 },
		"of a record to come":   func(a *ledger.Anchor) { a.Number = 99 },
		"with another hash":     func(a *ledger.Anchor) { a.Hash = strings.Repeat("0", 64) },
		"with another record 2": func(a *ledger.Anchor) { a.Records[8] ^= 1 },
	} {
		bad := *a
		bad.Records = bytes.Clone(a.Records)
		broken(&bad)
		_, err := l.Verify(ctx, &bad)
		refused(t, "an anchor "+name, err, problem.Mismatch)
	}
	for _, text := range []string{"", "{}", `{"kind":"LedgerAnchor"}`, `{"kind":"Other","number":1}`} {
		_, err := ledger.ReadAnchor([]byte(text))
		refused(t, text, err, problem.Mismatch)
	}

	// A signature that is none says nothing of the log.
	p.tamper(t, "UPDATE signature SET number = 7 WHERE number = 5")
	if _, err := l.Verify(ctx, nil); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "the signature of record 7 does not verify") {
		t.Errorf("a signature of another record: %v", err)
	}
	p.tamper(t, "UPDATE signature SET number = 5 WHERE number = 7")

	p.tamper(t, "DELETE FROM event WHERE number > 6")
	if _, err := l.Verify(ctx, nil); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "record 7 of the log was removed") {
		t.Errorf("the end of what was signed: %v", err)
	}
	_, err = l.Sign(ctx, k)
	refused(t, "signing what is not what was signed", err, problem.Mismatch)
	p.tamper(t, "DELETE FROM signature")
	if v, err := l.Verify(ctx, nil); err != nil || v.Signed != 0 {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := l.Verify(ctx, again); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "record 7 of the log was removed") {
		t.Errorf("the anchor knows the end: %v", err)
	}
	// A log that was made again from record 3 on, by somebody who signs it too.
	p.tamper(t, "DELETE FROM event WHERE number > 2")
	fill(t, l, 8)
	if _, err := l.Sign(ctx, key(t)); err != nil {
		t.Error(err)
	}
	whole(t, l)
	if _, err := l.Verify(ctx, a); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "record 3 of the log was changed") {
		t.Errorf("a log that was made again: %v", err)
	}
	a.Records = nil
	if _, err := l.Verify(ctx, a); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "1 to 5") {
		t.Errorf("without the records: %v", err)
	}
}

func edKey(t *testing.T) crypto.Signer {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return k
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return k
}

// stationsAppend holds that the chain is whole, whoever writes at the same time.
func stationsAppend(t *testing.T, p place) {
	const stations, records = 6, 20
	var all sync.WaitGroup
	for i := range stations {
		l := p.open(t, ledger.Options{Station: fmt.Sprint(i)})
		all.Go(func() {
			for n := range records {
				who := ledger.Person{ID: fmt.Sprint(n % 7)}
				e, err := l.Begin(t.Context(), ledger.Change{Serial: fmt.Sprintf("%d-%d", i, n), Person: &who})
				if err == nil {
					err = e.End(t.Context(), nil)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if v := whole(t, p.open(t, ledger.Options{})); v.Records != stations*records*2 {
		t.Errorf("%+v", v)
	}
}

// longLogs holds that a record is found by its place in a log of some length.
func longLogs(t *testing.T, p place) {
	l := p.open(t, ledger.Options{})
	var list []ledger.Imported
	for i := range 2000 {
		list = append(list, ledger.Imported{Card: ledger.Card{Serial: fmt.Sprintf("%04d", i), Person: &ledger.Person{ID: fmt.Sprint(i)}}})
	}
	if n, err := l.Import(t.Context(), list, nil); n != 2000 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	found, err := l.Cards(t.Context(), ledger.Filter{State: ledger.Active})
	if err != nil || len(found) != 2000 || found[1999].Person == nil || found[1999].Person.ID != "1999" {
		t.Errorf("%d, %v", len(found), err)
	}
	p.tamper(t, "UPDATE event SET data = '{}' WHERE number = 1234")
	if _, err := l.Verify(t.Context(), nil); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "record 1234 of") {
		t.Error(err)
	}
}
