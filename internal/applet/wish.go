package applet

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// DomainWish is what the user says of a security domain, as it was typed.
type DomainWish struct {
	ISD                    string
	DefaultKeys, RetryKeys bool
	KeyVersion, KeyIndex   byte
	Diversification, Level string
}

// LevelNames are the words for security levels, PrivilegeNames those for
// privileges.
func LevelNames() []string     { return gp.LevelNames() }
func PrivilegeNames() []string { return gp.PrivilegeNames() }

// Parse checks everything that does not need the card.
func (w DomainWish) Parse() (o Domain, err error) {
	o = Domain{DefaultKeys: w.DefaultKeys, RetryKeys: w.RetryKeys, KeyVersion: w.KeyVersion, KeyIndex: w.KeyIndex}
	if o.ISD, err = parseAID("--isd", w.ISD); err != nil {
		return o, err
	}
	if o.Diversification, err = gp.ParseDiversification(strings.ToLower(w.Diversification)); err != nil {
		return o, problem.Wrap(problem.Usage, err, "--diversification")
	}
	if o.Level, err = gp.ParseLevel(w.Level); err != nil {
		return o, problem.Wrap(problem.Usage, err, "--security-level")
	}
	return o, nil
}

// InstallWish is what the user says of an installation, as it was typed.
type InstallWish struct {
	Domain                         DomainWish
	Applets, Instances             []string
	Parameters, Privileges, Memory string
	LoadHash                       string
	Replace, DryRun                bool
}

// Parse checks everything that needs neither the file nor the card.
func (w InstallWish) Parse() (o InstallOptions, err error) {
	o = InstallOptions{LoadHash: strings.ToLower(w.LoadHash), Replace: w.Replace, DryRun: w.DryRun}
	if o.Domain, err = w.Domain.Parse(); err != nil {
		return o, err
	}
	if o.Applets, err = parseAIDs("--applet", w.Applets); err != nil {
		return o, err
	}
	if o.Instances, err = parseAIDs("--instance", w.Instances); err != nil {
		return o, err
	}
	if o.Parameters, err = hex.DecodeString(strings.ReplaceAll(w.Parameters, " ", "")); err != nil {
		return o, problem.New(problem.Usage, "--parameters: not hexadecimal").
			Because("Two digits make a byte, and nothing else may be there.").Hint("--parameters 0102FF")
	}
	if o.Privileges, err = gp.ParsePrivileges(w.Privileges); err != nil {
		return o, problem.Wrap(problem.Usage, err, "--privileges")
	}
	o.Memory, err = parseMemory(w.Memory)
	return o, err
}

// DeleteWish is what the user says of a deletion, as it was typed.
type DeleteWish struct {
	Domain      DomainWish
	AID         string
	WithApplets bool
}

// Parse checks everything that does not need the card.
func (w DeleteWish) Parse() (o DeleteOptions, err error) {
	o = DeleteOptions{WithApplets: w.WithApplets}
	if o.AID, err = parseAID("AID", w.AID); err != nil {
		return o, err
	}
	o.Domain, err = w.Domain.Parse()
	return o, err
}

// parseAID reads an AID; none is nil.
func parseAID(where, text string) (gp.AID, error) {
	if text == "" {
		return nil, nil
	}
	aid, err := gp.ParseAID(text)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, where).
			Hint("cardctl applet list and cardctl applet inspect show AIDs, 5 to 16 bytes in hexadecimal")
	}
	return aid, nil
}

func parseAIDs(where string, texts []string) ([]gp.AID, error) {
	var list []gp.AID
	for _, text := range texts {
		aid, err := parseAID(where, text)
		if err != nil {
			return nil, err
		}
		if aid == nil {
			return nil, problem.New(problem.Usage, "%s is empty", where)
		}
		list = append(list, aid)
	}
	return list, nil
}

// parseMemory reads limits such as code=12000,data=4000.
func parseMemory(text string) (m gp.Memory, err error) {
	if text == "" {
		return m, nil
	}
	for limit := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(limit), "=")
		n, err := strconv.ParseUint(value, 0, 31)
		field := map[string]*int{"code": &m.Code, "data": &m.Data, "volatile": &m.Volatile}[strings.ToLower(name)]
		if err != nil || field == nil || n == 0 || *field != 0 {
			return m, problem.New(problem.Usage, "--memory: %q is no limit", output.Line(limit)).
				Because("There are code, data and volatile, each once and with a number of bytes.").
				Hint("--memory code=12000,data=4000,volatile=500")
		}
		*field = int(n)
	}
	return m, nil
}

// Join is a list of AIDs for a person.
func Join(list []gp.AID) string { return aids(list) }

// String is an application of a plan for a person: its AID and its privileges.
func (i InstancePlan) String() string {
	return strings.Join(slices.Insert(slices.Clone(i.Privileges), 0, i.AID.String()), ", ")
}

// String is a package as people call it.
func (p Package) String() string {
	return strings.TrimSpace(p.AID.String() + " " + p.Version.String() + " " + p.Name)
}

// KeyVersionText names the version of a card's keys.
func KeyVersionText(version byte) string {
	if version == gp.FactoryKeyVersion {
		return "255: those that the card came with"
	}
	return strconv.Itoa(int(version))
}
