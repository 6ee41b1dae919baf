//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cardctl/cardctl/internal/typed"
)

// What an error says to try is typed, at a terminal with a person: things move on.
// The scripts make the errors; each is tried in a copy of what the script has then.

// destroying are the flags and commands that no error offers to somebody who did
// not type them.
var (
	destroyingFlags    = []string{"--yes", "-y", "--replace", "--with-applets", "--retry-keys", "--factory-pins"}
	destroyingCommands = []string{"init", "delete-key", "delete-cert", "applet delete", "applet set-keys", "sim delete"}
)

// programs are the other ones that an error may say to run.
var programs = []string{"apt", "chmod", "curl", "df", "rm", "export", "gpgconf", "ldd", "ls", "file", "openssl", "pkcs11-tool", "pkcs15-tool", "ssh-keygen", "keytool", "puttygen", "gunzip", "systemctl", "unzip", "modprobe", "grep", "openvpn"}

// complaint is an error as a script sees it.
type complaint struct{ what, try string }

// complained reads an error from what was written to stderr.
func complained(stderr string) (complaint, bool) {
	for line := range strings.Lines(stderr) {
		var document struct{ Kind, Message, Hint string }
		if json.Unmarshal([]byte(line), &document) == nil && document.Kind == "Error" {
			return complaint{counted.ReplaceAllString(document.Message, ""), document.Hint}, true
		}
	}
	_, text, isText := strings.Cut("\n"+stderr, "\nError: ")
	what, rest, _ := strings.Cut(text, "\n")
	_, try, _ := strings.Cut("\n"+rest, "\nTry: ")
	return complaint{counted.ReplaceAllString(what, ""), strings.TrimSuffix(try, "\n")}, isText
}

// counted is what an error says of tries: a wrong PIN is the same error whatever is left.
var counted = regexp.MustCompile(`[0-9]+|tr(y|ies)\b`)

// offered checks what an error says to try, and reports whether it is a command of
// cardctl that can be typed as it is.
func offered(line []string, try string) (paste bool, err error) {
	words := shellWords(try)
	for len(words) > 0 && strings.HasSuffix(words[0], "=") {
		words = words[1:]
	}
	if len(words) == 0 {
		return false, errors.New("nothing is offered")
	}
	if words[0] != "cardctl" {
		if words[0] != strings.ToLower(words[0]) { // a sentence
			return false, nil
		}
		if !slices.Contains(programs, words[0]) {
			return false, fmt.Errorf("%s is no program that is known", words[0])
		}
		return false, nil
	}
	if err := understood(typed.Quoted(words...)); err != nil {
		return false, err
	}
	if slices.Contains(words, "--no-input") && slices.Contains(words, "prompt") {
		return false, errors.New("a prompt is forbidden and wanted")
	}
	for _, flag := range destroyingFlags {
		if slices.Contains(words, flag) && !slices.Contains(line, flag) {
			return false, fmt.Errorf("nobody typed %s", flag)
		}
	}
	for _, command := range destroyingCommands {
		if strings.HasPrefix(strings.Join(words[1:], " ")+" ", command+" ") && !strings.Contains(strings.Join(line, " ")+" ", command+" ") {
			return false, fmt.Errorf("nobody typed %s", command)
		}
	}
	waits := slices.ContainsFunc(words, func(word string) bool { return slices.Contains([]string{"--wait", "--timeout", "attach", "-"}, word) })
	stays := slices.Equal(words[1:], []string{"agent"}) // in the background
	return !waits && !stays && !slices.ContainsFunc(words, metaValue.MatchString), nil
}

// pasted types what the error of a script's command says to try.
func pasted(ts *testscript.TestScript, typed []string, stderr string) {
	said, ok := complained(stderr)
	if !ok {
		return
	}
	paste, err := offered(typed, said.try)
	if err != nil {
		ts.Fatalf("Try: %s: %v", said.try, err)
	}
	if !paste {
		return
	}
	var again complaint
	for _, secret := range known(ts) {
		screen := inACopy(ts, func() string { return atTheTerminal(ts, said.try, secret) })
		if again, ok = complained(screen); !ok || again.what != said.what {
			return
		}
	}
	ts.Fatalf("Try: %s: it says %q again", said.try, again.what)
}

