package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// withSecrets is a ledger with a card that has everything.
func withSecrets(t *testing.T) (*Ledger, *age.X25519Identity) {
	t.Helper()
	l := opened(t)
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.Begin(t.Context(), Change{Command: "provision", Serial: "AA01", Family: "f", Person: &Person{ID: "a@example.com", Name: "A, B"}, State: Issuing})
	if err != nil {
		t.Fatal(err)
	}
	id, err := e.Seal(t.Context(), secret.PUK, KeepBoth, secret.New([]byte("canary-27182818")), []string{identity.Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		e.Has(t.Context(), id), e.Certified(t.Context(), Credential{Ref: "K1", Subject: "CN=A", SerialNumber: "01", NotAfter: time.Unix(2e9, 0)}),
		e.Certified(t.Context(), Credential{Ref: "K2", Subject: "CN=A", SerialNumber: "02", NotAfter: time.Unix(2e9, 0)}),
		e.State(t.Context(), Active), e.End(t.Context(), nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return l, identity
}

// An export has everything except secrets, sealed ones too.
func TestExport(t *testing.T) {
	l, _ := withSecrets(t)
	var lines, table bytes.Buffer
	if err := l.Export(t.Context(), "jsonl", &lines); err != nil {
		t.Fatal(err)
	}
	if err := l.Export(t.Context(), "csv", &table); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(lines.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	for _, text := range []string{lines.String(), table.String()} {
		if strings.Contains(text, "AGE ENCRYPTED") || strings.Contains(text, "canary") || !strings.Contains(text, "a@example.com") {
			t.Errorf("%s", text)
		}
	}
	sheet, err := ReadCards(table.Bytes())
	if err != nil || len(sheet.Cards) != 1 || sheet.Cards[0].Person.Name != "A, B" || sheet.Cards[0].State != Active {
		t.Errorf("%+v, %v", sheet, err)
	}
	if err := l.Export(t.Context(), "xml", &table); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
}

// Names that a spreadsheet would compute are text in an export, and the same again when
// they are imported.
func TestFormulasInAnExport(t *testing.T) {
	l := opened(t)
	names := []string{"=cmd|' /C calc'!A0", "+49 30 1", "-1", "@SUM(1)", "'=1", "''-1", "'quoted'", "O'Neill", "a=b"}
	var cards []Imported
	for i, name := range names {
		cards = append(cards, Imported{Card: Card{Serial: fmt.Sprintf("A%d", i), State: Active, Person: &Person{ID: name, Name: name}}})
	}
	if n, err := l.Import(t.Context(), cards, nil); n != len(names) || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if err := l.Forget(t.Context(), "a=b"); err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := l.Export(t.Context(), "csv", &table); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(table.Bytes())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		for _, cell := range line {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@") {
				t.Errorf("a formula: %s", cell)
			}
		}
	}
	sheet, err := ReadCards(table.Bytes())
	if err != nil || len(sheet.Cards) != len(names) {
		t.Fatalf("%+v, %v", sheet, err)
	}
	names[len(names)-1] = "forgotten 9"
	for i := range sheet.Cards {
		if got := sheet.Cards[i].Person.ID; got != names[i] {
			t.Errorf("%q became %q", names[i], got)
		}
	}
}

// What a file says of a card is not put into the log: a family may be that of a person.
func TestImportedNamesAreNotLogged(t *testing.T) {
	l := opened(t)
	if _, err := l.Import(t.Context(), []Imported{{Card: Card{Serial: "A1", Family: "Adler", Reader: "Adler", Person: &Person{ID: "Adler"}}}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := l.Events(t.Context(), EventFilter{}, func(e Event) error {
		if strings.Contains(string(e.Data), "Adler") {
			t.Errorf("%s", e.Data)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// Somebody whose name is the ID of another is not the other.
func TestAnIDComesBeforeAName(t *testing.T) {
	l := opened(t)
	if _, err := l.Import(t.Context(), []Imported{
		{Card: Card{Serial: "A1", Person: &Person{ID: "m", Name: "alice"}}}, {Card: Card{Serial: "A2", Person: &Person{ID: "alice"}}},
	}, nil); err != nil {
		t.Fatal(err)
	}
	if cards, err := l.Find(t.Context(), "alice"); err != nil || len(cards) != 1 || cards[0].Serial != "A2" {
		t.Errorf("%+v, %v", cards, err)
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

// A full disk is not an error of the database.
func TestExportToAFullDisk(t *testing.T) {
	l, _ := withSecrets(t)
	for _, format := range ExportFormats() {
		if err := l.Export(t.Context(), format, full{}); err != errFull {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// What a card does not have any more is over: a certificate, a secret that got another
// value. A certificate without its key is there still.
func TestWhatIsGone(t *testing.T) {
	l, identity := withSecrets(t)
	change := func(work func(*Entry) error) *Card {
		t.Helper()
		e, err := l.Begin(t.Context(), Change{Command: "delete", Serial: "AA01"})
		if err == nil {
			err = work(e)
		}
		if err == nil {
			err = e.End(t.Context(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		card, err := l.Card(t.Context(), "AA01")
		if err != nil {
			t.Fatal(err)
		}
		return card
	}
	if card := change(func(e *Entry) error { return e.Gone(t.Context(), "K1", "key") }); len(card.Credentials) != 2 {
		t.Errorf("%+v", card.Credentials)
	}
	if card := change(func(e *Entry) error { return e.Gone(t.Context(), "K1", "certificate") }); len(card.Credentials) != 1 || card.Credentials[0].Ref != "K2" {
		t.Errorf("%+v", card.Credentials)
	}
	if card := change(func(e *Entry) error { return e.Superseded(t.Context(), secret.PUK) }); len(card.Secrets) != 0 {
		t.Errorf("%+v", card.Secrets)
	}
	if _, err := l.Reveal(t.Context(), "AA01", secret.PUK, identity); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
	if _, err := l.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// A letter is due for a secret that the card is known to have, once, for a person who has
// the card.
func TestDueLetters(t *testing.T) {
	l, _ := withSecrets(t)
	due := func(named ...string) []Due {
		t.Helper()
		list, err := l.Due(t.Context(), named)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	for _, named := range [][]string{nil, {"AA01"}, {"a@example.com"}, {"A, B", "aa01"}} {
		if list := due(named...); len(list) != 1 || len(list[0].Cards) != 1 || len(list[0].Cards[0].Secrets) != 1 {
			t.Errorf("%q: %+v", named, list)
		}
	}
	if _, err := l.Due(t.Context(), []string{"nobody"}); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
	id := due()[0].Cards[0].Secrets[0].ID
	if err := l.Printing(t.Context(), "AA01", id); err != nil {
		t.Fatal(err)
	}
	if list := due(); len(list) != 1 {
		t.Errorf("a letter that was not delivered is not due: %+v", list)
	}
	e, err := l.Begin(t.Context(), Change{Command: "mark", Serial: "AA01", State: Lost})
	if err != nil {
		t.Fatal(err)
	}
	if list := due(); len(list) != 0 {
		t.Errorf("a letter for a lost card: %+v", list)
	}
	if err := errors.Join(e.State(t.Context(), Returned), e.End(t.Context(), nil), l.MarkPrinted(t.Context(), "AA01", id)); err != nil {
		t.Fatal(err)
	}
	if list := due(); len(list) != 0 {
		t.Errorf("printed twice: %+v", list)
	}
}

// Which certificates are revoked, and why, is what the states say.
func TestRevocations(t *testing.T) {
	card := &Card{State: Active, Credentials: []Credential{
		{Ref: "1", SerialNumber: "01"}, {Ref: "2", SerialNumber: "02", Revoked: "certificateHold"},
		{Ref: "3", SerialNumber: "03", Revoked: "superseded"}, {Ref: "4"},
	}}
	for to, want := range map[State]string{
		Lost: "1 2 keyCompromise", Suspended: "1 certificateHold", Damaged: "1 2 unspecified", Returned: "1 2 cessationOfOperation",
		Revoked: "1 2 superseded", Active: "2 ",
	} {
		list, reason := card.Revocations(to)
		got := ""
		for _, k := range list {
			got += k.Ref + " "
		}
		if got+reason != want {
			t.Errorf("%s: %s%s", to, got, reason)
		}
	}
}

// Nobody revokes a certificate that its own key signed; for one of an issuer there is somebody.
func TestNobodyRevokesASelfSignedCertificate(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Floppy Head"}, NotAfter: time.Now().Add(time.Hour)}
	for name, signer := range map[string]ed25519.PrivateKey{"": key, "1": other} {
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		card := &Card{State: Active, Credentials: []Credential{{Ref: "1", SerialNumber: "07", Certificate: der}}}
		got := ""
		list, _ := card.Revocations(Lost)
		for _, k := range list {
			got += k.Ref
		}
		if got != name {
			t.Errorf("%q, want %q", got, name)
		}
	}
}
