//go:build stack

package ledger_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// found is what the cards of all stations say, in plain commands.
type found struct {
	t     *testing.T
	desks []*program
	// keys and certificates are on which card each was, by point and serial number.
	keys, certificates map[string]string
	// damaged are the serials of cards that were given up, and without the names of persons
	// whose such cards may have got a certificate.
	damaged map[string]bool
	without []string
}

// halfDone are the serials of cards that a station has begun, and whose rows are not done.
func halfDone(server *stack.PostgreSQL, station int) []string {
	return strings.Fields(server.Query("ledger", fmt.Sprintf("SELECT card FROM job WHERE state = 'begun' AND card LIKE '%%%02d______'", station)))
}

// waiting says that a station has rows whose cards it has not begun: another one gets them
// only when their leases are over, which takes a minute.
func waiting(server *stack.PostgreSQL, station int) bool {
	return server.Query("ledger", fmt.Sprintf("SELECT count(*) FROM job WHERE state = 'free' AND card LIKE '%%%02d______'", station)) != "0"
}

// giveUp has the cards that a station left half done marked as damaged, and their certificates
// revoked. It reports whether one of them was changed.
func (f *found) giveUp(station int, office *stack.Desk, address string, server *stack.PostgreSQL) (changed bool) {
	f.t.Helper()
	desk := f.desks[station]
	for _, serial := range halfDone(server, station) {
		office.Run("cardctl", "ledger", "mark", serial, "damaged", "--ledger", address, "--revoke", "--issuer-secret", "env:CA_PASSWORD", "--yes")
		name := serial[len(serial)-8:]
		changed = changed || !bytes.Equal(desk.Read(desk.file(name)), desk.blank[name])
		delete(desk.blank, name)
		f.damaged[serial] = true
		f.without = append(f.without, server.Query("ledger", "SELECT person.name FROM card JOIN person ON person.number = card.person WHERE serial = '"+serial+"'"))
	}
	return changed
}

// match holds that a card has the PINs that are sealed for it, and lost no try of them,
// and that it has a key and a certificate for it that no other card has: the one of the
// ledger, with the name of its person.
func (f *found) match(c ledger.Card, secrets map[secret.Name]string) {
	f.t.Helper()
	name := c.Serial[len(c.Serial)-8:]
	number, err := strconv.Atoi(name[:2])
	must(f.t, err)
	desk := f.desks[number]
	if bytes.Equal(desk.Read(desk.file(name)), desk.blank[name]) || len(c.Credentials) != 1 || len(secrets) != 2 {
		f.t.Errorf("card %s: %d credentials, %d secrets", c.Serial, len(c.Credentials), len(secrets))
		return
	}
	delete(desk.blank, name)
	card, err := desk.cards.Open(name)
	must(f.t, err)
	defer func() { _ = card.Close() }() // nothing is written any more
	wire, err := card.Connect(f.t.Context())
	must(f.t, err)
	ask := func(apdu string) []byte {
		f.t.Helper()
		return answer(f.t, wire, apdu)
	}
	ask("00A4040006D2760001240100")
	if status := ask("00CA00C400"); len(status) != 7 || status[4] != 3 || status[6] != 3 {
		f.t.Errorf("card %s: tries of PINs: %X", c.Serial, status)
	}
	for reference, value := range map[string]string{"81": secrets[secret.PIN], "83": secrets[secret.AdminPIN]} {
		ask(fmt.Sprintf("002000%s%02X%X", reference, len(value), value))
	}
	stored, err := x509.ParseCertificate(ask("00CA7F21000000"))
	must(f.t, err)
	public, err := stored.PublicKey.(*ecdsa.PublicKey).ECDH()
	must(f.t, err)
	point := public.Bytes()
	if key := ask("0047810002A40000"); !bytes.HasSuffix(key, point) || public.Curve() != ecdh.P256() {
		f.t.Errorf("card %s: the certificate is not for its key %X", c.Serial, key)
	}
	if !bytes.Equal(stored.Raw, c.Credentials[0].Certificate) || stored.Subject.CommonName != c.Person.Name {
		f.t.Errorf("card %s of %s has the certificate of %s", c.Serial, c.Person.Name, stored.Subject)
	}
	for value, seen := range map[string]map[string]string{hex.EncodeToString(point): f.keys, fmt.Sprintf("%X", stored.SerialNumber): f.certificates} {
		if other := seen[value]; other != "" {
			f.t.Errorf("cards %s and %s have the same: %s", other, c.Serial, value)
		}
		seen[value] = c.Serial
	}
}

// answer is what a card answers to a command that it has to accept.
func answer(t *testing.T, wire iso7816.Connection, apdu string) []byte {
	t.Helper()
	command, err := hex.DecodeString(apdu)
	must(t, err)
	text, err := wire.Transmit(t.Context(), command)
	must(t, err)
	data, accepted := bytes.CutSuffix(text, []byte{0x90, 0x00})
	if !accepted {
		t.Errorf("%s: %X", apdu[:8], text)
	}
	return data
}

// unused holds that all other cards are as they were created.
func (f *found) unused(t *testing.T) {
	t.Helper()
	for _, desk := range f.desks {
		for name, blank := range desk.blank {
			if !bytes.Equal(desk.Read(desk.file(name)), blank) {
				t.Errorf("card %s was changed, and is nobody's", name)
			}
		}
	}
}

// issued holds that the CA issued the certificates that are on cards, at most one for each
// card that was given up, and no other one.
func (f *found) issued(t *testing.T, office *stack.Desk) {
	t.Helper()
	var list struct {
		Certificates []struct{ SerialNumber, Subject, State string }
	}
	must(t, json.Unmarshal([]byte(office.Run("cardctl", "ca", "list", "ca", "--output", "json")), &list))
	on := 0
	for _, c := range list.Certificates {
		at := slices.IndexFunc(f.without, func(name string) bool { return c.Subject == "CN="+name })
		switch {
		case f.certificates[c.SerialNumber] != "":
			on++
		case at < 0:
			t.Errorf("the certificate %s of %s is on no card", c.SerialNumber, c.Subject)
		default:
			t.Logf("a card that was given up: its certificate is %s", c.State)
			f.without = slices.Delete(f.without, at, at+1)
		}
	}
	if on != len(f.certificates) {
		t.Errorf("%d certificates were issued, %d are on cards", on, len(f.certificates))
	}
}
