package csr

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// structure writes a name as a list of RDNs in the order of the DER, each
// value with its tag, read by the standard library.
func structure(t *testing.T, n Name) string {
	t.Helper()
	der, err := n.DER()
	if err != nil {
		t.Fatal(err)
	}
	var wrapped []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &wrapped); err != nil || len(rest) > 0 {
		t.Fatalf("%X: %v", der, err)
	}
	tags := map[int]string{12: "utf8", 19: "printable", 22: "ia5"}
	var list []string
	for _, w := range wrapped {
		var attributes []struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		if _, err := asn1.UnmarshalWithParams(w.FullBytes, &attributes, "set"); err != nil {
			t.Fatalf("%X: %v", w.FullBytes, err)
		}
		var parts []string
		for _, a := range attributes {
			tag, ok := tags[a.Value.Tag]
			if !ok {
				tag = fmt.Sprint(a.Value.Tag)
			}
			parts = append(parts, fmt.Sprintf("%s %s %s", a.Type, tag, a.Value.Bytes))
		}
		list = append(list, strings.Join(parts, " + "))
	}
	return strings.Join(list, "\n")
}

func TestParseName(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string // an RDN a line, in the order of the DER
		again      string   // as String writes it; the text where empty
	}{
		{"the last RDN written comes first", "CN=a,O=b,C=XY", []string{"2.5.4.6 printable XY", "2.5.4.10 utf8 b", "2.5.4.3 utf8 a"}, ""},
		{"OpenSSL's order is the order of the DER", "/C=XY/O=b/CN=a", []string{"2.5.4.6 printable XY", "2.5.4.10 utf8 b", "2.5.4.3 utf8 a"}, "CN=a,O=b,C=XY"},
		{"quoted values", snakeOil, []string{
			"2.5.4.6 printable XY", "2.5.4.8 utf8 Snake Desert", "2.5.4.7 utf8 Snake Town",
			"2.5.4.10 utf8 Snake Oil, Ltd", "2.5.4.11 utf8 Webserver Team", "2.5.4.3 utf8 Floppy Head",
		}, `CN=Floppy Head,OU=Webserver Team,O=Snake Oil\, Ltd,L=Snake Town,ST=Snake Desert,C=XY`},
		{"escapes of RFC 4514, 4", `CN=James \"Jim\" Smith\, III,O=a`, []string{"2.5.4.10 utf8 a", `2.5.4.3 utf8 James "Jim" Smith, III`}, ""},
		{"an escaped control character", `CN=Before\0dAfter`, []string{"2.5.4.3 utf8 Before\rAfter"}, `CN=Before\0DAfter`},
		{"bytes of UTF-8 in hex", `SN=Lu\C4\8Di\C4\87`, []string{"2.5.4.4 utf8 Lučić"}, "SN=Lučić"},
		{"a value in hex of a type without a name", "1.3.6.1.4.1.1466.0=#04024869", []string{"1.3.6.1.4.1.1466.0 4 Hi"}, ""},
		{"a value in hex that is what text would give", "CN=#0C0161", []string{"2.5.4.3 utf8 a"}, "CN=a"},
		{"a value in hex of another string type", "CN=#130161", []string{"2.5.4.3 printable a"}, "2.5.4.3=#130161"},
		{"several values in one RDN, sorted", "UID=j+CN=a,O=b", []string{"2.5.4.10 utf8 b", "2.5.4.3 utf8 a + 0.9.2342.19200300.100.1.1 utf8 j"}, "CN=a+UID=j,O=b"},
		{"several values in OpenSSL's form", "/O=b/UID=j+CN=a", []string{"2.5.4.10 utf8 b", "2.5.4.3 utf8 a + 0.9.2342.19200300.100.1.1 utf8 j"}, "CN=a+UID=j,O=b"},
		{"dotted OIDs", "2.5.4.3=a,OID.2.5.4.10=b,oid.1.2.3=c", []string{"1.2.3 utf8 c", "2.5.4.10 utf8 b", "2.5.4.3 utf8 a"}, "CN=a,O=b,1.2.3=#0C0163"},
		{"names in any case, and long ones", "cn=a,organizationname=b,countryName=XY", []string{"2.5.4.6 printable XY", "2.5.4.10 utf8 b", "2.5.4.3 utf8 a"}, "CN=a,O=b,C=XY"},
		{"spaces around separators", "  CN = a b  , O =\"c\" + OU = d ; C=XY ", []string{"2.5.4.6 printable XY", "2.5.4.10 utf8 c + 2.5.4.11 utf8 d", "2.5.4.3 utf8 a b"}, "CN=a b,O=c+OU=d,C=XY"},
		{"spaces that count", `CN=\ a \ `, []string{"2.5.4.3 utf8  a  "}, ""},
		{"an equals sign and a slash in a value", "CN=a=b/c", []string{"2.5.4.3 utf8 a=b/c"}, ""},
		{"a number sign", `CN=\#1,O=a#b`, []string{"2.5.4.10 utf8 a#b", "2.5.4.3 utf8 #1"}, ""},
		{"angle brackets", `CN=a <b>`, []string{"2.5.4.3 utf8 a <b>"}, `CN=a \<b\>`},
		{"escapes in quotes", `CN="a\"b\\c\2C+;"`, []string{`2.5.4.3 utf8 a"b\c,+;`}, `CN=a\"b\\c\,\+\;`},
		{"ASCII types", "emailAddress=a@example.com,DC=example,DC=com", []string{
			"0.9.2342.19200300.100.1.25 ia5 com", "0.9.2342.19200300.100.1.25 ia5 example", "1.2.840.113549.1.9.1 ia5 a@example.com"}, ""},
		{"printable types", "serialNumber=12-34,dnQualifier=7,C=XY", []string{"2.5.4.6 printable XY", "2.5.4.46 printable 7", "2.5.4.5 printable 12-34"}, ""},
		{"OpenSSL's escapes", `/CN=a\/b\+c\\d\,e`, []string{`2.5.4.3 utf8 a/b+c\d,e`}, `CN=a/b\+c\\d\,e`},
		{"commas in OpenSSL's form", `/O=Snake Oil, Ltd/CN=a`, []string{"2.5.4.10 utf8 Snake Oil, Ltd", "2.5.4.3 utf8 a"}, `CN=a,O=Snake Oil\, Ltd`},
		{"a slash at the end", "/CN=a/", []string{"2.5.4.3 utf8 a"}, "CN=a"},
		{"64 letters that are more bytes", "CN=" + strings.Repeat("ä", 64), []string{"2.5.4.3 utf8 " + strings.Repeat("ä", 64)}, ""},
		{"nothing", "", nil, ""},
		{"a slash alone", "/", nil, ""},
		{"short names of other programs", "CN=a,S=Tyrol,G=Anna,T=Dr", []string{
			"2.5.4.12 utf8 Dr", "2.5.4.42 utf8 Anna", "2.5.4.8 utf8 Tyrol", "2.5.4.3 utf8 a"}, "CN=a,ST=Tyrol,GN=Anna,title=Dr"},
		{"short names in OpenSSL's form", "/s=Tyrol/g=Anna/t=Dr", []string{"2.5.4.8 utf8 Tyrol", "2.5.4.42 utf8 Anna", "2.5.4.12 utf8 Dr"},
			"title=Dr,GN=Anna,ST=Tyrol"},
	} {
		t.Run(test.name, func(t *testing.T) {
			name, err := ParseName(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := structure(t, name), strings.Join(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			again := test.again
			if again == "" && test.text != "/" {
				again = test.text
			}
			if got := name.String(); got != again {
				t.Errorf("written as %s, want %s", got, again)
			}
			if name.Empty() != (len(test.want) == 0) {
				t.Errorf("Empty is %v", name.Empty())
			}
		})
	}
}

func TestParseNameShowsWhereItFails(t *testing.T) {
	for _, test := range []struct {
		text   string
		column int
		why    string
	}{
		{"CN=a,XX=b", 6, `"XX" is not a known attribute name`},
		{"CN=a,", 6, "attribute such as CN= is expected"},
		{"CN=a,,O=b", 6, "attribute such as CN= is expected"},
		{"Floppy Head", 8, "equals sign is expected"},
		{"CN=a,b c=d", 8, "equals sign is expected"},
		{"CN=Snake Oil, Ltd", 18, "a comma, plus sign or slash inside a value"},
		{"=a", 1, "an attribute such as CN= is expected"},
		{"CN=", 4, "CN has no value"},
		{"O=a,CN= ,C=XY", 9, "CN has no value"},
		{`CN=""`, 4, "CN has no value"},
		{`CN="a`, 4, "does not end"},
		{`CN="a"b`, 7, "a comma or a plus sign is expected"},
		{`CN=a"b`, 5, `written \"`},
		{`CN=a\`, 5, "a backslash must be followed by"},
		{`CN=a\x`, 5, "a backslash must be followed by"},
		{`CN=a\2`, 5, "a backslash must be followed by"},
		{`CN=a\C4`, 4, "UTF-8"},
		{"CN=a\tb", 5, `\09`},
		{"CN=\"a\nb\"", 6, `\0A`},
		{"CN=#", 4, "one ASN.1 value"},
		{"CN=#0C", 4, "one ASN.1 value"},
		{"CN=#0C01", 4, "one ASN.1 value"},
		{"CN=#0C01C3", 4, "one ASN.1 value"},
		{"CN=#0C016100", 4, "one ASN.1 value"},
		{"CN=#xyz", 4, "pairs of hex digits"},
		{"CN=#0403414243", 4, "the value of CN is not a character string"},
		{"O=a,2.5.4.3=#020101", 13, "the value of CN is not a character string"},
		{"CN=a+CN=b", 6, "twice"},
		{"C=AUT", 3, "exactly 2 letters"},
		{"C=1A", 3, "cannot contain '1'"},
		{"O=ä,C=ÄÖ", 7, "cannot contain 'Ä'"},
		{"serialNumber=a_b", 14, "cannot contain '_'"},
		{"emailAddress=ä@example.com", 14, "ASCII"},
		{"CN=" + strings.Repeat("a", 65), 4, "at most 64 characters"},
		{"O=" + strings.Repeat("a", 65), 3, "at most 64 characters"},
		{"1.2.=a", 1, "not an OID"},
		{"3.2=a", 1, "not an OID"},
		{"1.40=a", 1, "not an OID"},
		{"1.02=a", 1, "not an OID"},
		{"1.2.4294967296=a", 1, "not an OID"},
		{"OID.x=a", 1, "not an OID"},
		{"/CN=a//O=b", 7, "attribute such as CN= is expected"},
		{"/CN=a/b", 8, "equals sign is expected"},
		{`/CN=a\`, 6, "followed by a character"},
		{"/CN=a\nb", 6, "control character"},
		{"/CN=", 5, "CN has no value"},
		{"/CN=a+CN=b", 7, "twice"},
		{"/XX=a", 2, `"XX" is not a known attribute name`},
	} {
		t.Run(test.text, func(t *testing.T) {
			name, err := ParseName(test.text)
			if !problem.Is(err, problem.Usage) {
				t.Fatalf("name %q, error %v", name, err)
			}
			if want := fmt.Sprintf("column %d:", test.column); !strings.Contains(err.Error(), want) {
				t.Errorf("no %q in %q", want, err)
			}
			if !strings.Contains(err.Error(), test.why) {
				t.Errorf("no %q in %q", test.why, err)
			}
			before, after := []rune(test.text)[:test.column-1], []rune(test.text)[test.column-1:]
			place := `at "` + string(after[:min(len(after), 5)])
			if len(after) == 0 {
				place = `at the end of "` + string(before) + `"`
			}
			if !strings.Contains(err.Error(), place) {
				t.Errorf("no %q in %q", place, err)
			}
		})
	}
}

