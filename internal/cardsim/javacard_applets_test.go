package cardsim

import (
	"bytes"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// An installed OpenPGP applet is an OpenPGP card, with data that lives as long
// as the instance.
func TestInstalledOpenPGP(t *testing.T) {
	for name, wrong := range map[string]iso7816.Status{"OpenPGP.cap": 0x63C2, "OpenPGP-2.cap": 0x6982} {
		t.Run(name, func(t *testing.T) {
			file := appletFiles()[name]
			m := authenticated(t, Options{})
			m.put(file)
			aid := append(bytes.Clone(file.applets[0][:8]), 0xFF, 0xFE, 1, 2, 3, 4, 0, 0)
			m.install(file.pkg, file.applets[0], aid, []byte{0}, iso7816.StatusOK)
			m.chooses(aid, iso7816.StatusOK)
			equal(t, "the AID", m.get(0x4F), aid)
			m.admin()
			m.host.put(0x5B, []byte("Floppy Head"))
			m.powerCycle()
			m.chooses(aid, iso7816.StatusOK)
			if got := m.get(0x65); !bytes.Contains(got, []byte("Floppy Head")) {
				t.Fatalf("cardholder data %X", got)
			}
			m.verify(0x83, "87654321", wrong)

			m.chooses(file.applets[0], iso7816.StatusOK) // the other instance is its own card
			if got := m.get(0x65); bytes.Contains(got, []byte("Floppy Head")) {
				t.Fatalf("cardholder data %X", got)
			}

			m.chooses(nil, iso7816.StatusOK)
			m.open(levelMAC)
			m.delete(aid, 0, iso7816.StatusOK)
			m.chooses(aid, iso7816.StatusFileNotFound)
			m.chooses(nil, iso7816.StatusOK)
			m.open(levelMAC)
			m.install(file.pkg, file.applets[0], aid, []byte{0}, iso7816.StatusOK)
			m.chooses(aid, iso7816.StatusOK)
			if got := m.get(0x65); bytes.Contains(got, []byte("Floppy Head")) {
				t.Fatalf("cardholder data %X", got)
			}
			m.admin()
		})
	}
}

func TestInstalledIsoApplet(t *testing.T) {
	m := authenticated(t, Options{})
	m.put(appletFiles()["IsoApplet.cap"])
	m.powerCycle()
	equal(t, "version and features", m.expect("00A404000C"+"F276A288BCFBA69D34F31001"+"00", 0x9000), []byte{0x00, 0x06, 0x07})
}

// muscleSetUp is the set-up of the HOWTO.
const muscleSetUp = "B02A000038 08 4D7573636C653030 04 01 08 3030303030303030 08 3030303030303030 05 02 08 3030303030303030 08 3030303030303030 0000 1770 00 02 01"

func TestMuscle(t *testing.T) {
	for name, insert := range map[string]func(t *testing.T) *host{
		"installed": func(t *testing.T) *host {
			m := authenticated(t, Options{})
			m.put(appletFiles()["Muscle.cap"])
			return m.host
		},
		"alone": func(t *testing.T) *host {
			card, err := NewCard(Options{Applications: []string{muscleName}})
			if err != nil {
				t.Fatal(err)
			}
			return hold(t, card)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := insert(t)
			selectMuscle := "00A4040006A00000000101"
			h.expect(selectMuscle, 0x9000)
			h.expect("B03C000010", 0x9C05) // GET STATUS before the set-up
			h.expect("B02A000009084D7573636C653031", 0x9C02)
			h.expect("B02A000009084D7573636C653030", 0x9C0F)
			h.expect(muscleSetUp, 0x9000)
			h.expect(muscleSetUp, 0x6D00)
			h.powerCycle()
			h.expect(selectMuscle, 0x9000)
			h.expect(muscleSetUp, 0x6D00)
			equal(t, "status", h.expect("B03C000010", 0x9000), unhex(t, "01010006 00001770 00001770 02 00 0000"))
			equal(t, "PINs", h.expect("B048000002", 0x9000), []byte{0, 3})
			h.expect("B042010008"+"3030303030303030", 0x9000)
			equal(t, "status", h.expect("B03C000010", 0x9000)[14:], []byte{0, 2})
			for range 5 {
				h.expect("B042010008"+"3030303030303031", 0x9C02)
			}
			h.expect("B042010008"+"3030303030303030", 0x9C0C)
			h.expect("B046000008"+"3030303030303030", 0x9C03) // PIN 0 is not blocked
			h.expect("B046010008"+"3030303030303030", 0x9000)
			h.expect("B044010012"+"083030303030303030"+"083131313131313131", 0x9000)
			h.expect("B042010008"+"3131313131313131", 0x9000)
			h.expect("B042020008"+"3131313131313131", 0x9C10)
			h.expect("B060000000", 0x9000)
			h.expect("B0FE000000", 0x6D00)
			h.expect("002A000000", 0x6E00)
		})
	}
}
