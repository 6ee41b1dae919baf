//go:build stack

package docs

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// world is what has to be there for the examples of a command.
type world struct {
	// applications are those of the card "desk"; "" for no card.
	applications string
	// attached puts the card into a virtual reader. Without it it is used in
	// process.
	attached bool
	// prepare is run before each example, with the functions of
	// testdata/world.sh and the example in $EXAMPLE.
	prepare string
	// puk is that of a card which takes no other; "" for the one of all.
	puk string
}

// worlds are those of the commands by the names of their pages.
var worlds = map[string]world{
	"cardctl":                    {applications: "openpgp", prepare: "way"},
	"cardctl-list-readers":       {applications: "openpgp", attached: true},
	"cardctl-list-tokens":        {prepare: "token"},
	"cardctl-info":               {applications: "openpgp", prepare: "certificate; token"},
	"cardctl-init":               {applications: "openpgp", prepare: "files"},
	"cardctl-set-pin":            {applications: "openpgp", prepare: "pins; token"},
	"cardctl-unblock-pin":        {applications: "openpgp", prepare: "pins; token; blocked"},
	"cardctl-set-management-key": {prepare: "managed", puk: "13579246"},
	"cardctl-set-holder":         {applications: "openpgp", prepare: "pins"},
	"cardctl-set-touch":          {applications: "openpgp", prepare: "key"},
	"cardctl-gen-key":            {applications: "openpgp", prepare: "pins; token"},
	"cardctl-import-key":         {applications: "openpgp", prepare: "pins; files"},
	"cardctl-gen-csr":            {applications: "openpgp", prepare: "key"},
	"cardctl-import-cert":        {applications: "openpgp", prepare: "issued"},
	"cardctl-enroll":             {applications: "openpgp", prepare: "desk_ca"},
	"cardctl-renew":              {applications: "openpgp", prepare: "desk_ca; enrolled"},
	"cardctl-export-cert":        {applications: "openpgp", prepare: "certificate"},
	"cardctl-export-key":         {applications: "openpgp", prepare: "key; mkdir ~/.ssh"},
	"cardctl-delete-cert":        {applications: "openpgp", prepare: "certificate"},
	"cardctl-delete-key":         {prepare: "token; token_key 45 vpn"},
	"cardctl-attest":             {prepare: "attested"},
	"cardctl-move-key":           {prepare: "movable"},
	"cardctl-smoke-test":         {applications: "openpgp", attached: true, prepare: "certificate"},
	"cardctl-setup":              {},
	"cardctl-agent":              {applications: "openpgp", attached: true, prepare: "agent"},
	"cardctl-agent-lock":         {applications: "openpgp", attached: true, prepare: "agent"},
	"cardctl-agent-release":      {applications: "openpgp", attached: true, prepare: "agent"},
	"cardctl-agent-status":       {applications: "openpgp", attached: true, prepare: "agent"},
	"cardctl-agent-stop":         {applications: "openpgp", attached: true, prepare: "agent"},
	"cardctl-openvpn":            {applications: "openpgp", attached: true, prepare: "certificate; network"},
	"cardctl-ca":                 {applications: "openpgp", prepare: "order"},
	"cardctl-ca-init":            {applications: "openpgp", prepare: "order; rm -r desk-ca"},
	"cardctl-ca-issue":           {applications: "openpgp", prepare: "order; openssl req -newkey rsa:2048 -nodes -keyout a.key -subj /CN=a -out a.csr; openssl req -newkey rsa:2048 -nodes -keyout b.key -subj /CN=b -out b.csr"},
	"cardctl-ca-revoke":          {applications: "openpgp", prepare: "order"},
	"cardctl-ca-release":         {applications: "openpgp", prepare: "order; cardctl ca revoke desk-ca me.pem --reason certificateHold --yes"},
	"cardctl-ca-crl":             {applications: "openpgp", prepare: "order"},
	"cardctl-ca-ocsp":            {applications: "openpgp", prepare: "order"},
	"cardctl-ca-list":            {applications: "openpgp", prepare: "order"},
	"cardctl-ca-show":            {applications: "openpgp", prepare: "order"},
	"cardctl-ca-renew":           {applications: "openpgp", attached: true, prepare: "order"},
	"cardctl-ca-import":          {applications: "openpgp", prepare: "order; office"},
	"cardctl-ca-export":          {applications: "openpgp", prepare: "order"},
	"cardctl-ca-backup":          {applications: "openpgp", prepare: "order"},
	"cardctl-ledger":             {applications: "openpgp", prepare: "ledger"},
	"cardctl-ledger-list":        {prepare: "ledger"},
	"cardctl-ledger-show":        {prepare: "ledger"},
	"cardctl-ledger-mark":        {prepare: "ledger"},
	"cardctl-ledger-reveal":      {prepare: "ledger"},
	"cardctl-ledger-letters":     {applications: "openpgp", prepare: "due_letter"},
	"cardctl-ledger-report":      {prepare: "ledger"},
	"cardctl-ledger-export":      {prepare: "ledger"},
	"cardctl-ledger-import":      {prepare: "ledger; cardctl ledger backup other.db"},
	"cardctl-ledger-sign":        {applications: "openpgp", prepare: "order; ledger"},
	"cardctl-ledger-verify":      {applications: "openpgp", prepare: "order; ledger; cardctl ledger sign --key OPENPGP.1 --pin env:PIN --out anchor.json"},
	"cardctl-ledger-backup":      {prepare: "ledger"},
	"cardctl-ledger-migrate":     {prepare: "ledger"},
	"cardctl-ledger-reseal":      {prepare: "ledger"},
	"cardctl-ledger-forget":      {prepare: "ledger"},
	"cardctl-provision":          {applications: "openpgp", attached: true, prepare: "staff"},
	"cardctl-applet":             {applications: "gp"},
	"cardctl-applet-list":        {applications: "gp", prepare: "java"},
	"cardctl-applet-inspect":     {},
	"cardctl-applet-install":     {applications: "gp", prepare: "java"},
	"cardctl-applet-delete":      {applications: "gp", prepare: "java; isoapplet"},
	"cardctl-applet-set-keys":    {applications: "gp", prepare: "java"},
	"cardctl-applet-script":      {applications: "gp", prepare: "scripts"},

	"cardctl-applet-domain":            {applications: "gp"},
	"cardctl-applet-domain-list":       {applications: "gp"},
	"cardctl-applet-domain-create":     {applications: "gp"},
	"cardctl-applet-domain-extradite":  {applications: "gp", prepare: "isoapplet; domain"},
	"cardctl-applet-state":             {applications: "gp", prepare: "java; isoapplet; states"},
	"cardctl-applet-state-lock":        {applications: "gp", prepare: "java; isoapplet; states"},
	"cardctl-applet-state-unlock":      {applications: "gp", prepare: "java; isoapplet; states"},
	"cardctl-applet-state-initialized": {applications: "gp", prepare: "java; states"},
	"cardctl-applet-state-secured":     {applications: "gp", prepare: "java; states"},
	"cardctl-applet-state-lock-card":   {applications: "gp", prepare: "java; states"},
	"cardctl-applet-state-unlock-card": {applications: "gp", prepare: "java; states"},
	"cardctl-applet-store-data":        {applications: "gp", prepare: "personalisation"},

	"cardctl-sim":        {applications: "openpgp"},
	"cardctl-sim-create": {},
	"cardctl-sim-list":   {applications: "openpgp"},
	"cardctl-sim-attach": {applications: "openpgp"},
	"cardctl-sim-delete": {applications: "openpgp"},
	"cardctl-doctor":     {},
	"cardctl-completion": {prepare: "mkdir -p ~/.config/fish/completions"},
	"cardctl-version":    {},
}