func TestAChallengePasswordIsNoName(t *testing.T) {
	for _, name := range []string{"CN=a,challengePassword=", "CN=a+CHALLENGEPASSWORD=", "/CN=a/challengePassword=", "OID.1.2.840.113549.1.9.7=", "/1.2.840.113549.1.9.7="} {
		_, err := ParseName(name + "6180339887")
		var told *problem.Error
		if !errors.As(err, &told) || told.Code != problem.Usage || strings.Contains(err.Error(), "618033") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := advice.Repeat(advice.Fill(advice.Subject), advice.Ask(secret.ChallengePassword)); !reflect.DeepEqual(told.Next, want) {
			t.Errorf("%s: advice %+v", name, told.Next)
		}
	}
}

func TestParseNameRefusesWhatIsNotUTF8(t *testing.T) {
	if _, err := ParseName("CN=a\xFFb"); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "byte 5") {
		t.Errorf("error %v", err)
	}
}

// Every name of the table is its own, and has its own OID.
func TestAttributeNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, at := range attributeTypes() {
		for _, name := range append(at.names, at.oid.String()) {
			if name = strings.ToLower(name); seen[name] {
				t.Errorf("%s stands twice", name)
			} else {
				seen[name] = true
			}
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{
		snakeOil, "/C=AT/O=a\\/b+OU=c/1.2.3=d", `CN=\C4\8D"`, "CN=#0C0161;UID=x+CN=y", `CN="a\,b" , O=c`, "OID.2.999=#30030101FF", "//", `\`, "CN=\\ a\\00\\ ",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := ParseName(text)
		if err != nil {
			if !problem.Is(err, problem.Usage) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		der, err := name.DER()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		again, err := ParseName(name.String())
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, name, err)
		}
		derAgain, err := again.DER()
		if err != nil || !bytes.Equal(der, derAgain) {
			t.Fatalf("%q is written as %q: %X becomes %X (%v)", text, name, der, derAgain, err)
		}
		var rdns pkix.RDNSequence
		if rest, err := asn1.Unmarshal(der, &rdns); err != nil || len(rest) > 0 {
			t.Fatalf("%q: %X is no RDNSequence: %v", text, der, err)
		}
	})
}
