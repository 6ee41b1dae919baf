package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/plan"
)

// inPlan says, for the commands whose work a plan does, which field of a plan is what a
// flag is. A flag that is not listed has the field of its own name there.
var inPlan = map[string]struct {
	under string            // the field with those of the flags
	other map[string]string // fields with other names, by flag
	not   map[string]string // why a plan has no such field, by flag
}{
	"init": {under: "card", other: map[string]string{
		"pin": "pins.user", "admin-pin": "pins.admin", "puk": "pins.puk", "so-pin": "pins.so",
		"current-admin-pin": "pins.admin.current", "current-so-pin": "pins.so.current",
		"management-key": "managementKey.source", "current-management-key": "managementKey.current",
		"generate-management-key": "managementKey.generate", "protect-management-key": "managementKey.protect",
		"management-key-algorithm": "managementKey.algorithm", "touch": "managementKey.touch",
	}},
	"set-pin": {under: "card", other: map[string]string{
		"pin": "pins.user.current", "admin-pin": "pins.admin.current", "so-pin": "pins.so.current", "puk": "pins.puk.current", "new-pin": "pins.user.source",
	}},
	"gen-key": {under: "keys[]", other: map[string]string{
		"key": "keys[].ref", "management-key": "managementKey.current", "admin-pin": "pins.admin.current", "pin": "pins.user.current",
		"allow-last-try": "card.allowLastTry", "allow-unknown-tries": "card.allowUnknownTries",
	}, not: map[string]string{
		"replace": "a plan never overwrites a key, except that card.init: always erases the card",
		"out":     "the certificate has the public key, and export-key writes it",
	}},
	"gen-csr": {under: "keys[].certificate", other: map[string]string{
		"key": "keys[].ref", "pin": "pins.user.current", "allow-last-try": "card.allowLastTry", "allow-unknown-tries": "card.allowUnknownTries",
	}, not: map[string]string{
		"public-key": "the card generates the key in the same run, which has its public key", "out": "the request goes to the issuer", "format": "the request goes to the issuer",
	}},
	"enroll": {under: "keys[].certificate", other: map[string]string{
		"key": "keys[].ref", "pin": "pins.user.current", "admin-pin": "pins.admin.current", "management-key": "managementKey.current",
		"issuer-ca": "issuers.NAME.ca", "issuer-key": "issuers.NAME.key", "issuer-reader": "issuers.NAME.reader", "issuer-serial": "issuers.NAME.serial",
		"issuer-secret": "issuers.NAME.secret", "issuer-pin": "issuers.NAME.pin",
		"allow-last-try": "card.allowLastTry", "allow-unknown-tries": "card.allowUnknownTries",
	}, not: map[string]string{
		"public-key": "the card generates the key in the same run, which has its public key",
		"dry-run":    "provision has it, for the whole plan", "ask-anew": "it is about one answer that does not come",
	}},
	"renew": {under: "keys[].certificate", other: map[string]string{
		"key": "keys[].ref", "pin": "pins.user.current", "admin-pin": "pins.admin.current", "management-key": "managementKey.current", "before": "keys[].certificate.renewBefore",
		"issuer-ca": "issuers.NAME.ca", "issuer-key": "issuers.NAME.key", "issuer-reader": "issuers.NAME.reader", "issuer-serial": "issuers.NAME.serial",
		"issuer-secret": "issuers.NAME.secret", "issuer-pin": "issuers.NAME.pin",
		"allow-last-try": "card.allowLastTry", "allow-unknown-tries": "card.allowUnknownTries",
	}, not: map[string]string{
		"public-key": "the certificate on the card has the public key",
		"dry-run":    "provision has it, for the whole plan", "ask-anew": "it is about one answer that does not come",
	}},
	"import-cert": {under: "keys[].certificate", other: map[string]string{
		"key": "keys[].ref", "pin": "pins.user.current", "admin-pin": "pins.admin.current", "management-key": "managementKey.current", "ca": "issuers.NAME.ca",
		"allow-last-try": "card.allowLastTry", "allow-unknown-tries": "card.allowUnknownTries",
	}, not: map[string]string{
		"public-key": "the card generates the key in the same run, which has its public key", "chain": "the issuer's answer has it",
		"password": "no PKCS#12 file is read", "allow-expired": "an issuer answers with a new certificate",
	}},
	"set-holder": {under: "holder", other: map[string]string{
		"admin-pin": "pins.admin.current", "allow-last-try": "card.allowLastTry", "allow-unknown-tries": "card.allowUnknownTries",
	}},
	"set-touch": {under: "keys[]", other: map[string]string{
		"key": "keys[].ref", "admin-pin": "pins.admin.current", "allow-last-try": "card.allowLastTry", "allow-unknown-tries": "card.allowUnknownTries",
	}},
	"set-management-key": {under: "managementKey", other: map[string]string{
		"management-key": "managementKey.current", "new-management-key": "managementKey.source", "generate-management-key": "managementKey.generate",
		"protect-management-key": "managementKey.protect", "management-key-algorithm": "managementKey.algorithm", "pin": "pins.user.current",
		"allow-last-try": "card.allowLastTry", "allow-unknown-tries": "card.allowUnknownTries",
	}},
	"applet install": {under: "applet", not: map[string]string{"dry-run": "provision has it, for the whole plan"}},
	"applet set-keys": {under: "applet", other: map[string]string{
		"new-card-keys": "applet.newCardKeys.source", "generate": "applet.newCardKeys.generate", "new-key-version": "applet.newCardKeys.newKeyVersion",
		"type": "applet.newCardKeys.type", "add": "applet.newCardKeys.add",
	}, not: map[string]string{"keys-file": "the ledger has them, sealed"}},
	"smoke-test": {under: "smokeTest", other: map[string]string{
		"pin": "pins.user.current", "allow-last-try": "card.allowLastTry", "allow-unknown-tries": "card.allowUnknownTries",
	}},
}

