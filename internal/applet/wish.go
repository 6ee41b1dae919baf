package applet

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// DomainWish is what the user says of a security domain, as it was typed.
type DomainWish struct {
	ISD                    string
	DefaultKeys, RetryKeys bool
	AcceptRandomChallenge  bool
	KeyVersion, KeyIndex   byte
	Diversification, Level string
}

// LevelNames are the words for security levels, PrivilegeNames those for
// privileges.
func LevelNames() []string     { return gp.LevelNames() }
func PrivilegeNames() []string { return gp.PrivilegeNames() }

// Parse checks everything that does not need the card.
func (w DomainWish) Parse() (o Domain, err error) {
	o = Domain{DefaultKeys: w.DefaultKeys, RetryKeys: w.RetryKeys, AcceptRandomChallenge: w.AcceptRandomChallenge, KeyVersion: w.KeyVersion, KeyIndex: w.KeyIndex}
	if o.ISD, err = parseAID("the AID of the security domain", w.ISD, advice.Do(advice.ListApplets)); err != nil {
		return o, err
	}
	if o.Diversification, err = gp.ParseDiversification(strings.ToLower(w.Diversification)); err != nil {
		return o, problem.Wrap(problem.Usage, err, "the diversification is not valid")
	}
	if o.Level, err = gp.ParseLevel(w.Level); err != nil {
		return o, problem.Wrap(problem.Usage, err, "the security level is not valid")
	}
	return o, nil
}

// InstallWish is what the user says of an installation, as it was typed.
type InstallWish struct {
	Domain                    DomainWish
	Applets, Instances        []string
	Package                   string
	Parameters, Raw           string
	Privileges, Memory        string
	LoadHash                  string
	BlockSize                 uint16
	LoadOnly, Replace, DryRun bool
}

// Parse checks everything that needs neither the file nor the card.
func (w InstallWish) Parse() (o InstallOptions, err error) {
	o = InstallOptions{LoadHash: strings.ToLower(w.LoadHash), LoadOnly: w.LoadOnly, Replace: w.Replace, DryRun: w.DryRun, BlockSize: int(w.BlockSize)}
	if o.Domain, err = w.Domain.Parse(); err != nil {
		return o, err
	}
	if o.Applets, err = parseAIDs("the AID of an applet", w.Applets, advice.Applet); err != nil {
		return o, err
	}
	if o.Instances, err = parseAIDs("the AID of an instance", w.Instances, advice.Instance); err != nil {
		return o, err
	}
	if o.Package, err = parseAID("the AID of the package", w.Package, advice.Do(advice.ListApplets)); err != nil {
		return o, err
	}
	if o.Parameters, err = parseParameters(w.Parameters); err != nil {
		return o, err
	}
	if o.RawParameters, err = parseParameters(w.Raw); err != nil {
		return o, err
	}
	if o.Privileges, err = gp.ParsePrivileges(w.Privileges); err != nil {
		return o, problem.Wrap(problem.Usage, err, "the privileges are not valid")
	}
	o.Memory, err = parseMemory(w.Memory)
	return o, err
}

// parseParameters reads install parameters; none are nil.
func parseParameters(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		return nil, problem.New(problem.Usage, "the install parameters are not hexadecimal").
			Because("Write each byte as two digits, such as 0102FF.")
	}
	return b, nil
}

// DeleteWish is what the user says of a deletion, as it was typed.
type DeleteWish struct {
	Domain      DomainWish
	AID         string // "" to delete the card keys of the version in Domain
	WithApplets bool
}

// Parse checks everything that does not need the card.
func (w DeleteWish) Parse() (o DeleteOptions, err error) {
	o = DeleteOptions{WithApplets: w.WithApplets}
	if w.AID == "" {
		if o.KeyVersion, w.Domain.KeyVersion = w.Domain.KeyVersion, 0; o.KeyVersion == 0 {
			return o, problem.New(problem.Usage, "neither an AID nor a key version is named").Advise(advice.Do(advice.ListApplets))
		}
	}
	if o.AID, err = parseAID("the AID", w.AID, advice.Do(advice.ListApplets)); err != nil {
		return o, err
	}
	o.Domain, err = w.Domain.Parse()
	return o, err
}

// parseAID reads an AID; none is nil. next is what to do about one that is wrong.
func parseAID(what, text string, next advice.Advice) (gp.AID, error) {
	if text == "" {
		return nil, nil
	}
	aid, err := gp.ParseAID(text)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, what+" is not valid").Advise(next)
	}
	return aid, nil
}

