//go:build unix

package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

const (
	stubOfOurs   = "Token: D276000124010304FFFE000000010000 OPENPGP.1 - FFFE 00000001\nKey: (shadowed-private-key (ecc))\n"
	stubOfOthers = "Token: D276000124010304FFFE000000020000 OPENPGP.1 - FFFE 00000002\nKey: (shadowed-private-key (ecc))\n"
	privateKey   = "Key: (private-key (ecc (d #2A#)))\n"
)

func TestStubs(t *testing.T) {
	s := &stub{stubOfOurs}
	for name, test := range map[string]struct {
		now  string
		want state
	}{
		"none":                      {"", absent},
		"ours":                      {stubOfOurs, present},
		"ours, as the agent has it": {"Use-for-ssh: true\n" + stubOfOurs, present},
		"of another card":           {stubOfOthers, foreign},
		"a private key":             {privateKey, present},
		"not one that tells a card": {"(20:shadowed-private-key(3:ecc))", foreign},
	} {
		var now []byte
		if test.now != "" {
			now = []byte(test.now)
		}
		is, difference, err := s.compare(now)
		if is != test.want || err != nil || strings.Contains(difference, "Key:") {
			t.Errorf("%s: %v, %q, %v", name, is, difference, err)
		}
	}
}

// TestAPrivateKeyStays although a stub of ours was in its place.
func TestAPrivateKeyStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private-keys-v1.d/0.key")
	for _, now := range []string{stubOfOurs, "Use-for-ssh: true\n" + stubOfOurs, privateKey} {
		f := &file{Path: path, Mode: 0o600, Stub: &stub{stubOfOurs}}
		written(t, f)
		if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("its directory: %v, %v", info.Mode(), err)
		}
		put(t, path, now)
		check(t, f.remove(t.Context()))
		left, err := os.ReadFile(path)
		if stays := now == privateKey; stays && string(left) != privateKey || !stays && !os.IsNotExist(err) {
			t.Errorf("%q is now %q, %v", now, left, err)
		}
	}
}

// TestKeybox has gpgsm list, import and delete, without its daemons.
func TestKeybox(t *testing.T) {
	ours, theirs := authority(t, nss{}, "ours"), authority(t, nss{}, "theirs")
	j := &job{Options: Options{Home: t.TempDir(), Environ: os.Environ()}}
	j.Environ = append(j.Environ, "GNUPGHOME=")
	entryOf := func(a *nssAuthority) *keyboxCertificate {
		c, err := cert.Parse(a.DER)
		check(t, err)
		return j.inKeybox(c)
	}
	own, other := entryOf(ours), entryOf(theirs)
	is := func(e entry, want state) {
		t.Helper()
		if got, _, err := e.look(t.Context()); got != want || err != nil {
			t.Errorf("%s: %v, %v", e.text(), got, err)
		}
	}
	is(own, absent)
	if _, err := os.Stat(j.gnupgHome()); !os.IsNotExist(err) {
		t.Errorf("to look makes the directory: %v", err)
	}
	check(t, os.Mkdir(j.gnupgHome(), 0o700))
	written(t, other)
	is(own, absent)
	written(t, own)
	is(own, present)
	check(t, own.remove(t.Context()))
	is(own, absent)
	is(other, present)
}

