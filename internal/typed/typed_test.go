package typed

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// lineOf is a line of a program with two commands, as far as it is understood, and
// what is wrong with it.
func lineOf(t *testing.T, variables map[string]string, words ...string) (*Line, error) {
	t.Helper()
	l := &Line{Words: words, Language: &Language{
		Actions:   map[advice.Action]string{advice.ShowCard: "look", advice.ListReaders: "readers"},
		OffCard:   []advice.Action{advice.ListReaders},
		CardFlags: []string{"reader"},
		Variables: map[string]string{"reader": "READER"},
		Getenv:    func(name string) string { return variables[name] },
		IsName:    func(word string) bool { return word == "Alpha Reader" },
	}}
	root := &cobra.Command{Use: "tool", SilenceErrors: true, SilenceUsage: true, Args: KnownCommand, RunE: func(*cobra.Command, []string) error { return nil }}
	root.SetOut(io.Discard)
	root.PersistentFlags().StringP("reader", "r", "", "the `reader`")
	root.PersistentFlags().Bool("no-input", false, "never ask")
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		l.About = cmd
		return Mistake(cmd, err)
	})
	for _, name := range []string{"write", "look", "readers"} {
		cmd := &cobra.Command{Use: name + " FILE", Args: OneArg("a file"), RunE: func(cmd *cobra.Command, args []string) error {
			l.About, l.Run, l.Args = cmd, cmd, args
			return nil
		}}
		cmd.Flags().String("key", "", "the `key`")
		cmd.Flags().StringSlice("dns", nil, "a `name`")
		cmd.Flags().Bool("wait", false, "wait")
		cmd.Flags().Int("days", 1, "the days")
		cmd.Flags().Var(new(secret.Flag), "pin", "source of the PIN")
		root.AddCommand(cmd)
	}
	l.About = root
	root.SetArgs(words)
	return l, root.Execute()
}

func TestAdviceIsACommandToType(t *testing.T) {
	for name, test := range map[string]struct {
		words  []string
		object string
		env    map[string]string
		advice advice.Advice
		want   string
	}{
		"again":                 {words: []string{"write", "a b", "--key", "K.1"}, advice: advice.Repeat(), want: "tool write 'a b' --key K.1"},
		"with another value":    {words: []string{"write", "f", "--key", "K.1"}, advice: advice.Repeat(advice.Set(advice.Key, "K.2")), want: "tool write f --key K.2"},
		"with a chosen key":     {words: []string{"write", "f"}, object: "K.1", advice: advice.Repeat(), want: "tool write f --key K.1"},
		"without a value":       {words: []string{"write", "f", "--wait"}, advice: advice.Repeat().Without(advice.Wait), want: "tool write f"},
		"without what is not":   {words: []string{"write", "f"}, advice: advice.Repeat().Without(advice.Wait), want: ""},
		"without a variable":    {words: []string{"write", "f"}, env: map[string]string{"READER": "0"}, advice: advice.Repeat().Without(advice.Reader), want: "READER= tool write f"},
		"of another command":    {words: []string{"write", "f"}, advice: advice.Repeat(advice.Set(advice.CA, "ca.pem")), want: ""},
		"several values":        {words: []string{"write", "f", "--dns", "a,b"}, advice: advice.Repeat(), want: "tool write f --dns a --dns b"},
		"an open value":         {words: []string{"write", "f"}, advice: advice.Repeat(advice.Fill(advice.Key)), want: "tool write f --key KEY"},
		"a secret to ask for":   {words: []string{"write", "f", "--no-input"}, advice: advice.Repeat(advice.Ask(secret.PIN)), want: "tool write f --pin prompt"},
		"a pipe that was read":  {words: []string{"write", "f", "--pin", "stdin"}, advice: advice.Repeat(), want: "tool write f --pin prompt"},
		"another, on the card":  {words: []string{"write", "f", "-r", "0"}, advice: advice.Do(advice.ShowCard), want: "tool look --reader 0"},
		"another, on no card":   {words: []string{"write", "f", "-r", "0"}, advice: advice.Do(advice.ListReaders), want: "tool readers"},
		"another, for the card": {words: []string{"write", "f", "-r", "0"}, advice: advice.Do(advice.ListReaders, advice.Switch(advice.Wait)), want: "tool readers --reader 0 --wait"},
		"help":                  {words: []string{"write", "f"}, advice: advice.Do(advice.Help), want: "tool write --help"},
		"another program":       {words: []string{"write", "f"}, advice: advice.Run("ls", "it's"), want: `ls 'it'\''s'`},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := lineOf(t, test.env, test.words...)
			l.Object = test.object
			if got := l.Worded(test.advice); err != nil || got != test.want {
				t.Errorf("%q, %v, want %q", got, err, test.want)
			}
		})
	}
}

