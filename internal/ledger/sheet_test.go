package ledger

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func TestSpreadsheets(t *testing.T) {
	const want = "AA01 piv active floppy@example.com Floppy, the Head|AA02  stock  |AA03  lost  "
	for name, text := range map[string]string{
		"commas": "serial,person,name,family,state\naa01,floppy@example.com,\"Floppy, the Head\",piv,\nAA02,,,,\nAA03,,,,lost\n",
		"semicolons, a byte-order mark and CRLF": "\xEF\xBB\xBFSerial;State;Name;Person;Family\r\n" +
			"aa01;Active;Floppy, the Head;floppy@example.com;piv\r\nAA02;;;;\r\nAA03;LOST;;;\r\n",
		"tabs, and rows and columns that were emptied": "\n\t\t\t\t\t\t\nserial\tperson\tname\tfamily\tstate\t\t\naa01\tfloppy@example.com\tFloppy, the Head\tpiv\t\t\t\n" +
			"\t\t\t\t\t\t\nAA02\t\t\t\t\t\t\nAA03\t\t\t\tlost\t\t\n",
		"Excel's first line": "\xEF\xBB\xBFsep=;\r\nserial;person;name;family;state\r\naa01;floppy@example.com;Floppy, the Head;piv;\r\nAA02;;;;\r\nAA03;;;;lost\r\n",
		"an export": "serial,family,state,person,name,ref\nAA01,piv,active,floppy@example.com,\"Floppy, the Head\",PIV.9A\n" +
			"AA01,piv,active,floppy@example.com,\"Floppy, the Head\",PIV.9C\nAA02,,stock,,,\nAA03,,lost,,,\n",
	} {
		sheet, err := ReadCards([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, c := range sheet.Cards {
			p := Person{}
			if c.Person != nil {
				p = *c.Person
			}
			got = append(got, strings.Join([]string{c.Serial, c.Family, string(c.State), p.ID, p.Name}, " "))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestSecretsOfASpreadsheet(t *testing.T) {
	sheet, err := ReadCards([]byte("serial,puk,user-pin,room\nA1,27182818,314159,7\nA2,,,\n"))
	if err != nil || sheet.Secrets() != 2 || strings.Join(sheet.Passed, ",") != "room" {
		t.Fatalf("%+v, %v", sheet, err)
	}
	puk, pin := sheet.Cards[0].Plain[secret.PUK], sheet.Cards[0].Plain[secret.PIN]
	if string(puk.Reveal()) != "27182818" || string(pin.Reveal()) != "314159" {
		t.Errorf("%s %s", puk.Reveal(), pin.Reveal())
	}
	sheet.Wipe()
	if puk.Len()+pin.Len() != 0 {
		t.Error("not wiped")
	}
}

// What is wrong is named by its line, and not repeated: it may be a secret.
func TestSpreadsheetsThatAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"":                       "no header",
		"person\nCANARY\n":       "no column serial",
		"serial,serial\nA1,A1\n": "two columns serial",
		"serial,puk\nA1,1\nA2," + strings.Repeat("CANARY", 700) + "\n": "line 3: the secret in puk: it is longer than",
		"serial,name\nA1,a\nA2,CANARY\xE9\n":                           "line 3 is not UTF-8",
		"\xFF\xFEs\x00e\x00r\x00":                                      "line 1 is not UTF-8",
		"s\x00e\x00r\x00":                                              "line 1 is not UTF-8",
		"serial;name\n1,23457E+11;CANARY\n":                            "line 2: the serial was rounded",
		"serial,state\nA1,CANARY\n":                                    "line 2: unknown state",
		"serial,person\n,CANARY\n":                                     "line 2: the serial is empty",
		"serial,puk\nA1,CANARY\nA1,1\n":                                "line 3: the card is in line 2 already",
		"serial,person\nA1,a\nA1,CANARY\n":                             "line 3: the card is in line 2 already",
		"serial,state\nA1,active\n":                                    "line 2: a card that is active is somebody's",
		"serial,puk\nA1,\"CANARY\n":                                    "is not CSV",
		"serial,puk\nA1\n":                                             "is not CSV",
		"serial\n\"A\n1\"\n":                                           "line 2: the serial has a line break",
		"serial,person\nA1,bob\u200B\n":                                "line 2: the person has a line break, or a character that is not seen",
		"sep=;\nserial;puk\nA1;1,23457E+15\n":                          "line 3: the puk was rounded",
		"serial,management-key\nA1,1.0203E+47\n":                       "line 2: the management-key was rounded",
		"serial,puk\nA1,\"CANARY\n1\"\n":                               "line 2: the secret in puk: it has more than one line",
		"serial,puk\nA1,CAN\u200BARY\n":                                "line 2: the secret in puk: it contains an invisible character",
		"serial,puk\nA1,'CANARY'\n":                                    "line 2: the secret in puk: it has quotes around it",
		"serial,management-key\nA1,CANARY\n":                           "line 2: the secret in management-key: it is not a key",
		"serial,card-keys\nA1," + twoKeys + "\n":                       "line 2: the secret in card-keys: it is not a key",
	} {
		sheet, err := ReadCards([]byte(text))
		if !problem.Is(err, problem.Usage) || sheet != nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// twoKeys are one too few.
var twoKeys = strings.Repeat("4A", 16) + ":" + strings.Repeat("4a", 16)

func TestKeysOfASpreadsheet(t *testing.T) {
	sheet, err := ReadCards([]byte("serial,management-key,card-keys\nA1," + strings.Repeat("0a", 24) + "," + twoKeys + ":" + strings.Repeat("00", 16) + "\n"))
	if err != nil || sheet.Secrets() != 2 {
		t.Errorf("%+v, %v", sheet, err)
	}
}

// FuzzReadCards reads anything, and reads again what it exports.
func FuzzReadCards(f *testing.F) {
	f.Add([]byte("serial,person,name,state\nA1,a@example.com,A,active\n"))
	f.Add([]byte("\xEF\xBB\xBFserial;puk\r\nA1;\"1;2\"\r\n"))
	f.Add([]byte("serial\n\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		sheet, err := ReadCards(data)
		if !bytes.Equal(data, before) {
			t.Error("the file was changed")
		}
		if (sheet == nil) == (err == nil) {
			t.Fatalf("%v, %v", sheet, err)
		}
		if err != nil && !problem.Is(err, problem.Usage) {
			t.Errorf("%v", err)
		}
		if sheet == nil {
			return
		}
		seen := map[string]bool{}
		for _, c := range sheet.Cards {
			if c.Serial == "" || seen[c.Serial] || c.State == "" {
				t.Errorf("%+v", c)
			}
			seen[c.Serial] = true
		}
	})
}
