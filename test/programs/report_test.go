//go:build stack

package programs

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// hostileCSV has a name that would leave its place in a page that does not escape it.
const hostileCSV = `serial,person,name,family
FFFE00000003,floppy@example.com,Floppy Head,openpgp
FFFE00000020,bob@example.com,"Bob ""</td><script>document.title='taken'</script><img src=http://example.com/x>",openpgp
00000100,ann@example.com,Ann,piv
AA01,,,
`

// deskReport writes the report of a ledger with such cards, and one whose certificate
// expires, where Chromium can read it.
func deskReport(t *testing.T) string {
	t.Helper()
	d := stack.NewDesk(t)
	d.Setenv("CARDCTL_LEDGER", "sqlite:"+d.Path("ledger.db"))
	d.Setenv("CARDCTL_READER", "sim:desk")
	d.Setenv("PIN", stack.UserPIN)
	d.Setenv("ADMIN_PIN", stack.AdminPIN)
	d.Write("cards.csv", hostileCSV, 0o600)
	d.Run("cardctl", "sim", "create", "desk", "--serial", "12345678")
	d.Run("cardctl", "ledger", "import", d.Path("cards.csv"))
	d.Run("cardctl", "init", "--yes", "--pin", "env:PIN", "--admin-pin", "env:ADMIN_PIN")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.3", "--admin-pin", "env:ADMIN_PIN")
	d.Run("cardctl", "gen-csr", "--key", "OPENPGP.3", "--subject", "CN=Cy", "--self-signed", "--days", "20", "--pin", "env:PIN", "--out", d.Path("cy.pem"))
	d.Run("cardctl", "import-cert", "--key", "OPENPGP.3", "--admin-pin", "env:ADMIN_PIN", d.Path("cy.pem"))
	d.Run("cardctl", "ledger", "mark", "FFFE12345678", "active", "--person", "cy@example.com", "--name", "Cy")
	d.Refused("delete-cert", "--key", "OPENPGP.2", "--admin-pin", "env:ADMIN_PIN", "--yes")
	directory := stack.Shared(t, "report-")
	file := filepath.Join(directory, "desk.html")
	d.Run("cardctl", "ledger", "report", "--out", file)
	giveTo(t, chromiumUser, directory)
	return "file://" + file
}

// The page loads nothing, runs its own script alone, sorts, prints, and axe-core finds
// nothing.
func TestReportInABrowser(t *testing.T) {
	url := deskReport(t)
	c := headless(t)
	c.open(url)
	if title := c.evaluate("document.title"); !strings.HasPrefix(title, `"Cards: report of `) {
		t.Errorf("the title is %s", title)
	}
	if n := c.evaluate("document.images.length"); n != "0" {
		t.Errorf("%s images", n)
	}
	for _, found := range c.findings() {
		t.Errorf("axe-core: %s", found)
	}
	checkSorting(t, c)
	checkSections(t, c)
	c.keepPage(t)
	checkPrint(t, c)
	if !slices.Equal(c.requests, []string{url}) {
		t.Errorf("the page asked for %q", c.requests)
	}
}

// A page with a mistake is found, and one that breaks its policy does nothing.
func TestFindingsAreFound(t *testing.T) {
	c := headless(t)
	c.open(deskReport(t))
	c.evaluate("document.documentElement.removeAttribute('lang'); document.querySelector('h1').style.color = '#ddd'; 0")
	found := strings.Join(c.findings(), "\n")
	for _, rule := range []string{"html-has-lang", "color-contrast"} {
		if !strings.Contains(found, rule) {
			t.Errorf("no %s in\n%s", rule, found)
		}
	}
	c.evaluate("{ const s = document.createElement('script'); s.textContent = 'document.title = \"taken\"'; document.body.append(s); const i = new Image(); i.src = 'http://localhost:1/x'; document.body.append(i) }; 0")
	if title := c.evaluate("document.title"); strings.Contains(title, "taken") {
		t.Error("a script that was put in ran")
	}
}

// column is JavaScript for the texts of a column of the table of all cards.
func column(n string) string {
	return "[...document.querySelectorAll('section:last-of-type tbody tr')].map(r => r.cells[" + n + "].textContent)"
}