// What was typed in the wrong place becomes the name of the place.
func TestTellNamesThePlace(t *testing.T) {
	notThere := problem.New(problem.NotFound, "nothing is called hunter2 in Alpha Reader").Advise(advice.Repeat())
	l, err := lineOf(t, nil, "write", "hunter2", "--reader", "Alpha Reader", "--key", "hunter2")
	told := l.Tell(notThere, "6A82", "6A82 file not found", advice.Do(advice.ShowCard))
	if want := "write: nothing is called FILE in Alpha Reader"; err != nil || told.What != want && told.What != strings.Replace(want, "FILE", "[value of --key]", 1) {
		t.Errorf("%+v, %v", told, err)
	}
	if told.Why != "[6A82 file not found]." || told.Try != "tool write FILE --key KEY --reader 'Alpha Reader'" {
		t.Errorf("%+v", told)
	}
	if told := l.Tell(problem.New(problem.Refused, "hunter2 is locked"), "", "", advice.Do(advice.ShowCard)); told.What != "write: hunter2 is locked" {
		t.Errorf("of a line that is understood: %+v", told)
	}
}

func TestMistakesSayWhatIsMeant(t *testing.T) {
	for line, want := range map[string][2]string{
		"write f --dayz 1":    {"unknown flag", "Did you mean --days?"},
		"write f -key=1":      {"--key needs two dashes", "separate flag"},
		"write f --key:1":     {"--key needs a space or =", "--name=value"},
		"write f --days soon": {"the value of --days is not a number", ""},
		"write f --key":       {"--key needs a value", "Expected: the key."},
		"write f --=1":        {"malformed flag", "--name value"},
		"write":               {"expected one argument, got 0", "Expected: a file."},
		"write —wait":         {"", ""},
		"write —wait f":       {"expected one argument, got 2", "another kind of dash"},
		"wriet f":             {"unknown command", "Did you mean write?"},
		"nonsense":            {"unknown command", ""},
	} {
		_, err := lineOf(t, nil, strings.Fields(line)...)
		var p *problem.Error
		switch isProblem := errors.As(err, &p); {
		case want[0] == "":
			if err != nil {
				t.Errorf("%s: %v", line, err)
			}
		case !isProblem || p.Code != problem.Usage || !strings.HasPrefix(p.What, want[0]) || !strings.Contains(p.Why, want[1]):
			t.Errorf("%s: %v", line, err)
		}
	}
}

// Every piece of a word between what separates flags, values and directories may be
// the secret.
func TestPieces(t *testing.T) {
	if got := pieces("—pin:a/b=c"); !slices.Equal(got, []string{"pin", "a", "b", "c"}) {
		t.Errorf("%q", got)
	}
	for _, test := range [][4]string{
		{"no key pass here", "pass", "X", "no key X here"},
		{"no password here", "pass", "X", "no password here"},
		{`no "1234" here`, "1234", "X", "no X here"},
		{"no a1234b here", "1234", "X", "no aXb here"},
		{`no \npass here`, "pass", "$X", `no \n$X here`},
	} {
		if got := replaceWord(test[0], test[1], test[2]); got != test[3] {
			t.Errorf("%q without %q: %q", test[0], test[1], got)
		}
	}
}

// An address with a password is not repeated, whatever else is wrong.
func TestAddressesWithPasswords(t *testing.T) {
	for _, address := range []string{"postgres://me:hunter2@host/db?a=b.crt", "est+https://ra:hunter2@ca.example.com"} {
		for _, code := range []problem.Code{problem.Usage, problem.CardBusy} {
			l, err := lineOf(t, nil, "write", "a.pem", "--reader", address)
			told := l.Tell(problem.New(code, "something failed").Advise(advice.Repeat()), "", "", advice.Do(advice.ShowCard))
			if err != nil || strings.Contains(told.Try+told.What+told.Why, "hunter2") || !strings.Contains(told.Try, "--reader") {
				t.Errorf("%+v, %v", told, err)
			}
		}
	}
	l, _ := lineOf(t, nil, "write", "a.pem", "--reader", "postgres://me@host/db")
	if told := l.Tell(problem.New(problem.CardBusy, "busy").Advise(advice.Repeat()), "", "", advice.Do(advice.ShowCard)); !strings.Contains(told.Try, "me@host") {
		t.Errorf("%+v", told)
	}
}
