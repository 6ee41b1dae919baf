package setup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
)

// nssDatabase is a database that has to be made.
type nssDatabase struct {
	nss
	// Made are the directories that had to be made for it, the innermost first.
	Made []string `json:"made,omitempty"`
}

func (d *nssDatabase) kind() string  { return "nss-database" }
func (d *nssDatabase) whole() bool   { return d.placed() }
func (d *nssDatabase) place() string { return d.Dir }
func (d *nssDatabase) text() string  { return "a database of NSS, without a password\n" }

func (d *nssDatabase) look(context.Context) (state, string, error) {
	if d.exists() {
		return present, "", nil
	}
	return absent, "", nil
}

func (d *nssDatabase) remember(context.Context) (err error) {
	d.Made, err = missing(d.Dir)
	return err
}

func (d *nssDatabase) write(ctx context.Context) error {
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return unwritable(d.Dir, err)
	}
	_, err := d.certutil(ctx, "-N", "--empty-password")
	return err
}

// remove deletes the database if nothing came into it meanwhile.
func (d *nssDatabase) remove(ctx context.Context) error {
	modules, err := d.modules(ctx)
	if err != nil {
		return err
	}
	certificates, err := d.certificates(ctx)
	if err != nil {
		return err
	}
	if len(modules) > 0 || len(certificates) > 0 || d.mayHaveKeys(ctx) {
		return nil
	}
	for _, name := range []string{"cert9.db", "key4.db", "pkcs11.txt"} {
		if err := os.Remove(filepath.Join(d.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return unwritable(d.Dir, err)
		}
	}
	unmake(d.Made)
	return nil
}

// mayHaveKeys is also true for a database with a password, which shows none.
func (d *nssDatabase) mayHaveKeys(ctx context.Context) bool {
	_, err := d.certutil(ctx, "-K")
	return err == nil || !strings.Contains(err.Error(), "no keys found")
}

// nssModule is a PKCS#11 module in a database.
type nssModule struct {
	nss
	Name    string `json:"name"`
	Library string `json:"library"`
	// Before is the file that had the name before; empty for none.
	Before string `json:"before,omitempty"`
}

func (m *nssModule) kind() string  { return "nss-module" }
func (m *nssModule) whole() bool   { return m.placed() && m.Name != "" && m.Library != "" }
func (m *nssModule) place() string { return m.Dir + ", module " + m.Name }
func (m *nssModule) text() string  { return m.Library + "\n" }

// look is content with a module of another name, if it is the same file.
func (m *nssModule) look(ctx context.Context) (state, string, error) {
	listed, err := m.modules(ctx)
	if err != nil {
		return absent, "", err
	}
	if slices.ContainsFunc(listed, func(l nssListed) bool { return l.library == m.Library }) {
		return present, "", nil
	}
	at := slices.IndexFunc(listed, func(l nssListed) bool { return l.name == m.Name })
	if at < 0 || listed[at].library == m.Before {
		return absent, "", nil
	}
	return foreign, difference(m.Library, listed[at].library), nil
}

func (m *nssModule) remember(ctx context.Context) (err error) {
	m.Before, err = m.named(ctx)
	return err
}

// named is the file that has the name, empty for none.
func (m *nssModule) named(ctx context.Context) (string, error) {
	listed, err := m.modules(ctx)
	for _, l := range listed {
		if l.name == m.Name {
			return l.library, err
		}
	}
	return "", err
}

func (m *nssModule) write(ctx context.Context) error { return m.become(ctx, m.Library) }

func (m *nssModule) remove(ctx context.Context) error { return m.become(ctx, m.Before) }

// become gives the name to a file, or to none.
func (m *nssModule) become(ctx context.Context, library string) error {
	now, err := m.named(ctx)
	if err != nil || now == library {
		return err
	}
	if now != "" {
		if _, err := m.modutil(ctx, "-delete", m.Name); err != nil {
			return err
		}
	}
	if library == "" {
		return nil
	}
	_, err = m.modutil(ctx, "-add", m.Name, "-libfile", library)
	return err
}

// nssAuthority is the certificate of a CA in a database, which it trusts.
type nssAuthority struct {
	nss
	Name    string `json:"name"`
	Subject string `json:"subject"`
	DER     []byte `json:"der"`
	// Trust is what it is trusted for: SSL, mail, code, as certutil(1) has it.
	Trust string `json:"trust"`
	// Before is its trust before, if it was there.
	Before *string `json:"before,omitempty"`
}

func (a *nssAuthority) kind() string  { return "nss-authority" }
func (a *nssAuthority) whole() bool   { return a.placed() && a.Name != "" && len(a.DER) > 0 }
func (a *nssAuthority) place() string { return a.Dir + ", certificate " + a.Name }
func (a *nssAuthority) text() string  { return a.Subject + "\ntrusted for " + a.Trust + "\n" }

func (a *nssAuthority) look(ctx context.Context) (state, string, error) {
	found, _, err := a.find(ctx, a.DER)
	switch {
	case err != nil || found == nil:
		return absent, "", err
	case trusts(found.trust, a.Trust):
		return present, "", nil
	case a.Before != nil && *a.Before == found.trust:
		return absent, "", nil
	}
	return foreign, difference("trusted for "+a.Trust, "trusted for "+found.trust), nil
}

// trusts reports whether each part of a trust has the letters of another.
func trusts(there, want string) bool {
	has, needs := strings.Split(there, ","), strings.Split(want, ",")
	for i, need := range needs {
		if strings.Trim(need, has[i]) != "" {
			return false
		}
	}
	return true
}

func (a *nssAuthority) remember(ctx context.Context) error {
	found, _, err := a.find(ctx, a.DER)
	a.Before = nil
	if found != nil {
		a.Before = &found.trust
	}
	return err
}

func (a *nssAuthority) write(ctx context.Context) error {
	found, _, err := a.find(ctx, a.DER)
	switch {
	case err != nil:
		return err
	case found != nil:
		_, err = a.certutil(ctx, "-M", "-n", found.name, "-t", a.Trust)
		return err
	}
	_, err = a.run(ctx, runner.Program{
		Name: "certutil", Args: []string{"-d", "sql:" + a.Dir, "-A", "-n", a.Name, "-t", a.Trust}, Stdin: a.DER,
	})
	if needsPassword(err) {
		_, _ = a.certutil(ctx, "-D", "-n", a.Name) // it was added, and is not trusted
		return problem.New(problem.NotSupported, "%s has a password", a.Dir).
			Because("It guards which CAs are trusted. Policies for all users need none.").Advise(advice.Repeat(advice.Switch(advice.System)))
	}
	return err
}

// needsPassword reports whether certutil failed for want of the password of a database:
// in the words of NSS 3.87, and of 3.110.
func needsPassword(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "could not authenticate") || strings.Contains(err.Error(), "SEC_ERROR_TOKEN_NOT_LOGGED_IN"))
}

func (a *nssAuthority) remove(ctx context.Context) error {
	found, alike, err := a.find(ctx, a.DER)
	switch {
	case err != nil || found == nil:
		return err
	case a.Before != nil:
		_, err = a.certutil(ctx, "-M", "-n", found.name, "-t", *a.Before)
		return err
	case alike > 1: // certutil would choose
		return problem.New(problem.Refused, "%s has several certificates called %q", a.Dir, found.name).
			Because("certutil cannot delete one of them. It was added for %s.", a.Subject).
			Advise(advice.Say("Delete the certificate in the settings of the program, and repeat the command."))
	}
	_, err = a.certutil(ctx, "-D", "-n", found.name)
	return err
}