// known are the secrets that the person of a script may know.
func known(ts *testscript.TestScript) []string {
	all := map[string]bool{"123456": true, "12345678": true, userPIN: true, adminPIN: true, "404142434445464748494A4B4C4D4E4F": true}
	for _, name := range scriptVariables() {
		if value := ts.Getenv(name); secretLike.MatchString(value) {
			all[value] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

var (
	secretLike    = regexp.MustCompile(`^[0-9]{4,16}$`)
	setByAScript  = regexp.MustCompile(`(?m)^env (.*)$`)
	nameOfSetting = regexp.MustCompile(`([A-Z][A-Z0-9_]*)=`)
)

// scriptVariables are the variables that scripts set, and those they begin with.
var scriptVariables = sync.OnceValue(func() []string {
	names := []string{"PATH", "HOME", "WORK", "TMPDIR", "CARDCTL_STATE_DIR", "PCSCLITE_CSOCK_NAME", coverage}
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		for _, line := range setByAScript.FindAllStringSubmatch(string(text), -1) {
			for _, name := range nameOfSetting.FindAllStringSubmatch(line[1], -1) {
				names = append(names, name[1])
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
})

// inACopy does something to the files of a script, and puts them back.
func inACopy(ts *testscript.TestScript, do func() string) string {
	work := ts.Getenv("WORK")
	kept, err := os.MkdirTemp("", "kept")
	ts.Check(err)
	defer func() { _ = os.RemoveAll(kept) }()
	ts.Check(exec.Command("cp", "-a", work+"/.", kept).Run())
	said := do()
	entries, err := os.ReadDir(work)
	ts.Check(err)
	for _, entry := range entries {
		ts.Check(os.RemoveAll(filepath.Join(work, entry.Name())))
	}
	ts.Check(exec.Command("cp", "-a", kept+"/.", work).Run())
	return said
}

// pastedPatience is how long what is offered may take.
const pastedPatience = 20 * time.Second

// atTheTerminal runs a line of a shell where a person answers, who knows one secret,
// and returns what it writes to stderr.
func atTheTerminal(ts *testscript.TestScript, line, secret string) string {
	hand, tty, err := pty.Open()
	ts.Check(err)
	defer func() { _ = hand.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), pastedPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", strings.Replace(line, "cardctl ", "exec cardctl ", 1))
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"TERM=dumb"}
	for _, name := range scriptVariables() {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	var stderr strings.Builder
	cmd.Stdin, cmd.Stderr = tty, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(cmd.Start())
	_ = tty.Close()
	answered := make(chan struct{})
	go func() { defer close(answered); answer(hand, secret) }()
	_ = cmd.Wait() // its status says nothing that its error does not
	<-answered
	if ctx.Err() != nil {
		ts.Fatalf("Try: %s: it does not end", line)
	}
	return stderr.String()
}

// answer says yes, takes the first of several, and types the secret, or a new one.
func answer(hand *os.File, secret string) {
	seen, buffer := "", make([]byte, 4096)
	for {
		n, err := hand.Read(buffer)
		if err != nil {
			return
		}
		if seen += string(buffer[:n]); !strings.HasSuffix(seen, ": ") {
			continue
		}
		typed := secret
		switch {
		case strings.HasSuffix(seen, "[y/N]: "):
			typed = "y"
		case strings.HasSuffix(seen, "]: "):
			typed = "1"
		case strings.Contains(seen, "new ") || strings.Contains(seen, "Repeat "):
			typed = "86421357"
		}
		seen = ""
		if _, err := hand.WriteString(typed + "\r"); err != nil {
			return
		}
	}
}

// The rules are rules: what breaks them is noticed.
func TestWhatIsOffered(t *testing.T) {
	typed := strings.Fields("cardctl gen-key --key OPENPGP.3")
	for try, good := range map[string]bool{
		"cardctl info": true,
		"cardctl gen-key --key OPENPGP.3 --admin-pin prompt": true,
		"CARDCTL_SERIAL= cardctl info":                       true,
		"ls -ld none":                                        true,
		"Close the programs that use the card.":              true,
		"":                                                   false,
		"dd if=none":                                         false,
		"cardctl gen-key --nonsense":                         false,
		"cardctl nonsense":                                   false,
		"cardctl gen-key --key OPENPGP.3 --replace 0123": false,
		"cardctl init --yes":                             false,
		"cardctl init":                                   false,
		"cardctl applet delete A0":                       false,
		"cardctl gen-key --key OPENPGP.3 --no-input --admin-pin prompt": false,
	} {
		if _, err := offered(typed, try); (err == nil) != good {
			t.Errorf("%q: %v", try, err)
		}
	}
}
