package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// moduleName is what browsers call the module.
const moduleName = "cardctl"

// trusting is what a program trusts a CA for, as certutil(1) has it.
type trusting string

const (
	forServers        trusting = "C,,"
	forServersAndMail trusting = "C,C,"
)

// plan has a program with profiles of Mozilla load a module and trust the CAs, and use
// nothing newer than TLS 1.2 if lower.
func (m *mozilla) plan(ctx context.Context, j *job, module string, trust trusting, lower bool) (plan, error) {
	if j.System {
		return m.planPolicies(j, module, lower)
	}
	dir, err := m.profileOf(j)
	if err != nil {
		return plan{}, err
	}
	database := nss{Dir: dir, Holder: holder{m.name, filepath.Join(dir, ".parentlock")}, run: j.runProgram}
	p, err := database.plan(ctx, module, j.CA, trust)
	if err != nil {
		return plan{}, err
	}
	if lower {
		p.entries = append(p.entries, &file{
			Path: filepath.Join(dir, "prefs.js"), Mode: 0o600, Holder: database.Holder, Pref: &preference{"security.tls.version.max", "3"},
		})
	}
	return p, nil
}

// plan has a database load a module and trust CAs.
func (n nss) plan(ctx context.Context, module string, authorities []*cert.Certificate, trust trusting) (p plan, err error) {
	p.entries = n.entries(module, authorities, trust)
	p.notes, err = n.doubles(ctx, module)
	return p, err
}

// entries are a module and CAs in a database.
func (n nss) entries(module string, authorities []*cert.Certificate, trust trusting) []entry {
	all := []entry{&nssDatabase{nss: n}, &nssModule{nss: n, Name: moduleName, Library: module}}
	for _, c := range authorities {
		all = append(all, &nssAuthority{nss: n, Name: moduleName + " " + thumbprint(c), Subject: c.Subject.String(), DER: c.Raw, Trust: string(trust)})
	}
	return all
}

// doubles tells of modules that show the same cards a second time: OpenSC's, and the one
// of it that asks for one PIN.
func (n nss) doubles(ctx context.Context, module string) (notes []string, err error) {
	listed, err := n.modules(ctx)
	plain := func(path string) string { return strings.TrimPrefix(filepath.Base(path), onePINPrefix) }
	for _, l := range listed {
		if l.name != moduleName && l.library != module && plain(l.library) == plain(module) {
			notes = append(notes, n.Holder.Program+" also loads "+l.library+", as "+l.name+", so it shows each card twice and asks for more PINs.")
		}
	}
	return notes, err
}

// thumbprint tells certificates apart.
func thumbprint(c *cert.Certificate) string { return digest(c.Raw, 8) }

// digest is the beginning of the SHA-256 of data, so many bytes of it in hex.
func digest(data []byte, length int) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:length])
}

func inPEM(c *cert.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// planPolicies writes the policies that the program has for everybody.
func (m *mozilla) planPolicies(j *job, module string, lower bool) (plan, error) {
	path := j.Root + m.policies
	now, err := readFile(path)
	if err != nil {
		return plan{}, err
	}
	if _, err := os.Stat(j.Root + m.packaged); now == nil && err == nil {
		return plan{}, problem.New(problem.Refused, "%s would no longer read %s", m.name, m.packaged).
			Because("It reads only %s if there is one.", m.policies).Advise(advice.Run("install", "-D", "-m", "644", m.packaged, m.policies))
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return plan{}, unreadable(m.packaged, err)
	}
	var p plan
	policies := &members{Members: []member{{Path: devices(now), Value: module}}}
	for _, c := range j.CA {
		file := &file{
			Path: filepath.Join(filepath.Dir(path), moduleName+"-"+thumbprint(c)+".pem"), Mode: 0o644,
			Whole: &whole{inPEM(c)},
		}
		p.entries = append(p.entries, file)
		policies.Members = append(policies.Members, member{Path: []string{"policies", "Certificates", "Install"}, Value: file.Path, Listed: true})
	}
	if lower {
		policies.Members = append(policies.Members, member{Path: []string{"policies", "SSLVersionMax"}, Value: "tls1.2"})
	}
	p.entries = append(p.entries, &file{Path: path, Mode: 0o644, Members: policies})
	p.lasting = []string{
		m.name + " keeps in its profiles what policies added. To remove it there, open the settings: Certificates, Security Devices, " + moduleName + ".",
	}
	return p, nil
}

// devices is where the module belongs: modules are members of SecurityDevices, or of its
// member Add, if it has one.
func devices(now []byte) []string {
	if o, err := document(now); err == nil {
		there, found, err := member{Path: []string{"policies", "SecurityDevices"}}.find(o)
		modules, is := there.(*object)
		if err == nil && found && is {
			_, adds := modules.values["Add"].(*object)
			_, deletes := modules.values["Delete"]
			if !adds && !deletes {
				return []string{"policies", "SecurityDevices", moduleName}
			}
		}
	}
	return []string{"policies", "SecurityDevices", "Add", moduleName}
}

// onePINPrefix begins the name of the module that asks for one PIN.
const onePINPrefix = "onepin-"

// onePIN is the module for a program that asks for the PIN of every token. OpenSC's
// module makes a token of each PIN of a card. Debian has another one beside it, which
// shows the first PIN and its keys only.
func (j *job) onePIN(ctx context.Context) (string, error) {
	path := filepath.Join(filepath.Dir(j.key.module), onePINPrefix+filepath.Base(j.key.module))
	if _, err := os.Stat(path); err != nil {
		return j.key.module, nil
	}
	through := *j.key.Key
	through.Module = path
	err := through.Through(ctx, func(*p11.Module, *p11.Session) error { return nil })
	switch {
	case err == nil:
		return path, nil
	case problem.Is(err, problem.NotFound):
		return j.key.module, nil
	}
	return "", err
}
