package main

import (
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// topics are the pages that are about no command, and the documents they are
// made of.
var topics = map[string]string{
	"cardctl-exit-codes":     "../../docs/exit-codes.md",
	"cardctl-key-references": "../../docs/key-references.md",
	"cardctl-secrets":        "../../docs/secrets.md",
}

// pageName is the name of a command's page.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// shown are the commands under a command that have a page.
func shown(cmd *cobra.Command) []*cobra.Command {
	var list []*cobra.Command
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() && child.Name() != "help" {
			list = append(list, child)
		}
	}
	return list
}

// commandPage is the manual page of a command.
func commandPage(cmd *cobra.Command) string {
	p := newPage(pageName(cmd), "1", cmd.Short)
	p.heading("SYNOPSIS")
	parent := strings.TrimSuffix(cmd.CommandPath(), cmd.Name())
	arguments := strings.TrimPrefix(parent+cmd.Use, cmd.CommandPath()) + " [options]"
	children := shown(cmd)
	if len(children) > 0 {
		arguments = " COMMAND" + arguments
	}
	p.paragraph(synopsis(cmd.CommandPath(), arguments), true)
	p.heading("DESCRIPTION")
	p.prose(description(cmd))
	if len(children) > 0 {
		p.heading("COMMANDS")
		for _, child := range children {
			p.item(bold(strings.TrimPrefix(child.CommandPath(), "cardctl ")), roff(child.Short))
		}
	}
	p.flags("OPTIONS", cmd.NonInheritedFlags())
	p.flags("SHARED OPTIONS", cmd.InheritedFlags())
	p.heading("EXIT STATUS")
	p.line("0 when all is done; the others are in")
	p.line(`.BR cardctl\-exit\-codes (7).`)
	if cmd.Example != "" {
		p.heading("EXAMPLES")
		p.literal(unindented(cmd.Example), true)
	}
	p.seeAlso(related(cmd))
	return p.String()
}

func description(cmd *cobra.Command) string {
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	if len(cmd.Aliases) > 0 {
		text += "\n\nAlso called " + strings.Join(cmd.Aliases, ", ") + "."
	}
	return text
}

// related are the pages around that of a command: above it, below it, and those
// of what its flags take.
func related(cmd *cobra.Command) []string {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, pageName(cmd.Parent())+"(1)")
	}
	for _, child := range shown(cmd) {
		pages = append(pages, pageName(child)+"(1)")
	}
	sort.Strings(pages)
	pages = append(pages, "cardctl-exit-codes(7)")
	secrets := !cmd.HasParent()
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { secrets = secrets || f.Value.Type() == "source" })
	if !cmd.HasParent() || cmd.LocalFlags().Lookup("key") != nil {
		pages = append(pages, "cardctl-key-references(7)")
	}
	if secrets {
		pages = append(pages, "cardctl-secrets(7)")
	}
	return pages
}

// flags is a section of options, none where there are none.
func (p *page) flags(heading string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	p.heading(heading)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		term := bold("--" + f.Name)
		if f.Shorthand != "" {
			term = bold("-"+f.Shorthand) + ", " + term
		}
		switch {
		case f.NoOptDefVal != "" && f.Value.Type() != "bool":
			term += "[=" + italic(value) + "]"
		case value != "":
			term += " " + italic(value)
		}
		p.item(term, roff(usage+defaultOf(f)))
	})
}

// defaultOf is what a flag is when it is not given, where its usage does not
// say so and it is not just nothing.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
		return ""
	}
	return " (default " + f.DefValue + ")"
}
