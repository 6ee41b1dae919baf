package p11

import (
	"context"
	"path/filepath"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// Modules are the modules that a program has loaded. A library can be initialised
// once in a process: whoever asks for one that is loaded gets the same Module, so
// that several cards are worked on at once. It is safe for concurrent use.
type Modules struct {
	open func(path string) (library, error)
	// turn is held by whoever changes what is loaded.
	turn   chan struct{}
	loaded map[string]*sharedModule // by the real path of the file
}

// sharedModule is a module and how many have yet to close it.
type sharedModule struct {
	module *Module
	driver string // that OpenSC is bound to, empty for all
	users  int
}

// NewModules has no module loaded.
func NewModules() *Modules {
	return &Modules{open: openLibrary, turn: make(chan struct{}, 1), loaded: make(map[string]*sharedModule)}
}

// Load finds the module that name stands for (Places.Locate), looks whether
// the file can be one (Inspect), loads and initialises it, unless it is loaded
// already. Name is a path, a name of the command line's contract or one that
// p11-kit knows. Errors are problem.NotFound for a module that is not there,
// problem.Mismatch for a file that is no module, and problem.Failed for one that
// does not start.
//
// Driver is OpenSC's name for the driver of the one card that the module is
// loaded for, empty where that is not known or there are several. OpenSC then
// asks the card nothing for other drivers, which takes some 26 commands, and
// takes a card with several applications for the one that is meant. Other modules
// do not look. What the user has in the environment goes before. While a module
// is bound to a driver, it is problem.CardBusy for others.
func (ms *Modules) Load(ctx context.Context, name, driver string) (*Module, error) {
	var places Places // a path needs none, and looking for them takes a while
	if !isPath(name) {
		places = DefaultPlaces()
	}
	path, err := places.Locate(name)
	if err != nil {
		return nil, err
	}
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		file = path // Inspect says what is wrong with it
	}
	select {
	case ms.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, (&Module{path: path}).gaveUp(ctx, "the module loaded before it")
	}
	defer func() { <-ms.turn }()
	shared := ms.loaded[file]
	if shared == nil {
		if shared, err = ms.load(ctx, path, driver); err != nil {
			return nil, err
		}
		shared.module.release = func() error { return ms.release(file) }
		ms.loaded[file] = shared
	}
	if shared.driver != "" && shared.driver != driver {
		return nil, problem.New(problem.CardBusy, "%s: the module is in use for another kind of card", shared.module.name()).
			Because("The module is loaded for OpenSC's card driver %s.", shared.driver).
			Advise(advice.Repeat())
	}
	shared.users++
	return shared.module, nil
}

func (ms *Modules) load(ctx context.Context, path, driver string) (*sharedModule, error) {
	if err := Inspect(path); err != nil {
		return nil, err
	}
	expectCrash(ctx, path)
	free, bound := bindDriver(driver)
	defer free()
	m, err := start(ctx, path, ms.open)
	if !bound {
		driver = ""
	}
	return &sharedModule{module: m, driver: driver}, err
}

// release is Close of a module. Nobody loads it again before it is finalised.
func (ms *Modules) release(file string) error {
	ms.turn <- struct{}{} // Load has it no longer than its context lasts
	defer func() { <-ms.turn }()
	shared := ms.loaded[file]
	if shared == nil {
		return nil
	}
	if shared.users--; shared.users > 0 {
		return nil
	}
	delete(ms.loaded, file)
	return shared.module.finalise()
}

// ListTokens tells which tokens are in the slots of the module that name stands
// for.
func (ms *Modules) ListTokens(ctx context.Context, name string, details bool) (Listing, error) {
	m, err := ms.Load(ctx, name, "")
	if err != nil {
		return Listing{}, err
	}
	tokens, err := m.Tokens(ctx, details)
	if cerr := m.Close(); err == nil {
		err = cerr
	}
	return Listing{Path: m.Path(), Description: m.Description(), Tokens: tokens}, err
}
