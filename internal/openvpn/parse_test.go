package openvpn

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestQuestions(t *testing.T) {
	for line, want := range map[string][2]string{
		">PASSWORD:Need 'OpenPGP card (User PIN) token' password":                          {"OpenPGP card (User PIN) token", "password"},
		">PASSWORD:Need 'it's' password token' password":                                   {"it's' password token", "password"},
		">PASSWORD:Need 'Auth' username/password SC:1,What's your name":                    {"Auth", "username/password SC:1,What's your name"},
		">PASSWORD:Need 'x token' password MSG:":                                           {"x token", "password MSG:"},
		">NEED-OK:Need 'token-insertion-request' confirmation MSG:Please insert it's ' it": {"token-insertion-request", "confirmation"},
		">NEED-STR:Need 'name' string MSG:Please specify":                                  {"name", "string"},
		">PASSWORD:Verification Failed: 'Auth'":                                            {},
		">PASSWORD:Auth-Token:x":                                                           {},
		">PASSWORD:Need 'x":                                                                {},
	} {
		name, what, ok := parseMessage(line).asked()
		if got := [2]string{name, what}; got != want || ok != (want[0] != "") {
			t.Errorf("%s: %q, %v", line, got, ok)
		}
	}
}

func TestDirectives(t *testing.T) {
	const text = "\ufeffclient\n; daemon\n# daemon\n  remote example.com 1194 # daemon\n--proto udp\n<ca>\ndaemon\ncert x\n</ca>\n" +
		"<connection>\nremote other\n</connection>\n\"pkcs11-providers\" 'a b' c\\ d \"e\\\"f\" # g\nsetenv X '\\'\n\ntls-client"
	want := [][]string{
		{"client"}, {"remote", "example.com", "1194"}, {"proto", "udp"}, {"ca"}, {"remote", "other"}, {"</connection>"},
		{"pkcs11-providers", "a b", "c d", `e"f`}, {"setenv", "X", `\`}, {"tls-client"},
	}
	if got := directives(text); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%q", got)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	const module = "/usr/lib/module.so"
	for text, refused := range map[string]bool{
		"client\npkcs11-providers /usr/lib/module.so\npkcs11-id-management\nmanagement localhost 7505\n": false,
		"daemon":                        true,
		"\"daemon\" name":               true,
		"pkcs11-id x":                   false, // compared with that of the key
		"<cert>\nx\n</cert>":            true,
		"key client.key":                true,
		"pkcs11-providers /tmp/evil.so": true,
		"pkcs11-providers " + module + " evil.so": true,
		strings.Repeat("#", LongestConfig+1):      true,
	} {
		o := Options{Config: "client.ovpn", Text: []byte(text)}
		if _, err := o.check(t.Context(), module); (err != nil) != refused {
			t.Errorf("%.80s: %v", text, err)
		}
	}
	for args, refused := range map[string]bool{
		"--verb 4": false, "--remote localhost 1 --pull": false, "--setenv daemon --verb 2": false,
		"--management /tmp/x unix": true, "--management-client-user x": true, "--verb 3 --daemon": true, "--config other": true,
		"--pkcs11-id x": true, "--cert x": true, "--pkcs11-providers x": true, "--pkcs11-id-management": true,
	} {
		o := Options{Args: strings.Fields(args)}
		if _, err := o.check(t.Context(), module); (err != nil) != refused || err != nil && !problem.Is(err, problem.Usage) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// TestWhatAConfigurationIncludes is read too, from where OpenVPN reads it.
func TestWhatAConfigurationIncludes(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"key.conf": "pkcs11-id 'a/b'\n", "background": "daemon\n", "below/key.conf": "pkcs11-id \"c\\\\d\"\n", "itself": "config itself\n",
		"long": strings.Repeat("#", LongestConfig+1), "module": "pkcs11-providers other.so\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]struct {
		id   string
		code problem.Code
	}{
		"client":          {},
		"config key.conf": {id: "a/b"},
		"pkcs11-id x\nconfig " + dir + "/key.conf": {id: "a/b"},
		"config key.conf\npkcs11-id x":             {id: "x"},
		"cd below\nconfig key.conf":                {id: `c\d`},
		"config none":                              {},
		"config itself":                            {},
		"config background":                        {code: problem.Usage},
		"config module":                            {code: problem.Usage},
		"config long":                              {code: problem.Mismatch},
	} {
		o := Options{Config: "client.ovpn", Text: []byte(text)}
		r, err := o.check(t.Context(), "/module.so")
		if want.code != "" && !problem.Is(err, want.code) || want.code == "" && (err != nil || r.id != want.id) {
			t.Errorf("%s: %q, %v", text, r.id, err)
		}
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := (&Options{Text: []byte("config key.conf")}).check(ended, ""); err != context.Canceled {
		t.Error(err)
	}
}

// TestAConfigurationThatNamesAKey has to name this one.
func TestAConfigurationThatNamesAKey(t *testing.T) {
	for _, test := range []struct {
		id, known string
		refused   bool
	}{{"", "a/b", false}, {"a/b", "a/b", false}, {"a/c", "a/b", true}, {"a/b", "", true}} {
		r := reading{id: test.id, file: "key.conf"}
		err := r.names(p11.KnownAs{SerializedID: test.known}, "KEY")
		p, is := err.(*problem.Error)
		if is != test.refused || is && (p.Code != problem.Usage || !slices.Equal(p.Next.Program, []string{"grep", "-n", "pkcs11-id", "key.conf"})) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestOpenVPNIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if path, err := find(nil); !problem.Is(err, problem.NotFound) {
		t.Error(path, err)
	}
}

// What a line of the management interface says never leads to more than an error, and a
// question is told by what stands around its name.
func FuzzMessage(f *testing.F) {
	for _, line := range []string{
		">PASSWORD:Need 'card token' password", ">PKCS11ID-ENTRY:'0', ID:'a/b', BLOB:'QUJD'", ">PKCS11ID-COUNT:2", ">STATE:1,CONNECTED,,", "ERROR: x", ">", "",
		">NEED-OK:Need 'x' confirmation MSG:y",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		m := parseMessage(line)
		m.state()
		if name, what, ok := m.asked(); ok && !strings.HasPrefix(m.text, "Need '"+name+"' "+what) {
			t.Errorf("%q: %q, %q", line, name, what)
		}
		if n, err := m.count(); err == nil && (n < 0 || n > mostEntries) {
			t.Errorf("%q: %d", line, n)
		}
		if e, err := m.entry(0); err == nil && (e.id == "" || len(e.der) == 0) {
			t.Errorf("%q: %+v", line, e)
		}
	})
}

// FuzzDirectives looks for configurations that are not read to their end.
func FuzzDirectives(f *testing.F) {
	f.Add("client\n<ca>\n</ca>\n\"a b\" 'c' \\d # e")
	f.Add("<>\n</>\n< >\n--\n\"\"")
	f.Fuzz(func(t *testing.T, text string) {
		for _, line := range directives(text) {
			if len(line) == 0 {
				t.Error("a line without words")
			}
		}
	})
}
