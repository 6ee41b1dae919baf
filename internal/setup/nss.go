package setup

import (
	"bytes"
	"context"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/cardctl/cardctl/internal/runner"
)

// nss is a database of NSS: modules and certificates of one person or profile. It is
// read and written by modutil and certutil, without the password that it may have.
type nss struct {
	Dir string `json:"dir"`
	// Holder is the program that the database belongs to.
	Holder holder `json:"holder"`

	run tools
}

// placed reports whether it has a certain place.
func (n *nss) placed() bool { return filepath.IsAbs(n.Dir) }

// tools run programs: modutil and certutil.
type tools func(ctx context.Context, p runner.Program) (string, error)

// runBy gives an entry of a record the tools.
func (n *nss) runBy(run tools) { n.run = run }

func (n *nss) free() error { return n.Holder.free() }

// exists reports whether there is a database: NSS makes one where it is opened to write.
func (n *nss) exists() bool {
	_, err := os.Lstat(filepath.Join(n.Dir, "cert9.db"))
	return err == nil
}

func (n *nss) modutil(ctx context.Context, args ...string) (string, error) {
	return n.run(ctx, runner.Program{Name: "modutil", Args: append([]string{"-dbdir", "sql:" + n.Dir, "-force"}, args...)})
}

func (n *nss) certutil(ctx context.Context, args ...string) (string, error) {
	return n.run(ctx, runner.Program{Name: "certutil", Args: append([]string{"-d", "sql:" + n.Dir}, args...)})
}

// nssListed is a module in the list of modutil.
type nssListed struct{ name, library string }

var nssModuleLine = regexp.MustCompile(`(?m)^library="((?:[^"\\]|\\.)*)" name="((?:[^"\\]|\\.)*)"`)

var nssEscape = regexp.MustCompile(`\\(.)`)

// modules are those with a file. To list them, none is loaded.
func (n *nss) modules(ctx context.Context) ([]nssListed, error) {
	if !n.exists() {
		return nil, nil
	}
	text, err := n.modutil(ctx, "-rawlist")
	if err != nil {
		return nil, err
	}
	var listed []nssListed
	for _, line := range nssModuleLine.FindAllStringSubmatch(text, -1) {
		listed = append(listed, nssListed{name: nssEscape.ReplaceAllString(line[2], "$1"), library: nssEscape.ReplaceAllString(line[1], "$1")})
	}
	return listed, nil
}

// nssCert is a certificate in the list of certutil. Several can have one name.
type nssCert struct {
	name, trust string
	der         []byte
}

// certificates are those of the database itself, not of tokens.
func (n *nss) certificates(ctx context.Context) ([]nssCert, error) {
	if !n.exists() {
		return nil, nil
	}
	text, err := n.certutil(ctx, "-L")
	if err != nil {
		return nil, err
	}
	var all []nssCert
	read := map[string]bool{}
	for line := range strings.Lines(text) {
		name, trust, listed := nssCertLine(line)
		if !listed || read[name] {
			continue
		}
		read[name] = true
		text, err := n.certutil(ctx, "-L", "-n", name, "-a")
		if err != nil {
			return nil, err
		}
		rest := []byte(text)
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			all = append(all, nssCert{name, trust, block.Bytes})
		}
	}
	return all, nil
}

var nssTrust = regexp.MustCompile(`^[a-zA-Z]*,[a-zA-Z]*,[a-zA-Z]*$`)

// nssCertLine reads a line of the list of certutil: a name, and in the last column what
// the certificate is trusted for.
func nssCertLine(line string) (name, trust string, listed bool) {
	line = strings.TrimSpace(line)
	at := strings.LastIndexByte(line, ' ')
	if at < 0 || !nssTrust.MatchString(line[at+1:]) || line[at+1:] == "SSL,S/MIME,JAR/XPI" {
		return "", "", false
	}
	return strings.TrimSpace(line[:at]), line[at+1:], true
}

// find is the certificate of this content, nil for none, and how many have its name.
func (n *nss) find(ctx context.Context, der []byte) (found *nssCert, alike int, err error) {
	all, err := n.certificates(ctx)
	for i := range all {
		if bytes.Equal(all[i].der, der) {
			found = &all[i]
		}
	}
	for _, c := range all {
		if found != nil && c.name == found.name {
			alike++
		}
	}
	return found, alike, err
}
