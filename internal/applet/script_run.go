package applet

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// ScriptOptions is how a script is run.
type ScriptOptions struct {
	Script *Script

	// RetryKeys tries the script's keys although some failed on this card before.
	RetryKeys bool

	// AcceptRandomChallenge is as in Domain.
	AcceptRandomChallenge bool

	// Dir is where files are looked for that are not where the process is:
	// the directory of the script. "" for nowhere.
	Dir string

	// WithApplets makes delete take what was installed from a package too,
	// as it does in GPShell.
	WithApplets bool

	// StopOnError ends the script at every command that the card refuses, except
	// those whose name or option says that it goes on.
	StopOnError bool

	// Report, if it is there, is told of each command when it begins, and
	// of each line that it has to say.
	Report func(ScriptEvent)
}

// ScriptEvent is one thing that a person may want to see.
type ScriptEvent struct {
	Line    int
	Command string // without keys
	Text    string // "" when the command begins

	// Unless is what allows that which the card refused.
	Unless []advice.Value
}

// RunScript runs a GPShell script on the card that is meant, whatever reader the
// script names, and tells where that is. The files that it names are read and
// checked before the first command.
func RunScript(ctx context.Context, d *desk.Desk, a desk.Access, o ScriptOptions) (place string, err error) {
	err = withCard(ctx, d, a, Domain{RetryKeys: o.RetryKeys, AcceptRandomChallenge: o.AcceptRandomChallenge}, func(ctx context.Context, c *card) error {
		place = c.at.Place
		return (&scriptRun{card: c, desk: d, o: o, files: map[string]*File{}, tokenKeys: map[string]*rsa.PublicKey{}}).runAll(ctx)
	})
	return place, err
}

// runAll runs one command after the other.
func (r *scriptRun) runAll(ctx context.Context) error {
	const what = "applet script"
	o := &r.o
	for i := range o.Script.commands {
		if err := r.readFile(ctx, &o.Script.commands[i]); err != nil {
			return explain(err, fmt.Sprintf("%s: line %d", what, o.Script.commands[i].line), "Nothing was sent to the card.")
		}
	}
	if err := r.confirm(ctx, r.look); err != nil {
		return explain(err, what, unchanged)
	}
	if err := r.begin(ctx); err != nil {
		return explain(err, what, unchanged)
	}
	for i := range o.Script.commands {
		c := &o.Script.commands[i]
		if c.name == "exit" {
			return nil
		}
		r.command = c
		r.say("")
		err := r.run(ctx, c)
		var refused *gp.CommandError
		if errors.As(err, &refused) && c.goesOn(o.StopOnError) {
			r.say(fmt.Sprintf("%v; continuing", err))
			if c.name == "delete" && refused.Status == iso7816.StatusConditionsNotSatisfied && !o.WithApplets {
				r.report("Applications installed from this package are on the card, so it was not deleted.", advice.Switch(advice.WithApplets))
			}
			err = nil
		}
		if err != nil {
			state := r.state
			if c.changes() && unclear(err) {
				state = problem.Sentences(state, "It is not known whether the card completed the command.")
			}
			return explain(err, fmt.Sprintf("%s: line %d: %s", what, c.line, c.name), state)
		}
	}
	return nil
}

// goesOn reports whether a refusal does not end the script, as in GPShell.
func (c *command) goesOn(stop bool) bool {
	switch {
	case c.has("-nostop"), c.name == "send_apdu_nostop":
		return true
	case stop:
		return false
	}
	return c.name == "delete" || c.name == "delete_key" || c.name == "send_apdu"
}

// scriptRun is one run of a script.
type scriptRun struct {
	*card
	desk       *desk.Desk
	o          ScriptOptions
	command    *command
	files      map[string]*File
	tokenKeys  map[string]*rsa.PublicKey // by the names of their files
	derivation gp.Diversification
	told       []gp.Protocol // the last that were asked for
	otherISD   bool          // the issuer's domain has not the AID that the script says
	state      string
}