func TestTrustedRoots(t *testing.T) {
	root, err := cert.Parse(authority(t, nss{}, "root").DER)
	check(t, err)
	alone, between := *root, *root
	alone.IsCA = false
	between.Issuer = nil
	name := x509Name(root.Raw)
	for want, c := range map[string]*cert.Certificate{
		"# CN=root\n" + name + " S\n":       root,
		"# CN=root\n" + name + " S relax\n": &alone,
		"":                                  &between,
	} {
		if got := trustedRoots([]*cert.Certificate{c}); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// TestGnuPGHome is the directory that programs of GnuPG use, and for which a record is.
func TestGnuPGHome(t *testing.T) {
	for variable, want := range map[string]string{"": "/home/me/.gnupg", "here": "/home/me/.gnupg", "/srv/keys": "/srv/keys"} {
		o := Options{Home: "/home/me", Environ: []string{"GNUPGHOME=" + variable}}
		if got := o.gnupgHome(); got != want {
			t.Errorf("%q: %s", variable, got)
		}
	}
	own := gpgsm()
	here, there := Options{Home: "/home/me"}, Options{Home: "/home/me", Environ: []string{"GNUPGHOME=/srv/keys"}}
	if a, b := here.scope(&own), there.scope(&own); a != "home /home/me" || b != "home /srv/keys" {
		t.Errorf("scopes: %s, %s", a, b)
	}
}

func TestSettingsOf(t *testing.T) {
	got := settingsOf("# scdaemon-program no\n\nscdaemon-program /usr/bin/gnupg-pkcs11-scd\nlog-file x\n", "scdaemon-program")
	if got != "scdaemon-program /usr/bin/gnupg-pkcs11-scd\n" {
		t.Errorf("%q", got)
	}
}

func TestWithCA(t *testing.T) {
	for why, want := range map[string]string{"It reports: Missing issuer certificate.": "gpgsm", "It reports: Not trusted.": "gpgsm", "It reports: Bad PIN.": ""} {
		var p *problem.Error
		if err := withCA(problem.New(problem.Failed, "gpgsm failed").Because("%s", why), "gpgsm"); !errors.As(err, &p) || p.Next.Object != want {
			t.Errorf("%s: %+v", why, p.Next)
		}
	}
}

// ofCard is what the agent sends of a card whose second key is missing.
var ofCard = strings.Split(`S KDF %01
S KEY-TIME 3 1795952943
S KEY-TIME 1 1795952942
S KEY-FPR 3 1D3E1A9B6BE21F0DA115318A80238592B197C0D0
S KEY-FPR 1 C946D90A8E2369029AC14820A06F0EDF2A46D348
S DISP-NAME van+der+Head<<Floppy
S KEYPAIRINFO 505F8254E243DAC0BD150B1D2432ADA378F1EE4F CARD.3
S KEYPAIRINFO 58FB4D4A216B05F72161BBB08D870E11424C11BC CARD.2
S KEYPAIRINFO DB3939EE85D5D21FFBDACB34EAC6CFB94CB7B119 CARD.1 sc
S KEYPAIRINFO 0000000000000000000000000000000000000000 odd
OK`, "\n")

func TestPlaces(t *testing.T) {
	c := &cardKeys{report: ofCard}
	var got []string
	for _, p := range c.places() {
		got = append(got, fmt.Sprint(p.number, " ", p.fingerprint[:4], " ", p.created.Unix(), " ", p.usage()))
	}
	if want := "1 C946 1795952942 sc; 3 1D3E 1795952943 a"; strings.Join(got, "; ") != want {
		t.Errorf("%q, not %s", got, want)
	}
}

func TestOwner(t *testing.T) {
	j := &job{key: &subject{Key: &lend.Key{
		Beside: func(context.Context) ([]*cert.Certificate, error) { return nil, nil },
		Leave:  func() error { return nil },
	}}}
	is := func(report []string, want, from string) {
		t.Helper()
		if got, source, err := j.owner(t.Context(), &cardKeys{report: report}); got != want || source != from || (err == nil) != (want != "") {
			t.Errorf("%q, %q, %v", got, source, err)
		}
	}
	is(ofCard, "Floppy van der Head", "the card")
	is([]string{"S DISP-NAME", "OK"}, "", "")
	named := cert.Name{{{Type: []int{2, 5, 4, 3}, Value: "Floppy <Head>\n", IsText: true}}}
	j.key.certificate = &cert.Certificate{Subject: named}
	j.key.certificate.AltNames = []cert.GeneralName{{Kind: cert.EmailName, Value: []byte("f@example.com")}, {Kind: cert.EmailName, Value: []byte("other@example.com")}}
	is(ofCard, "Floppy Head <f@example.com>", "the certificate")
	j.key.certificate.AltNames = nil
	is(ofCard, "Floppy Head", "the certificate")
	j.key.certificate.Subject = nil
	is(ofCard, "Floppy van der Head", "the card")
}

// TestAdoptedKeysStay unless their deletion is asked for.
func TestAdoptedKeysStay(t *testing.T) {
	for _, deletes := range []bool{false, true} {
		home := t.TempDir()
		stubPath := filepath.Join(home, "private-keys-v1.d/0.key")
		j := &job{Options: Options{Action: Write, Home: home, Dir: filepath.Join(home, "state")}, target: target{
			name: "gpg", plan: func(context.Context, *job) (plan, error) {
				return plan{entries: []entry{
					&file{Path: filepath.Join(home, "scdaemon.conf"), Mode: 0o600, Block: &block{Name: "gpg", Comment: "#", Content: "pcsc-shared\n"}},
					&file{Path: stubPath, Mode: 0o600, Stub: &stub{stubOfOurs}, Adopted: true},
				}}, nil
			},
		}}
		for range 2 {
			_, err := j.do(t.Context())
			check(t, err)
		}
		j.Action, j.DeleteAdopted = Undo, deletes
		_, err := j.do(t.Context())
		check(t, err)
		if _, err := os.Stat(stubPath); os.IsNotExist(err) != deletes {
			t.Errorf("--delete-adopted %v: %v", deletes, err)
		}
		if _, err := os.Stat(filepath.Join(home, "scdaemon.conf")); !os.IsNotExist(err) {
			t.Errorf("the configuration: %v", err)
		}
	}
}

func TestDeleteAdoptedIsForUndo(t *testing.T) {
	own := gpg()
	for action, ok := range map[Action]bool{Undo: true, Write: false, Check: false} {
		o := Options{Action: action, DeleteAdopted: true}
		if err := o.validate(&own); (err == nil) != ok {
			t.Errorf("%s: %v", action, err)
		}
	}
}

// TestWhatGnuPGMakes is compared: another fingerprint, and a signature that is not valid.
func TestWhatGnuPGMakes(t *testing.T) {
	programs := t.TempDir()
	for name, script := range map[string]string{"gpg": "cat >/dev/null; echo '[GNUPG:] KEY_CREATED P 0000'", "gpg-connect-agent": "echo OK"} {
		check(t, os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	j := &job{Options: Options{Home: t.TempDir(), Environ: os.Environ()}}
	g, err := j.gnupgTrial()
	check(t, err)
	defer g.close(t.Context())
	pin := secret.New([]byte("123456"))
	if _, err := g.adopt(t.Context(), "Floppy Head", []place{{number: 1, fingerprint: "1111"}}, pin); !problem.Is(err, problem.Mismatch) {
		t.Errorf("another fingerprint: %v", err)
	}
	if public, err := g.adopt(t.Context(), "Floppy Head", []place{{number: 1, fingerprint: "0000"}}, pin); err != nil || public == "" {
		t.Errorf("the fingerprint of the card: %q, %v", public, err)
	}
	if err := g.signAndVerify(t.Context(), "gpg", nil, "1111", pin); !problem.Is(err, problem.Mismatch) {
		t.Errorf("no valid signature: %v", err)
	}
}

func TestUnknownFormat(t *testing.T) {
	if _, err := planGit(t.Context(), &job{Options: Options{Format: "openpgp"}}); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
}

func TestGpgsmNeedsACertificate(t *testing.T) {
	j := &job{key: &subject{Key: &lend.Key{Ref: "key"}}}
	if _, err := planGPGSM(t.Context(), j); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
}