// sharedInPlan are those flags of every command that say what a card is.
var sharedInPlan = map[string]string{"app": "card.application", "serial": "card.serial", "module": "card.module"}

// TestAPlanSaysWhatFlagsSay holds the fields of a plan against the flags of the commands.
func TestAPlanSaysWhatFlagsSay(t *testing.T) {
	fields := fieldsOfAPlan(t)
	root := newRootCmd(newSession(newEnv()))
	used := 0
	for name, in := range inPlan {
		cmd, _, err := root.Find(strings.Fields(name))
		if err != nil || cmd.CommandPath() != "cardctl "+name {
			t.Fatalf("%s: %v", name, err)
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			used++
			field, listed := in.other[f.Name]
			switch _, never := in.not[f.Name]; {
			case never && listed:
				t.Errorf("%s --%s has a field, and has none", name, f.Name)
			case never:
				return
			case !listed:
				field = in.under + "." + camelCase(f.Name)
			}
			if !slices.Contains(fields, field) {
				t.Errorf("%s --%s: a plan has no field %s", name, f.Name, field)
			}
		})
		for _, flag := range slices.Concat(slices.Collect(maps.Keys(in.other)), slices.Collect(maps.Keys(in.not))) {
			if cmd.Flag(flag) == nil {
				t.Errorf("%s has no flag --%s", name, flag)
			}
		}
	}
	for flag, field := range sharedInPlan {
		if root.PersistentFlags().Lookup(flag) == nil || !slices.Contains(fields, field) {
			t.Errorf("--%s, %s", flag, field)
		}
	}
	if used < 100 {
		t.Errorf("%d flags", used)
	}
}

func camelCase(flag string) string {
	words := strings.Split(flag, "-")
	for i := range words[1:] {
		words[i+1] = strings.ToUpper(words[i+1][:1]) + words[i+1][1:]
	}
	return strings.Join(words, "")
}

// TestEveryCommandThatChangesACardIsInPlansOrNot so that a new one is a decision.
func TestEveryCommandThatChangesACardIsInPlansOrNot(t *testing.T) {
	without := map[string]string{
		"attest": "it changes nothing", "import-key": "a plan generates keys on the card", "delete-key": "a plan never destroys a key", "delete-cert": "a plan never destroys a certificate",
		"unblock-pin": "it is about one card at the desk", "move-key": "a plan never moves a key",
	}
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		name := strings.TrimPrefix(cmd.CommandPath(), "cardctl ")
		changes := cmd.Flag("admin-pin") != nil || cmd.Flag("management-key") != nil
		if _, has := inPlan[name]; changes && !has && without[name] == "" {
			t.Errorf("%s is neither in plans nor among those that are not", name)
		}
		for _, child := range cmd.Commands() {
			look(child)
		}
	}
	look(newRootCmd(newSession(newEnv())))
}

