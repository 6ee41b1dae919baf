package p11

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/miekg/pkcs11"
)

// moduleFile is a file that may be a module, and a link to it.
func moduleFile(t *testing.T) (file, link string) {
	t.Helper()
	module, err := DefaultPlaces().Locate("softhsm2")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	content, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	file, link = filepath.Join(dir, "module.so"), filepath.Join(dir, "link.so")
	if err := errors.Join(os.WriteFile(file, content, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	return file, link
}

// withFakes are modules of which every file is a fake of its own.
func withFakes(fakes *[]*fake) *Modules {
	ms := NewModules()
	ms.open = func(string) (library, error) {
		if os.Getenv(DriverVariable) == "openpgp" {
			return nil, errors.New("programs that are started now get the driver")
		}
		f := &fake{tokens: []*fakeToken{newFakeToken("card", "1")}, at: make(map[string]func())}
		*fakes = append(*fakes, f)
		return f, nil
	}
	return ms
}

func load(t *testing.T, ms *Modules, path, driver string) *Module {
	t.Helper()
	m, err := ms.Load(t.Context(), path, driver)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestModulesAreShared(t *testing.T) {
	file, link := moduleFile(t)
	another, _ := moduleFile(t)
	var fakes []*fake
	ms := withFakes(&fakes)
	first, second := load(t, ms, file, ""), load(t, ms, link, "")
	if first != second || len(fakes) != 1 || fakes[0].count("C_Initialize") != 1 {
		t.Error("one file was initialised twice")
	}
	if load(t, ms, another, "") == first || len(fakes) != 2 {
		t.Error("two files are one module")
	}
	if err := first.Close(); err != nil || fakes[0].count("C_Finalize") != 0 {
		t.Errorf("finalised under the second: %v", err)
	}
	if _, err := second.Tokens(t.Context(), false); err != nil {
		t.Error(err)
	}
	if err := second.Close(); err != nil || fakes[0].count("C_Finalize") != 1 {
		t.Errorf("not finalised: %v", err)
	}
	if err := second.Close(); err != nil || fakes[0].count("C_Finalize") != 1 {
		t.Errorf("closed once too often: %v", err)
	}
	if load(t, ms, file, "") == first || len(fakes) != 3 {
		t.Error("a module that was finalised is handed out")
	}
}

func TestModulesAtOnce(t *testing.T) {
	file, link := moduleFile(t)
	var fakes []*fake
	ms := withFakes(&fakes)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 20 {
				m, err := ms.Load(t.Context(), []string{file, link}[i%2], "")
				if err != nil {
					t.Error(err)
					return
				}
				if tokens, err := m.Tokens(t.Context(), false); err != nil || len(tokens) != 1 {
					t.Errorf("%v, %v", tokens, err)
				}
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, f := range fakes {
		if f.count("C_Initialize") != 1 || f.count("C_Finalize") != 1 {
			t.Errorf("%d times initialised, %d finalised", f.count("C_Initialize"), f.count("C_Finalize"))
		}
	}
	if len(ms.loaded) != 0 {
		t.Errorf("%d are left", len(ms.loaded))
	}
}

// A module that somebody else in the process has initialised is his to finalise.
func TestModuleOfSomebodyElse(t *testing.T) {
	file, _ := moduleFile(t)
	ms := NewModules()
	f := &fake{initialized: pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED}
	ms.open = func(string) (library, error) { return f, nil }
	if err := load(t, ms, file, "").Close(); err != nil || f.count("C_Finalize") != 0 {
		t.Errorf("%v: %q", err, f.calls)
	}
	f.initialized = pkcs11.CKR_GENERAL_ERROR
	if _, err := ms.Load(t.Context(), file, ""); !problem.Is(err, problem.Failed) || len(ms.loaded) != 0 {
		t.Errorf("got %v", err)
	}
	f.initialized = pkcs11.CKR_OK
	if err := load(t, ms, file, "").Close(); err != nil {
		t.Errorf("after one that did not start: %v", err)
	}
}

// OpenSC is bound to one driver when it is initialised; others cannot work then.
func TestModuleBoundToADriver(t *testing.T) {
	file, _ := moduleFile(t)
	var fakes []*fake
	ms := withFakes(&fakes)
	openpgp := load(t, ms, file, "openpgp")
	if same := load(t, ms, file, "openpgp"); same != openpgp {
		t.Error("another module for the same driver")
	}
	for _, driver := range []string{"", "isoApplet"} {
		if _, err := ms.Load(t.Context(), file, driver); !problem.Is(err, problem.CardBusy) {
			t.Errorf("driver %q: %v", driver, err)
		}
	}
	if err := errors.Join(openpgp.Close(), openpgp.Close()); err != nil || len(ms.loaded) != 0 {
		t.Error(err)
	}
	all := load(t, ms, file, "")
	if load(t, ms, file, "isoApplet") != all {
		t.Error("a module for all drivers is not one for each")
	}
	t.Setenv(DriverVariable, "MyEID") // by the user
	fakes = nil
	if load(t, withFakes(&fakes), file, "openpgp") == nil {
		t.Error("not loaded")
	}
}

// Nobody waits for a module that hangs at its start for longer than he wants.
func TestModuleThatStartsForEver(t *testing.T) {
	file, _ := moduleFile(t)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		ms := NewModules()
		ms.open = func(string) (library, error) {
			return &fake{hang: map[string]chan struct{}{"C_Initialize": release}}, nil
		}
		for _, patience := range []time.Duration{time.Hour, time.Minute} {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				begun := time.Now()
				if _, err := ms.Load(ctx, file, ""); !problem.Is(err, problem.Failed) || time.Since(begun) != patience {
					t.Errorf("after %v: %v", time.Since(begun), err)
				}
			}()
			synctest.Wait()
		}
		time.Sleep(2 * time.Hour)
	})
}