// byPUK wants a card that tells the tries of its PUK.
const byPUK = "unblock-pin user --puk"

// attesting wants a card with an attestation key.
const attesting = "attest --key OPENPGP.3"

// others are the examples, by a part of them, that want another world than the
// rest of their page.
var others = map[string]world{
	"cardctl init --app piv":           {prepare: "managed", puk: "13579246"},
	"cardctl init --app pkcs15":        {applications: "pkcs15", attached: true},
	"cardctl sim create":               {},
	"cardctl ca init desk-ca":          {applications: "openpgp", prepare: "order; rm -r desk-ca"},
	"install --package":                {applications: "gp", prepare: "isoapplet"},
	"delete --key-version":             {applications: "gp", prepare: "two_keys"},
	"smoke-test --key OPENPGP.3 --tls": {applications: "openpgp", attached: true, prepare: "certificate"},
	byPUK:                              {applications: "myeid", attached: true, prepare: "myeid", puk: "13579246"},
	attesting:                          {prepare: "attested_openpgp"},
	"provision staff.yaml --renew":     {applications: "openpgp", attached: true, prepare: "staff; provisioned"},
	"object=mail":                      {prepare: "token; token_key 45 vpn; token_key 46 mail"},
	"id=%45":                           {prepare: "token; token_key 45 vpn"},
}