// look words the question for what the script destroys, which it says itself.
func (r *scriptRun) look(context.Context) (wording, error) {
	var list []string
	for i := range r.o.Script.commands {
		c := &r.o.Script.commands[i]
		if c.name == "exit" {
			break
		}
		if what := c.destroys(); what != "" {
			list = append(list, fmt.Sprintf("%s (line %d)", what, c.line))
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	return func(card string) advice.Question {
		return advice.Question{
			Deed: "Run the script on", Subject: card,
			Lost: fmt.Sprintf("It %s. The keys and data in everything deleted will be lost.", strings.Join(list, ", ")),
		}
	}, nil
}

func (r *scriptRun) close() {
	if r.domain != nil {
		r.domain.Close()
	}
}

func (r *scriptRun) say(text string) { r.report(text) }

func (r *scriptRun) report(text string, unless ...advice.Value) {
	if r.o.Report != nil {
		r.o.Report(ScriptEvent{Line: r.command.line, Command: r.command.describe(), Text: text, Unless: unless})
	}
}

// readFile reads the file of a command: a CAP or IJC file, or a public key.
func (r *scriptRun) readFile(ctx context.Context, c *command) error {
	name, ok := c.options["-file"]
	token := c.name == "put_dm_keys"
	if !ok || token && r.tokenKeys[name] != nil || !token && r.files[name] != nil {
		return nil
	}
	path := name
	if _, err := os.Stat(path); err != nil && r.o.Dir != "" && !filepath.IsAbs(path) {
		path = filepath.Join(r.o.Dir, name)
	}
	if token {
		key, err := readTokenKey(ctx, path)
		r.tokenKeys[name] = key
		return notFound(err, name, path)
	}
	f, err := ReadFile(ctx, path)
	if err != nil {
		return notFound(err, name, path)
	}
	r.files[name] = f
	if _, err := gp.FewestLoadBlocks(len(f.scripted()), lengths(r.ch)[0], c.level); err != nil {
		return err
	}
	if applet := c.aid("-aid"); applet != nil && c.name == "install" && !f.hasApplet(applet) {
		return problem.New(problem.Mismatch, "%s has no applet %s", name, applet).Because("%s", f.listed())
	}
	return nil
}

// notFound says of a file that does not exist where it was looked for.
func notFound(err error, name, path string) error {
	if !problem.Is(err, problem.NotFound) {
		return err
	}
	return problem.New(problem.NotFound, "%s was not found", name).Because("Relative names start in the current directory or in the directory of the script.").
		Advise(advice.Run("ls", filepath.Dir(path)))
}

// scripted is the load file as GPShell sends it: with the Descriptor, and of an IJC
// file all that is in it.
func (f *File) scripted() []byte { return f.LoadFile(true, f.Format == FormatIJC) }

func (r *scriptRun) run(ctx context.Context, c *command) error {
	switch c.name {
	case "visa_key_derivation", "gemxpressopro":
		r.derivation = gp.DiversificationVISA2
		return nil
	case "emv_cps11_key_derivation":
		r.derivation = gp.DiversificationEMV
		return nil
	case "mode_201", "mode_211", "enable_trace", "enable_timer", "establish_context", "release_context":
		return nil // what the card speaks it says itself
	case "list_readers":
		return r.listReaders(ctx)
	case "card_connect", "card_disconnect":
		r.close()
		r.domain = nil
		return nil
	case printCommand:
		r.say(c.text)
		return nil
	case "select":
		return r.selectDomain(ctx, c.aid("-aid"))
	}
	if strings.HasPrefix(c.name, "send_apdu") && c.number("-sc") == 0 {
		return r.send(ctx, c) // to whatever is selected
	}
	if r.domain == nil {
		if err := r.selectDomain(ctx, nil); err != nil {
			return err
		}
	}
	switch c.name {
	case "open_sc":
		return r.openChannel(ctx, c)
	case "close_sc":
		r.domain.Close()
		return nil
	case "install":
		return r.install(ctx, c)
	case "install_for_load":
		return r.domain.InstallForLoad(ctx, c.aid("-pkgaid"), r.domainFor(c), nil, c.memory(0))
	case "load":
		return r.load(ctx, r.files[c.options["-file"]])
	case "install_for_install":
		i := c.instance(c.aid("-pkgaid"), c.aid("-aid"))
		if c.halfway {
			return r.domain.InstallForInstall(ctx, i)
		}
		return r.domain.InstallAndMakeSelectable(ctx, i)
	case "install_for_make_selectable":
		return r.domain.MakeSelectable(ctx, c.installed(), c.privileges())
	case "install_for_personalization":
		return r.domain.InstallForPersonalization(ctx, c.aid("-aid"))
	case "store_data":
		answer, err := r.domain.StoreData(ctx, byte(c.number("-dataformat")|c.number("-dataencryption")), c.hex("-data"), 0, c.number("-responsedataexpected") == 1)
		r.show(answer)
		return err
	case "delete":
		return r.domain.Delete(ctx, c.aid("-aid"), r.o.WithApplets)
	case "delete_key":
		return r.domain.DeleteKey(ctx, c.keyIndex(), byte(c.number("-keyver")))
	case "get_status":
		return r.status(ctx, c)
	case "put_sc_key":
		return r.putKeys(ctx, c)
	case "put_dm_keys":
		return r.putManagementKeys(ctx, c)
	case "send_apdu", "send_apdu_nostop":
		return r.send(ctx, c)
	}
	return r.data(ctx, c)
}

// selectDomain selects the security domain that a script names. The issuer's has
// one AID on some cards and another on others: where it does not have that of
// the script, it is the one that is meant all the same.
func (r *scriptRun) selectDomain(ctx context.Context, aid gp.AID) (err error) {
	r.close()
	r.otherISD = false
	r.domain, err = gp.Discover(ctx, r.ch, aid)
	if iso7816.StatusOf(err) == 0 || !gp.IsIssuerAID(aid) {
		return err
	}
	issuer, discovered := gp.Discover(ctx, r.ch, nil)
	if errors.Is(discovered, gp.ErrNoSecurityDomain) {
		return err
	}
	if discovered != nil {
		return discovered
	}
	r.domain, r.otherISD = issuer, true
	r.say(fmt.Sprintf("the card does not have the security domain %s; using %s instead", aid, issuer.AID()))
	return nil
}

func (r *scriptRun) openChannel(ctx context.Context, c *command) error {
	if err := r.guard.Permit(ctx, r.domain); err != nil {
		return err
	}
	keys, err := c.keys()
	if err != nil {
		return err
	}
	defer keys.Wipe()
	credentials := gp.Credentials{
		Keys: keys, Diversification: r.derivationOf(c), Level: gp.Level(c.number("-security")), AnyLevel: true,
		AcceptRandomChallenge: r.wanted.AcceptRandomChallenge,
		KeyVersion:            byte(c.number("-keyver")), KeyIndex: byte(c.number("-keyind")),
	}
	if c.has("-scp") && c.has("-scpimpl") {
		credentials.Protocol = gp.Protocol{SCP: byte(c.number("-scp")), I: byte(c.number("-scpimpl"))}
	} else if _, err := r.domain.GetData(ctx, 0x66); err != nil && iso7816.StatusOf(err) == 0 { // as GPShell does
		return err
	} else if own, err := r.domain.Protocols(ctx); err != nil {
		return err
	} else if len(own) == 0 && len(r.told) > 0 { // an application that is no security domain does not tell
		credentials.Protocol = r.told[0]
	}
	return r.guard.Open(ctx, r.domain, credentials)
}

func (r *scriptRun) derivationOf(c *command) gp.Diversification {
	if c.has("-keyderivation") {
		return derivations[c.options["-keyderivation"]]
	}
	return r.derivation
}

// domainFor is the security domain that a load file belongs to: the one named,
// or the one selected.
func (r *scriptRun) domainFor(c *command) gp.AID {
	if aid := c.aid("-sdaid"); aid != nil && !(r.otherISD && gp.IsIssuerAID(aid)) {
		return aid
	}
	return r.domain.AID()
}

// memory are the limits of a command. Of that for code, GPShell asks for eight to
// sixteen bytes more, so that it is a multiple of eight.
func (c *command) memory(code int) gp.Memory {
	if n := c.number("-nvcodelimit"); n != 0 {
		code = n
	}
	if code > 0 {
		code += 16 - code%8
	}
	return gp.Memory{Code: code, Data: c.number("-nvdatalimit"), Volatile: c.number("-vdatalimit")}
}

func (c *command) instance(file, module gp.AID) gp.Instance {
	i := gp.Instance{
		File: file, Module: module, AID: c.aid("-instaid"), Privileges: c.privileges(),
	}
	memory := gp.Memory{Data: c.number("-nvdatalimit"), Volatile: c.number("-vdatalimit"), VolatileFirst: true}
	i.Parameters = gp.InstallParameters(c.hex("-instparam"), memory, c.hex("-simspecparam"))
	if uicc := c.hex("-uiccsystemspecparam"); len(uicc) > 0 {
		i.Parameters = gp.AppendUICCParameters(i.Parameters, uicc)
	}
	if i.AID == nil {
		i.AID = module
	}
	return i
}

func (c *command) privileges() gp.Privileges { return gp.Privileges(c.number("-priv")) << 16 }

// install loads a file and installs its applets, or the one that is named. What a
// failed step left on the card is not removed: the script's next commands may count
// on it.
func (r *scriptRun) install(ctx context.Context, c *command) error {
	f := r.files[c.options["-file"]]
	file, modules := f.Package.AID, f.Applets
	if aid := c.aid("-pkgaid"); aid != nil {
		file = aid
	}
	if aid := c.aid("-aid"); aid != nil {
		modules = []gp.AID{aid}
	} else if c.has("-instaid") && len(modules) > 1 {
		modules = modules[:1] // one AID is for one instance
	}
	if err := r.domain.InstallForLoad(ctx, file, r.domainFor(c), nil, c.memory(len(f.scripted()))); err != nil {
		return err
	}
	if err := r.load(ctx, f); err != nil {
		return err
	}
	for i, module := range modules {
		r.state = fmt.Sprintf("The package %s is on the card.", file)
		if i > 0 {
			r.state += fmt.Sprintf(" Installed from it: %s.", aids(modules[:i]))
		}
		if err := r.domain.InstallAndMakeSelectable(ctx, c.instance(file, module)); err != nil {
			return err
		}
	}
	r.state = ""
	return nil
}

// listReaders says which readers there are, whichever the script runs in.
func (r *scriptRun) listReaders(ctx context.Context) error {
	all := *r.desk
	all.Meant = desk.Selection{}
	places, _, err := all.Places(ctx, false, nil)
	for _, p := range places {
		r.say(p.Name)
	}
	return err
}

// load sends a file in short APDUs, as GPShell does, and one that is too long
// for that in longer ones.
func (r *scriptRun) load(ctx context.Context, f *File) error {
	file := f.scripted()
	err := r.domain.Load(ctx, file, gp.Blocks{Total: iso7816.MaxShortData, FullWithoutLe: true}, nil)
	if longest := lengths(r.ch)[0]; errors.Is(err, gp.ErrTooManyBlocks) && longest > iso7816.MaxShortData {
		err = r.domain.Load(ctx, file, gp.Blocks{Total: longest}, nil)
	}
	return f.refused(err)
}

func (r *scriptRun) putKeys(ctx context.Context, c *command) error {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	defer keys.Wipe()
	if session := r.domain.Session(); session != nil && r.derivationOf(c) != gp.NoDiversification {
		own, err := keys.Diversify(r.derivationOf(c), session.KeyDiversificationData[:])
		if err != nil {
			return err
		}
		defer own.Wipe()
		keys = own
	}
	change := gp.NewKeys{Keys: keys, Replace: byte(c.number("-keyver")), Version: byte(c.number("-newkeyver")), Bare: true}
	if session := r.domain.Session(); session != nil {
		change.Cipher = session.Protocol.Cipher()
	}
	return r.domain.PutKeys(ctx, change)
}
