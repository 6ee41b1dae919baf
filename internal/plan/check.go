package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
)

// check is what the schema does not say.
func (p *Plan) check() error {
	for _, check := range []func() error{
		p.checkColumns, p.checkTemplates, p.checkPerson, p.checkSecrets, p.checkSeal, p.checkCard, p.checkApplet, p.checkIssuers, p.checkKeys, p.checkSmokeTest,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// at is a mistake in a field.
func (p *Plan) at(path, format string, args ...any) *problem.Error {
	return mistake(p.Place(path), format, args...)
}

func certificateOf(i int) string { return fmt.Sprintf("keys[%d].certificate", i) }

func (p *Plan) checkCard() error {
	if p.Card.FactoryPINs && (p.PINs != PINs{}) {
		return p.at("card.factoryPins", "factoryPins and new PINs contradict each other")
	}
	return nil
}

func (p *Plan) checkApplet() error {
	a := p.Applet
	switch {
	case a == nil:
	case a.File == "" && a.Package == "":
		return p.at("applet", "applet has no field file")
	case a.File != "" && a.Package != "":
		return p.at("applet.package", "a file and a package contradict each other").Because("An applet comes from a file, or from a package on the card.")
	case a.Parameters != "" && a.RawParameters != "":
		return p.at("applet.rawParameters", "parameters and rawParameters contradict each other")
	}
	return nil
}

// checkIssuers refuses addresses that would show a secret, or that a column would make
// another address of.
func (p *Plan) checkIssuers() error {
	for _, name := range slices.Sorted(maps.Keys(p.Issuers)) {
		path := "issuers." + name + ".url"
		address := p.Issuers[name].URL
		before, parameters, _ := strings.Cut(address, "?")
		scheme, rest, _ := strings.Cut(before, ":")
		user := userOf(rest)
		switch local := !strings.HasPrefix(rest, "//"); {
		case local && strings.Contains(address, opening):
			return misplaced(p.Place(path), path).Because("A command gets the columns as variables, such as $%sMAIL; a directory has none.", environment)
		case strings.Contains(strings.Replace(before, "//"+user+"@", "//", 1), opening):
			return misplaced(p.Place(path), path).Because("It can stand in the user, and in the value of a parameter, behind a question mark.")
		case scheme == "" || rest == "":
			return p.at(path, "%s is not the address of an issuer", path)
		case strings.Contains(user, ":"):
			return p.at(path, "the address of the issuer has a password in it").Because("Give its source in the field secret of the issuer.")
		case !local && !columnsInValues(parameters):
			return misplaced(p.Place(path), path).Because("It can stand in the value of a parameter, not in its name.")
		}
	}
	return nil
}

// userOf is the user part of an address, with a password that it has; empty for none.
func userOf(rest string) string {
	authority, remote := strings.CutPrefix(rest, "//")
	authority, _, _ = strings.Cut(authority, "/")
	if at := strings.LastIndex(authority, "@"); remote && at >= 0 {
		return authority[:at]
	}
	return ""
}

// columnsInValues reports whether no column stands in the name of a parameter.
func columnsInValues(parameters string) bool {
	for _, parameter := range strings.Split(parameters, "&") {
		if name, _, _ := strings.Cut(parameter, "="); strings.Contains(name, opening) {
			return false
		}
	}
	return true
}

func (p *Plan) checkKeys() error {
	for i, k := range p.Keys {
		for j := range i {
			if strings.EqualFold(p.Keys[j].Ref, k.Ref) {
				return p.at(fmt.Sprintf("keys[%d].ref", i), "%s stands in keys twice", k.Ref)
			}
		}
		if err := p.checkCertificate(certificateOf(i), k.Certificate); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) checkCertificate(path string, c *Certificate) error {
	if c == nil {
		return nil
	}
	switch _, defined := p.Issuers[c.Issuer]; {
	case c.Issuer == "" && !c.SelfSigned:
		return p.at(path, "%s has no field issuer", path)
	case c.Issuer != "" && c.SelfSigned:
		return p.at(path+".selfSigned", "selfSigned and issuer contradict each other")
	case c.Issuer != "" && !defined:
		undefined := p.at(path+".issuer", "the issuer %q is not defined", c.Issuer)
		if near := nearest(c.Issuer, slices.Sorted(maps.Keys(p.Issuers))); near != "" {
			return undefined.Because("Is it %s?", near)
		}
		return undefined.Because("The field issuers has the address of each issuer.")
	case c.SelfSigned && c.Days == 0:
		return p.at(path, "selfSigned needs the field days")
	case c.SelfSigned && !c.ChallengePassword.IsZero():
		return p.at(path+".challengePassword", "a self-signed certificate has no challenge password")
	case c.KeepCHUID && c.NewCHUID:
		return p.at(path+".newChuid", "newChuid and keepChuid contradict each other")
	case c.RenewBefore == 0 && (c.NewKey || c.AuthKey != ""):
		return p.at(path, "%s has no field renewBefore", path).Because("newKey and authKey are about renewals.")
	}
	fixed := *c
	if !p.constant(c) {
		fixed = Certificate{Subject: "CN=" + sample, KeyUsage: c.KeyUsage, ExtKeyUsage: c.ExtKeyUsage, Extensions: c.Extensions, Digest: c.Digest, PSS: c.PSS}
	}
	if err := fixed.check(); err != nil {
		return p.at(path, "%s cannot be asked for", path).Because("%s", reason(err))
	}
	return nil
}

// constant reports whether no column stands in what a certificate is for.
func (p *Plan) constant(c *Certificate) bool {
	for _, text := range slices.Concat([]string{c.Subject}, c.Emails, c.DNS, c.IPs, c.URIs, c.UPNs) {
		if _, has := p.templates[text]; has {
			return false
		}
	}
	return true
}

func (p *Plan) checkSmokeTest() error {
	if p.SmokeTest == nil {
		return nil
	}
	for i, ref := range p.SmokeTest.Keys {
		if !slices.ContainsFunc(p.Keys, func(k Key) bool { return strings.EqualFold(k.Ref, ref) }) {
			return p.at(fmt.Sprintf("smokeTest.key[%d]", i), "%s is not a key of the plan", ref)
		}
	}
	return nil
}

// Names are what is asked for of an issuer.
func (c *Certificate) Names() csr.Options {
	return csr.Options{
		Subject: c.Subject, Emails: c.Emails, DNS: c.DNS, IPs: c.IPs, URIs: c.URIs, UPNs: c.UPNs,
		KeyUsage: c.KeyUsage, ExtKeyUsage: c.ExtKeyUsage, Extensions: c.Extensions, Digest: c.Digest, PSS: c.PSS,
	}
}

// check is what can be known of it without a key.
func (c *Certificate) check() error {
	_, err := csr.Parse(c.Names())
	return err
}

// checkNames is what columns can change of it. A subject with columns is a name.
func (c *Certificate) checkNames() error {
	if c == nil {
		return nil
	}
	names, err := csr.GeneralNames(c.Names())
	if err == nil && len(names) == 0 && c.Subject == "" {
		err = problem.New(problem.Usage, "it would name nobody")
	}
	return err
}

// References are those of all keys that the plan names.
func (p *Plan) References() []string {
	var all []string
	for _, k := range p.Keys {
		all = append(all, k.Ref)
		if k.Certificate != nil && k.Certificate.AuthKey != "" {
			all = append(all, k.Certificate.AuthKey)
		}
	}
	for _, i := range p.Issuers {
		if i.Key != "" {
			all = append(all, i.Key)
		}
	}
	if p.SmokeTest != nil {
		all = append(all, p.SmokeTest.Keys...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ApplicationOfRow reports whether a column says which application a card is used with.
func (p *Plan) ApplicationOfRow() bool {
	_, has := p.templates[p.Card.Application]
	return has
}

// RenewalOfRow reports whether a renewal needs columns: for the names of a certificate that
// its key signs itself, or for what an issuer is asked.
func (p *Plan) RenewalOfRow() bool {
	return slices.ContainsFunc(p.Keys, func(k Key) bool {
		c := k.Certificate
		return c != nil && (c.SelfSigned && !p.constant(c) || p.issuerOfRow(c.Issuer))
	})
}

// issuerOfRow reports whether columns say what an issuer is asked: in its address, or in the
// environment of a command.
func (p *Plan) issuerOfRow(name string) bool {
	address := p.Issuers[name].URL
	return p.templates[address] != nil || slices.ContainsFunc([]string{address, p.sources["issuers."+name+".secret"], p.sources["issuers."+name+".pin"]},
		func(text string) bool { return strings.Contains(text, environment) })
}

// WithoutRow is the plan for the renewal of a card that no row is for: an issuer is asked for
// no name with columns, as the certificate on the card has it.
func (p *Plan) WithoutRow() *Plan {
	renewing := *p
	renewing.Keys = slices.Clone(p.Keys)
	for i := range renewing.Keys {
		c := renewing.Keys[i].Certificate
		if c == nil {
			continue
		}
		if _, columns := p.templates[c.SID]; columns || !p.constant(c) {
			nameless := *c
			nameless.Subject, nameless.SID = "", ""
			nameless.Emails, nameless.DNS, nameless.IPs, nameless.URIs, nameless.UPNs = nil, nil, nil, nil, nil
			renewing.Keys[i].Certificate = &nameless
		}
	}
	return &renewing
}

// Used are the columns that the plan uses, in alphabetical order.
func (p *Plan) Used() []string { return slices.Clone(p.used) }