// TestEveryExampleWorks runs the examples of every command, each in a world of
// its own, at a terminal where a person answers.
func TestEveryExampleWorks(t *testing.T) {
	pages, err := filepath.Glob("../../man/*.1")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	help := stack.NewDesk(t)
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".1")
		w, known := worlds[name]
		if !known {
			t.Errorf("no world for the examples of %s", name)
		}
		for _, example := range examples(t, help, page) {
			w := w
			for part, other := range others {
				if strings.Contains(example, part) {
					w = other
				}
			}
			t.Run(name+"/"+example, func(t *testing.T) { w.run(t, example) })
		}
	}
}

// examples are the command lines below EXAMPLES of a page, as a person who reads
// it sees them.
func examples(t *testing.T, desk *stack.Desk, page string) []string {
	t.Helper()
	absolute, err := filepath.Abs(page)
	if err != nil {
		t.Fatal(err)
	}
	shown := desk.Run("mandoc", "-T", "utf8", "-O", "width=1000", absolute)
	shown = regexp.MustCompile(".\b").ReplaceAllString(shown, "")
	_, text, found := strings.Cut(shown, "\nEXAMPLES\n")
	text, _, ends := strings.Cut(text, "\n\nSEE ALSO\n")
	if !found || !ends {
		t.Fatalf("%s has no examples", page)
	}
	var list []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if n := len(list) - 1; n >= 0 && strings.HasSuffix(list[n], `\`) {
			list[n] = strings.TrimSuffix(list[n], `\`) + line
		} else {
			list = append(list, line)
		}
	}
	return list
}

func (w world) run(t *testing.T, example string) {
	desk := newDesk(t)
	desk.Setenv("EXAMPLE", example)
	desk.Setenv("CARDCTL_READER", "sim:desk")
	if w.applications != "" && w.attached {
		desk.Card("desk", 0, "--applications", w.applications)
	} else if w.applications != "" {
		desk.Run("cardctl", "sim", "create", "desk", "--applications", w.applications)
	}
	if w.applications == "" {
		desk.Setenv("CARDCTL_MODULE", "softhsm2")
	}
	known := maps.Clone(secrets)
	if w.puk != "" {
		known["PUK"] = w.puk
		desk.Setenv("PUK", w.puk)
	}
	// A person is asked at the terminal, line by line.
	desk.Setenv("TERM", "dumb")
	desk.Setenv("CARDCTL_PIN", "")
	desk.Setenv("CARDCTL_ADMIN_PIN", "")
	functions, err := filepath.Abs("testdata/world.sh")
	if err != nil {
		t.Fatal(err)
	}
	desk.Run("bash", "-euc", ". "+functions+"\n"+w.prepare)
	if strings.Contains(w.prepare, "agent") {
		defer desk.Try("bash", "-c", "cardctl agent stop; gpgconf --kill all")
	}
	result := desk.AtTerminal(person(known), "bash", "-eo", "pipefail", "-c", surroundings(t, desk, example))
	if result.Exit != 0 {
		t.Error(result)
	}
}

// surroundings is an example with what it takes for granted.
func surroundings(t *testing.T, desk *stack.Desk, example string) string {
	t.Helper()
	example = fingerprint.ReplaceAllStringFunc(example, func(string) string {
		of := "--app pkcs11 --token desk --module softhsm2"
		if strings.Contains(example, "PIV.") {
			of = "--app piv"
		}
		return strings.TrimSpace(desk.Run("bash", "-c", `cardctl info `+of+` -o json | jq -r '.keys[0].fingerprint'`))
	})
	if strings.Contains(example, server) {
		example = strings.ReplaceAll(example, server, serve(t, desk))
	}
	switch {
	case strings.HasPrefix(example, "cardctl sim attach"):
		// It runs until it is interrupted.
		reader := stack.ReaderName(0)
		if strings.Contains(example, ":35964") {
			reader = stack.ReaderName(1)
		}
		return fmt.Sprintf("set -m\ntrap 'kill -INT %%1; wait; %s' EXIT\n%s &\ncardctl list-readers --wait --timeout 20s --reader '%s'",
			untilEmpty, example, reader)
	case strings.HasPrefix(example, "cardctl openvpn"):
		return fmt.Sprintf(aroundOpenVPN, example)
	case strings.Contains(example, "--command lpr"):
		return "PATH=$PWD/bin:$PATH\n" + example
	case strings.Contains(example, "fpath"):
		return `fpath=("$PWD" "$PWD")` + "\n" + example
	}
	return example
}

// aroundOpenVPN is a server, and a person who presses Ctrl-C when the connection is up.
const aroundOpenVPN = `openvpn --config server.ovpn > server.log 2>&1 &
server=$!
trap 'kill $server' EXIT
{ until grep -q 'Initialization Sequence Completed' client.log; do sleep 0.1; done; pkill -INT -P $$ -x cardctl; } 2>/dev/null &
%s 2>client.log || test $? = 130`

// What stands in examples for something that is different everywhere.
var fingerprint = regexp.MustCompile(`\b[0-9A-F]{64}\b`)

const server = "www.example.com:443"

// serve starts a TLS server that asks for a certificate, with one that programs
// of this desk trust, and returns where it is.
func serve(t *testing.T, desk *stack.Desk) string {
	t.Helper()
	desk.Run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7",
		"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "server.key", "-out", "server.pem")
	desk.Setenv("SSL_CERT_FILE", desk.Path("server.pem"))
	free, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().(*net.TCPAddr)
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address.String())
	desk.Start("server.log", "openssl", "s_server", "-accept", port, "-cert", "server.pem", "-key", "server.key", "-Verify", "1", "-www")
	desk.Eventually("the TLS server answers", func() bool {
		c, err := net.DialTimeout("tcp", "localhost:"+port, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return "localhost:" + port
}

// prompts are the ends of questions, and what is typed then.
var prompts = []struct {
	question *regexp.Regexp
	secret   string // of secrets
	typed    string
}{
	{regexp.MustCompile(`\[y/N\]:? *$`), "", "y"},
	{regexp.MustCompile(`(?i)admin PIN[^\n]*: $`), "ADMIN_PIN", ""},
	{regexp.MustCompile(`(?i)SO PIN[^\n]*: $`), "SO_PIN", ""},
	{regexp.MustCompile(`(?i)PUK[^\n]*: $`), "PUK", ""},
	{regexp.MustCompile(`(?i)(resetting|reset)[- ]code[^\n]*: $`), "CODE", ""},
	{regexp.MustCompile(`(?i)password[^\n]*: $`), "PASSWORD", ""},
	{regexp.MustCompile(`(?i)management key[^\n]*: $`), "MANAGEMENT_KEY", ""},
	{regexp.MustCompile(`(?i)PIN[^\n]*: $`), "PIN", ""},
}

// person answers what the terminal asks, and knows secrets.
func person(known map[string]string) func(screen string) string {
	return func(screen string) string {
		screen = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`).ReplaceAllString(screen, "")
		for _, p := range prompts {
			if p.question.MatchString(screen) {
				return known[p.secret] + p.typed + "\r"
			}
		}
		return ""
	}
}