func parseAIDs(what string, texts []string, field advice.Field) ([]gp.AID, error) {
	var list []gp.AID
	for _, text := range texts {
		aid, err := parseAID(what, text, advice.Repeat().Without(field))
		if err != nil {
			return nil, err
		}
		if aid == nil {
			return nil, problem.New(problem.Usage, "%s is empty", what)
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
			return m, problem.New(problem.Usage, "%q is not a memory limit", output.Line(limit)).
				Because("Valid limits: code, data and volatile, each once with a number of bytes, such as code=12000,data=4000.")
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
		return "255 (factory keys)"
	}
	return strconv.Itoa(int(version))
}

// StateWish is what the user says of a life cycle state, as it was typed.
type StateWish struct {
	Domain      DomainWish
	Change, AID string
}

// Parse checks everything that does not need the card.
func (w StateWish) Parse() (o StateOptions, err error) {
	o.Change = StateChange(w.Change)
	if o.AID, err = parseAID("the AID", w.AID, advice.Do(advice.ListApplets)); err != nil {
		return o, err
	}
	o.Domain, err = w.Domain.Parse()
	return o, err
}

// NewDomainWish is what the user says of a new security domain, as it was typed.
type NewDomainWish struct {
	Domain                           DomainWish
	AID, Privileges, Parameters, Raw string
}

// Parse checks everything that does not need the card.
func (w NewDomainWish) Parse() (o CreateDomainOptions, err error) {
	if o.AID, err = parseAID("the AID", w.AID, advice.Do(advice.ListApplets)); err != nil {
		return o, err
	}
	if o.Privileges, err = gp.ParsePrivileges(w.Privileges); err != nil {
		return o, problem.Wrap(problem.Usage, err, "the privileges are not valid")
	}
	if o.Parameters, err = parseParameters(w.Parameters); err != nil {
		return o, err
	}
	if o.RawParameters, err = parseParameters(w.Raw); err != nil {
		return o, err
	}
	if len(o.Parameters) > 0 && o.RawParameters != nil {
		return o, bothParameters()
	}
	o.Domain, err = w.Domain.Parse()
	return o, err
}

// ExtraditeWish is what the user says of an extradition, as it was typed.
type ExtraditeWish struct {
	Domain  DomainWish
	AID, To string
}

// Parse checks everything that does not need the card.
func (w ExtraditeWish) Parse() (o ExtraditeOptions, err error) {
	if o.AID, err = parseAID("the AID", w.AID, advice.Do(advice.ListApplets)); err != nil {
		return o, err
	}
	if o.To, err = parseAID("the AID of the security domain", w.To, advice.Do(advice.ListApplets)); err != nil {
		return o, err
	}
	o.Domain, err = w.Domain.Parse()
	return o, err
}

// StoreWish is what the user says of data to store, as it was typed.
type StoreWish struct {
	Domain            DomainWish
	Applet, Structure string
	BlockSize         uint16
}

// Parse checks everything that needs neither the data nor the card.
func (w StoreWish) Parse() (o StoreOptions, err error) {
	o = StoreOptions{Structure: w.Structure, BlockSize: int(w.BlockSize)}
	if o.Applet, err = parseAID("the AID of the application", w.Applet, advice.Repeat().Without(advice.Applet)); err != nil {
		return o, err
	}
	o.Domain, err = w.Domain.Parse()
	return o, err
}

// NewKeysWish is what the user says of new card keys, as it was typed.
type NewKeysWish struct {
	Domain               DomainWish
	Type                 string
	Generate, NewDefault bool
	Version              byte
	Add                  bool
	File                 string
}

// Parse checks everything that does not need the card. The diversification is that
// of new keys that somebody is asked for; random ones have none, and then it is that
// of the keys that the card has.
func (w NewKeysWish) Parse() (o SetKeysOptions, err error) {
	o = SetKeysOptions{Generate: w.Generate, NewDefault: w.NewDefault, Version: w.Version, Add: w.Add, File: w.File}
	if o.Domain, err = w.Domain.Parse(); err != nil {
		return o, err
	}
	if !o.Generate && !o.NewDefault {
		o.Diversification, o.Domain.Diversification = o.Domain.Diversification, gp.NoDiversification
	}
	ciphers := map[string]gp.Cipher{"": 0, "aes": gp.AES, "des": gp.TripleDES}
	cipher, known := ciphers[strings.ToLower(w.Type)]
	if !known {
		return o, problem.New(problem.Usage, "unknown key type %q", output.Line(w.Type)).Because("Valid types: aes, des.")
	}
	o.Cipher = cipher
	return o, nil
}
