package setup

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// TestOptionsThatATargetDoesNotHave are refused before a card is looked for.
func TestOptionsThatATargetDoesNotHave(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		next advice.Advice
	}{
		"an option of others":        {Options{Target: "p11-kit", Group: "users"}, advice.Repeat().Without(advice.Group)},
		"whose it is, twice":         {Options{Target: "ssh", System: true, User: "root"}, advice.Repeat().Without(advice.User)},
		"a key":                      {Options{Target: "p11-kit", Key: "OPENPGP.3"}, advice.Repeat().Without(advice.Key)},
		"nobody who may use readers": {Options{Target: "polkit", Action: Print}, advice.Repeat(advice.Fill(advice.Group))},
	} {
		t.Run(name, func(t *testing.T) { refused(t, errOf(t, c.o), problem.Usage, c.next) })
	}
	if os.Geteuid() == 0 {
		refused(t, errOf(t, Options{Target: "p11-kit", Action: Print}), problem.NotSupported, advice.Repeat())
	}
	if err := errOf(t, Options{Target: "nonsense"}); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
	for _, o := range []Options{{Target: "polkit", User: "nobody-like-this"}, {Target: "polkit", Group: "nobody-like-this"}, {Target: "p11-kit", Action: Undo}} {
		if err := errOf(t, o); !problem.Is(err, problem.NotFound) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func errOf(t *testing.T, o Options) error {
	t.Helper()
	o.Home, o.Dir = t.TempDir(), filepath.Join(t.TempDir(), "state")
	_, err := Run(t.Context(), &desk.Desk{}, desk.Access{}, o)
	return err
}

func refused(t *testing.T, err error, code problem.Code, next advice.Advice) {
	t.Helper()
	p, is := err.(*problem.Error)
	if !is || p.Code != code || p.Next.Action != next.Action || strings.Join(p.Next.Program, " ") != strings.Join(next.Program, " ") {
		t.Errorf("%v, not %s with %+v", err, code, next)
	}
}

// withKey is a job for a key that has this certificate label.
func withKey(t *testing.T, public any, certificate *cert.Certificate, label *string) *job {
	t.Helper()
	return &job{
		Options: Options{Home: t.TempDir(), Dir: t.TempDir()}, target: target{name: "vpn"},
		key: &subject{Key: &lend.Key{Ref: "OPENPGP.3"}, module: "/lib/module.so", public: public, certificate: certificate, known: p11.KnownAs{URI: "pkcs11:id=%03", CertificateLabel: label}},
	}
}

// TestKeysThatAProgramCannotUse are refused before anything is written.
func TestKeysThatAProgramCannotUse(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	certificate := &cert.Certificate{}
	label, empty := "mine", ""
	generate := advice.Do(advice.GenerateKey)
	for name, c := range map[string]struct {
		job  *job
		plan func(context.Context, *job) (plan, error)
		code problem.Code
		next advice.Advice
	}{
		"ssh, a curve of others":   {withKey(t, &pubkey.Other{}, nil, nil), planSSH, problem.NotSupported, generate},
		"java, no certificate":     {withKey(t, key.Public(), nil, nil), planJava, problem.NotFound, advice.Do(advice.ImportCertificate)},
		"java, no label":           {withKey(t, key.Public(), certificate, &empty), planJava, problem.NotSupported, advice.Do(advice.ImportCertificate)},
		"a server, no certificate": {asRoot(withKey(t, key.Public(), nil, nil)), stunnel().plan, problem.NotFound, advice.Do(advice.ImportCertificate)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.plan(t.Context(), c.job)
			refused(t, err, c.code, c.next)
		})
	}
	j := withKey(t, key.Public(), certificate, &label)
	j.key.module = `/lib/"module".so`
	_, err = planJava(t.Context(), j)
	refused(t, err, problem.NotSupported, advice.Do(advice.ListTokens))
	j = withKey(t, key.Public(), certificate, &label)
	j.Format = "pgp"
	_, err = planGit(t.Context(), j)
	refused(t, err, problem.Usage, advice.Repeat())
	for _, pattern := range []string{"!x", "", "a b", "-oProxyCommand=x", "a,b", "a#b", "a\nb"} {
		j.URLs = []string{pattern}
		_, err = planSSH(t.Context(), j)
		refused(t, err, problem.Usage, advice.Repeat())
	}
}

func asRoot(j *job) *job {
	j.Root = j.Home
	return j
}

// TestAProgramThatIsNotInstalled is named with its package.
func TestAProgramThatIsNotInstalled(t *testing.T) {
	j := &job{target: target{name: "vpn", needs: []program{{names: []string{"no-such-program"}, pack: "vpn-tools"}}}}
	refused(t, j.installed(), problem.NotFound, advice.Run("apt", "install", "vpn-tools"))
}

// TestRecordsThatCannotBeUsed: one that is damaged, and two of which none was named.
func TestRecordsThatCannotBeUsed(t *testing.T) {
	w := newWorld(t)
	w.must(Write)
	records, err := filepath.Glob(filepath.Join(w.dir, "state", "*"))
	check(t, err)
	put(t, filepath.Join(w.dir, "state", "vpn-0123456789ab.json"), strings.Replace(get(t, records[0]), `"home `, `"profile `, 1))
	_, err = w.run(Undo)
	refused(t, err, problem.NotFound, advice.Repeat())
	put(t, records[0], `{"target": "vpn", "entries": [{"kind": "nonsense"}]}`)
	_, err = w.run(Write)
	refused(t, err, problem.Mismatch, advice.Run("mv", records[0], records[0]+".old"))
}

// TestAFileThatCannotBeWritten leaves the way to write it by hand.
func TestAFileThatCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	put(t, filepath.Join(w.dir, "etc"), "no directory")
	_, err := w.run(Write)
	if p, is := err.(*problem.Error); !is || p.Code != problem.Failed {
		t.Error(err)
	}
	f := &file{Path: "/proc/version", Whole: &whole{"x"}}
	if os.Geteuid() == 0 {
		refused(t, f.write(t.Context()), problem.Failed, advice.Repeat())
	}
}

// TestAGroupWithoutMembers has nobody who could list the readers.
func TestAGroupWithoutMembers(t *testing.T) {
	j := &job{Options: Options{Group: "nogroup", Environ: os.Environ()}}
	_, err := checkPolkit(t.Context(), j)
	refused(t, err, problem.NotFound, advice.Run("adduser", "NAME", "nogroup"))
}

// TestWaysOut are those of refusals that need a card.
func TestWaysOut(t *testing.T) {
	refused(t, needsPolicy(), problem.Usage, advice.Repeat())
	refused(t, noFingerprints("PIV.9A"), problem.NotSupported, advice.Do(advice.SetUp))
	refused(t, noKeyForSignatures(), problem.NotFound, advice.Do(advice.GenerateKey))
	if next := useGnuPGCard(); len(next.Program) != 2 {
		t.Errorf("%+v", next)
	}
}