// fieldsOfAPlan are the fields of its schema: keys[].ref.
func fieldsOfAPlan(t *testing.T) (fields []string) {
	t.Helper()
	eachFieldOfAPlan(t, func(path string, _ map[string]any) { fields = append(fields, path) })
	return fields
}

// eachFieldOfAPlan goes through its schema.
func eachFieldOfAPlan(t *testing.T, f func(path string, schema map[string]any)) {
	t.Helper()
	text, err := plan.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	fieldsOfASchema(document, "", f)
}

func fieldsOfASchema(schema map[string]any, path string, f func(path string, schema map[string]any)) {
	if choices, ok := schema["anyOf"].([]any); ok {
		schema = choices[1].(map[string]any)
	}
	if items, ok := schema["items"].(map[string]any); ok && items["type"] == "object" {
		fieldsOfASchema(items, path+"[]", f)
	}
	if named, ok := schema["additionalProperties"].(map[string]any); ok {
		fieldsOfASchema(named, path+".NAME", f)
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		inner := strings.TrimPrefix(path+"."+name, ".")
		f(inner, properties[name].(map[string]any))
		fieldsOfASchema(properties[name].(map[string]any), inner, f)
	}
}

const plansPage = "../../docs/plans.md"

// TestTableOfPlanFields compares the table in docs/plans.md with the schema.
func TestTableOfPlanFields(t *testing.T) {
	var rows strings.Builder
	rows.WriteString("\n| field | value | meaning |\n|---|---|---|\n")
	seen := map[string]bool{}
	ofAPIN := regexp.MustCompile(`^pins\.\w+\.`)
	eachFieldOfAPlan(t, func(path string, schema map[string]any) {
		if path = ofAPIN.ReplaceAllString(path, "pins.PIN."); seen[path] {
			return
		}
		seen[path] = true
		about, columns := strings.CutSuffix(schema["description"].(string), "; can have columns")
		value := valueInWords(schema)
		if columns {
			value += ", columns"
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", path, value, strings.ReplaceAll(about, "|", `\|`))
	})
	const begin, end = "<!-- fields -->\n", "<!-- end of fields -->\n"
	before, rest, found := strings.Cut(readFile(t, plansPage), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", plansPage)
	}
	checkGenerated(t, plansPage, before+begin+rows.String()+"\n"+end+after)
}

// valueInWords is what a field can have.
func valueInWords(schema map[string]any) string {
	if choices, ok := schema["anyOf"].([]any); ok {
		return valueInWords(choices[0].(map[string]any)) + ", or a mapping"
	}
	if words, ok := schema["enum"].([]any); ok {
		var list []string
		for _, word := range words {
			list = append(list, fmt.Sprintf("`%s`", word))
		}
		return strings.Join(list, " ")
	}
	pattern, _ := schema["pattern"].(string)
	switch {
	case strings.HasPrefix(pattern, "^(env"):
		value := "source"
		for _, word := range []string{"default", "protected"} {
			if strings.Contains(pattern, "|"+word) {
				value += " or `" + word + "`"
			}
		}
		return value
	case strings.Contains(pattern, "digits"):
		return "`N digits` `N letters`"
	case strings.HasSuffix(pattern, "s)$"):
		return "time"
	case schema["type"] == "boolean":
		return "`true` `false`"
	case schema["type"] == "integer":
		return fmt.Sprintf("%.0f to %.0f", schema["minimum"], schema["maximum"])
	case schema["type"] == "object":
		return "mapping"
	case schema["type"] == "string":
		return "text"
	}
	item := valueInWords(schema["items"].(map[string]any))
	return "list: " + item
}

// TestPlansInDocumentsAreRight reads each plan of the page, and the table that follows it.
func TestPlansInDocumentsAreRight(t *testing.T) {
	var last *plan.Plan
	plans, tables := 0, 0
	for _, block := range regexp.MustCompile("(?ms)^```(yaml|csv|jsonl)\n(.*?)^```$").FindAllStringSubmatch(readFile(t, plansPage), -1) {
		if block[1] == "yaml" {
			p, err := plan.Parse([]byte(block[2]))
			if err != nil {
				t.Fatalf("%v:\n%s", err, block[2])
			}
			last = p
			plans++
			continue
		}
		if rows, err := last.ReadRows([]byte(block[2]), "table"); err != nil || len(rows) < 2 {
			t.Errorf("%d rows, %v:\n%s", len(rows), err, block[2])
		}
		tables++
	}
	if plans < 4 || tables < 3 {
		t.Errorf("%d plans, %d tables", plans, tables)
	}
}
