package p11

import (
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

func TestParseURI(t *testing.T) {
	tests := []struct {
		uri         string
		path, query []Attribute
	}{
		{"pkcs11:", nil, nil},
		{"PKCS11:token=a", []Attribute{{"token", "a"}}, nil},
		{"pkcs11:token=Snake%20Oil%3B;id=%45%00%ff;type=private", []Attribute{{"token", "Snake Oil;"}, {"id", "E\x00\xFF"}, {"type", "private"}}, nil},
		{"pkcs11:token=", []Attribute{{"token", ""}}, nil},
		{"pkcs11:object=a=b&c:[]@!$'()*+,", []Attribute{{"object", "a=b&c:[]@!$'()*+,"}}, nil},
		{"pkcs11:serial=1;manufacturer=m;model=x;library-manufacturer=l;library-description=d;library-version=2.40;" +
			"slot-id=7;slot-manufacturer=s;slot-description=r",
			[]Attribute{{"serial", "1"}, {"manufacturer", "m"}, {"model", "x"}, {"library-manufacturer", "l"}, {"library-description", "d"},
				{"library-version", "2.40"}, {"slot-id", "7"}, {"slot-manufacturer", "s"}, {"slot-description", "r"}}, nil},
		{"pkcs11:id=%01?module-path=/usr/lib/x.so&pin-source=file:/etc/pin|?",
			[]Attribute{{"id", "\x01"}}, []Attribute{{"module-path", "/usr/lib/x.so"}, {"pin-source", "file:/etc/pin|?"}}},
		{"pkcs11:?module-name=opensc&x-a=1&x-a=2", nil, []Attribute{{"module-name", "opensc"}, {"x-a", "1"}, {"x-a", "2"}}},
		{"pkcs11:x_vendor=1", []Attribute{{"x_vendor", "1"}}, nil},
	}
	for _, test := range tests {
		u, err := ParseURI(test.uri)
		if err != nil {
			t.Errorf("%s: %v", test.uri, err)
			continue
		}
		if !slices.Equal(u.Path, test.path) || !slices.Equal(u.Query, test.query) {
			t.Errorf("%s:\ngot  %q %q\nwant %q %q", test.uri, u.Path, u.Query, test.path, test.query)
		}
	}
}

func TestParseURIRefuses(t *testing.T) {
	tests := []struct{ uri, says string }{
		{"", "not a PKCS#11 URI"},
		{"http://localhost", "not a PKCS#11 URI"},
		{"pkcs11:token", "character 8"},
		{"pkcs11:token=a;", "character 16"},
		{"pkcs11:=a", "character 8"},
		{"pkcs11:to ken=a", "character 8"},
		{"pkcs11:token=a b", "character 15"},
		{"pkcs11:token=a%2", "character 15"},
		{"pkcs11:token=%zz", "character 14"},
		{"pkcs11:token=a/b", "character 15"},

		{"pkcs11:token=a#b", "character 15"},
		{"pkcs11:token=a;token=b", "token occurs twice"},
		{"pkcs11:x-a=1;x-a=2", "x-a occurs twice"},
		{"pkcs11:?module-name=a&module-name=b", "module-name occurs twice"},
		{"pkcs11:id=%01?pin-value=123456", "pin-value is not accepted"},
		{"pkcs11:id=%01;pin-value=123456", "pin-value is not accepted"},
		{"pkcs11:type=certificate", "unknown type of object"},
		{"pkcs11:slot-id=0x1", "slot-id"},
		{"pkcs11:slot-id=", "slot-id"},
		{"pkcs11:library-version=2.", "library-version"},
		{"pkcs11:library-version=a", "library-version"},
	}
	for _, test := range tests {
		_, err := ParseURI(test.uri)
		if !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: got %v, want %q", test.uri, err, test.says)
		}
		if err != nil && strings.Contains(err.Error(), "123456") {
			t.Errorf("%q: the PIN is in the error %v", test.uri, err)
		}
	}
}

func TestURIString(t *testing.T) {
	u := URI{
		Path:  []Attribute{{AttrToken, "User PIN (sig); 100% ü/?"}, {AttrID, "E1"}, {AttrType, "cert"}},
		Query: []Attribute{{AttrModulePath, "/usr/lib/a b&c.so"}},
	}
	want := "pkcs11:token=User%20PIN%20(sig)%3B%20100%25%20%C3%BC%2F%3F;id=%45%31;type=cert?module-path=/usr/lib/a%20b%26c.so"
	if u.String() != want {
		t.Errorf("got  %s\nwant %s", u, want)
	}
}

func TestURINamesAModule(t *testing.T) {
	for uri, want := range map[string]string{
		"pkcs11:": "", "pkcs11:?module-name=opensc": "opensc", "pkcs11:?module-name=opensc&module-path=/x.so": "/x.so",
	} {
		u, err := ParseURI(uri)
		if err != nil || u.Module() != want {
			t.Errorf("%s: got %q, %v", uri, u.Module(), err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	for _, seed := range []string{
		"pkcs11:", "pkcs11:token=a;id=%45?module-name=opensc", "pkcs11:?x=1&x=2", "pkcs11:token=%", "pkcs11:;;", "pkcs11:type=private;slot-id=1",
		"pkcs11:library-version=2.40;object=%C3%BC",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			if !problem.Is(err, problem.Usage) {
				t.Fatalf("not a usage error: %v", err)
			}
			return
		}
		again, err := ParseURI(u.String())
		if err != nil {
			t.Fatalf("%q was read, and its own form %q is not: %v", s, u, err)
		}
		if !slices.Equal(again.Path, u.Path) || !slices.Equal(again.Query, u.Query) {
			t.Fatalf("%q and %q differ", s, u)
		}
	})
}

// Labels are in other encodings too, and padded with NUL.
func TestURIOfAnyLabel(t *testing.T) {
	for _, label := range []string{"Schl\xfcssel", "vpn\x00\x00", "\xff\xfe", "a\nb", " "} {
		printed := URI{Path: []Attribute{{AttrObject, label}}}.String()
		if u, err := ParseURI(printed); err != nil || u.Path[0].Value != label {
			t.Errorf("%s: %q, %v", printed, u, err)
		}
	}
}
