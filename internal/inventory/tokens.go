package inventory

import (
	"context"
	"errors"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/p11"
)

// ListedModule is a PKCS#11 module that was asked for its tokens.
type ListedModule struct {
	Name        string `json:"name"`
	Path        string `json:"path,omitempty"`
	Description string `json:"description,omitempty"`
	// Err is why it could not be used.
	Err error `json:"-"`
}

// ListedToken is a token, and the path of the module that shows it.
type ListedToken struct {
	Module string `json:"module"`
	p11.Token
}

// InstalledModule is a PKCS#11 module on this machine.
type InstalledModule = p11.Installed

// ModuleNames are the names of modules that cardctl knows.
func ModuleNames() []string { return p11.WellKnown() }

// InstalledModules are the PKCS#11 modules that are installed.
func InstalledModules() []InstalledModule { return p11.DefaultPlaces().Installed() }

// Tokens lists the tokens of the module that is meant, else of every one that is
// known and can be loaded without harm, with what each mechanism can do if details are
// wanted. It fails for a broken module only where that one was named.
func Tokens(ctx context.Context, d *desk.Desk, details bool) (modules []ListedModule, tokens []ListedToken, err error) {
	names := moduleNames(d)
	for _, name := range names {
		listing, err := listModule(ctx, d, name, len(names), details)
		if err != nil && (d.Meant.Module != "" || ctx.Err() != nil) {
			return nil, nil, errors.Join(ctx.Err(), err)
		}
		modules = append(modules, ListedModule{Name: name, Path: listing.Path, Description: listing.Description, Err: err})
		for _, t := range listing.Tokens {
			if d.Meant.Serial == "" || desk.HasSerial([]string{t.Serial}, d.Meant.Serial) {
				tokens = append(tokens, ListedToken{listing.Path, t})
			}
		}
	}
	return modules, tokens, nil
}

// listModule lists one of so many modules; one that hangs leaves time for the
// others.
func listModule(ctx context.Context, d *desk.Desk, name string, of int, details bool) (p11.Listing, error) {
	if d.Meant.Module == "" {
		var stop context.CancelFunc
		ctx, stop = withShare(ctx, d, of)
		defer stop()
	}
	return d.Modules.ListTokens(ctx, name, details)
}

// longestModule is what a module may take where nobody waits for it.
const longestModule = 5 * time.Second

// withShare ends with the share of the time that one of so many modules may take.
func withShare(ctx context.Context, d *desk.Desk, of int) (context.Context, context.CancelFunc) {
	longest := longestModule
	if d.Timeout > 0 {
		longest = min(longest, d.Timeout/time.Duration(of+1))
	}
	if end, ends := ctx.Deadline(); ends { // what was done before has taken its time too
		longest = min(longest, time.Until(end)/2)
	}
	return context.WithTimeout(ctx, longest)
}

func moduleNames(d *desk.Desk) []string {
	if d.Meant.Module != "" {
		return []string{d.Meant.Module}
	}
	var names []string
	places := p11.DefaultPlaces()
	for _, m := range places.Installed() {
		if !p11.HoldsCard(m.Path) {
			names = append(names, m.Path)
		}
	}
	return append(names, places.Missing()...)
}