func checkSorting(t *testing.T, c *devtools) {
	t.Helper()
	texts := func() (list []string) {
		t.Helper()
		if err := json.Unmarshal([]byte(c.evaluate(column("0"))), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	press := "document.querySelector('section:last-of-type thead th button').click(); document.querySelector('section:last-of-type thead th').getAttribute('aria-sort')"
	if state := c.evaluate(press); state != `"ascending"` {
		t.Errorf("sorted %s", state)
	}
	up := []string{"00000100", "AA01", "FFFE00000003", "FFFE00000020", "FFFE12345678"}
	if got := texts(); !slices.Equal(got, up) {
		t.Errorf("sorted: %q", got)
	}
	if state := c.evaluate(press); state != `"descending"` {
		t.Errorf("sorted %s", state)
	}
	slices.Reverse(up)
	if got := texts(); !slices.Equal(got, up) {
		t.Errorf("sorted the other way: %q", got)
	}
	for _, found := range c.findings() {
		t.Errorf("axe-core, sorted: %s", found)
	}
}

// checkSections looks for what each part is about.
func checkSections(t *testing.T, c *devtools) {
	t.Helper()
	for section, want := range map[string]string{"expires": "CN=Cy", "failed": "delete-cert", "persons": "Floppy Head", "cards": "AA01"} {
		text := c.evaluate("document.querySelector('#" + section + "').parentElement.textContent")
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %s: %s", section, want, text)
		}
	}
}

// checkPrint prints it on paper.
func checkPrint(t *testing.T, c *devtools) {
	t.Helper()
	c.call("Emulation.setEmulatedMedia", map[string]any{"media": "print"}, nil)
	if shown := c.evaluate("getComputedStyle(document.querySelector('nav')).display"); shown != `"none"` {
		t.Errorf("links are printed: %s", shown)
	}
	var printed struct{ Data []byte }
	c.call("Page.printToPDF", nil, &printed)
	if !strings.HasPrefix(string(printed.Data), "%PDF-") {
		t.Errorf("%.20q", printed.Data)
	}
	c.call("Emulation.setEmulatedMedia", map[string]any{"media": ""}, nil)
}

// keepPage keeps a picture of the page.
func (d *devtools) keepPage(t *testing.T) {
	t.Helper()
	var picture struct{ Data string }
	d.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &picture)
	png, err := base64.StdEncoding.DecodeString(picture.Data)
	if err != nil {
		t.Fatal(err)
	}
	keepPicture(t, png, "Chromium", "report")
}

// Letters are pages too.
func TestLetterInABrowser(t *testing.T) {
	const identity = "AGE-SECRET-KEY-1TV0Z42KCLL285Y7P7EWG8FJ9A30CJGJ8T975FJZD6MELRFHEW7XSSX64GV"
	d := stack.NewDesk(t)
	d.Setenv("CARDCTL_READER", "sim:desk")
	d.Write("desk.key", identity, 0o600)
	d.Write("plan.yaml", `schema: cardctl/v1
kind: Plan
person: {id: "{{.mail}}", name: "{{.name}}"}
card: {application: openpgp}
pins:
  user: {generate: 8 digits, keep: letter}
  admin: {generate: 8 digits, keep: ledger}
seal: [age10f79ta2r0jvme3mvwwm5hwwjts9hnzf2ddcla5gr90nhkp28xdmsvmwt4p]
`, 0o600)
	d.Write("rows.csv", "mail,name\nbob@example.com,Bob <b>\n", 0o600)
	d.Run("cardctl", "sim", "create", "desk")
	d.Run("cardctl", "provision", d.Path("plan.yaml"), "--rows", d.Path("rows.csv"), "--yes")
	directory := stack.Shared(t, "letters-")
	d.Run("cardctl", "ledger", "letters", "--identity", d.Path("desk.key"), "--out", directory)
	file := filepath.Join(directory, "bob@example.com.html")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	giveTo(t, chromiumUser, directory)
	c := headless(t)
	c.open("file://" + file)
	if text := c.evaluate("document.querySelector('main').innerText"); !strings.Contains(text, "Bob <b>") {
		t.Errorf("the letter is %s", text)
	}
	for _, found := range c.findings() {
		t.Errorf("axe-core: %s", found)
	}
}
