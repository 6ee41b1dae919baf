package cardsim

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func testStore(t *testing.T) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cardctl", "sim")
	return NewStore(dir), dir
}

func create(t *testing.T, s *Store, name string, o Options) {
	t.Helper()
	if err := s.Create(name, o); err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	s, dir := testStore(t)
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Fatalf("an empty store lists %v, %v", list, err)
	}
	create(t, s, "demo", Options{Serial: "0000cafe", Latency: 20 * time.Millisecond})
	create(t, s, "a.second-one", Options{Profile: "openpgp-2.0", Serial: "00000002"})
	if err := s.Create("demo", Options{}); !errors.Is(err, ErrExists) {
		t.Fatalf("Create of a card that exists: %v", err)
	}
	want := []Info{
		{Name: "a.second-one", Applications: []string{"openpgp"}, Profile: "openpgp-2.0", Serial: "00000002"},
		{Name: "demo", Applications: []string{"openpgp"}, Profile: "openpgp-3.4", Serial: "0000CAFE"},
	}
	list, err := s.List()
	if err != nil || !reflect.DeepEqual(list, want) {
		t.Fatalf("List is %+v, %v", list, err)
	}
	for path, mode := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, filepath.Join(dir, "demo.json"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, mode)
		}
	}

	card, err := s.Open("demo")
	if err != nil {
		t.Fatal(err)
	}
	h := hold(t, card)
	h.selectOpenPGP()
	h.admin()
	h.expect(putName, 0x9000)
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	if card, err = s.Open("demo"); err != nil {
		t.Fatal(err)
	}
	h = hold(t, card)
	h.selectOpenPGP()
	h.nameIs("A")
	if d := card.latency(); d != 20*time.Millisecond {
		t.Errorf("latency %v", d)
	}
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}

	if err := s.Delete("demo"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete("demo"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("Delete of a card that is not there: %v", err)
	}
	if _, err := s.Open("demo"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("Open of a card that is not there: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "a.second-one.") {
			t.Errorf("%s is left over", entry.Name())
		}
	}
}

func TestCardInUse(t *testing.T) {
	s, _ := testStore(t)
	create(t, s, "demo", Options{})
	card, err := s.Open("demo")
	if err != nil {
		t.Fatal(err)
	}
	for name, use := range map[string]func() error{
		"Open":   func() error { _, err := s.Open("demo"); return err },
		"Delete": func() error { return s.Delete("demo") },
	} {
		err := use()
		var busy *BusyError
		if !errors.Is(err, ErrBusy) || !errors.As(err, &busy) || busy.PID != os.Getpid() || busy.Name != "demo" {
			t.Errorf("%s of a card in use: %v", name, err)
		}
	}
	list, err := s.List()
	if err != nil || !list[0].Busy || list[0].PID != os.Getpid() {
		t.Errorf("List is %+v, %v", list, err)
	}
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	if list, err = s.List(); err != nil || list[0].Busy {
		t.Errorf("List is %+v, %v", list, err)
	}
	if err := s.Delete("demo"); err != nil {
		t.Error(err)
	}
}

// TestCardInUseElsewhere: another process has the card; when it is killed, the
// card is free.
func TestCardInUseElsewhere(t *testing.T) {
	const variable = "CARDSIM_TEST_HOLD"
	if dir := os.Getenv(variable); dir != "" {
		card, err := NewStore(dir).Open("demo")
		if err != nil {
			t.Fatal(err)
		}
		defer card.Close()
		if err := os.WriteFile(filepath.Join(dir, "held"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // until killed
		return
	}
	s, dir := testStore(t)
	create(t, s, "demo", Options{})
	holder := exec.Command(os.Args[0], "-test.run=^TestCardInUseElsewhere$")
	holder.Env = append(os.Environ(), variable+"="+dir)
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for _, err := os.Stat(filepath.Join(dir, "held")); err != nil; _, err = os.Stat(filepath.Join(dir, "held")) {
		if time.Now().After(deadline) {
			t.Fatal("the other process did not open the card")
		}
		time.Sleep(5 * time.Millisecond)
	}
	_, err := s.Open("demo")
	var busy *BusyError
	if !errors.As(err, &busy) || busy.PID != holder.Process.Pid {
		t.Errorf("Open: %v, want process %d to hold it", err, holder.Process.Pid)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // it was killed
	card, err := s.Open("demo")
	if err != nil {
		t.Fatal(err)
	}
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCardNames(t *testing.T) {
	s, _ := testStore(t)
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".hidden", "-flag", "a b", "ä", strings.Repeat("x", 65), "a\x00"} {
		if err := s.Create(name, Options{}); !errors.Is(err, ErrName) {
			t.Errorf("Create(%q): %v", name, err)
		}
		if _, err := s.Open(name); !errors.Is(err, ErrName) {
			t.Errorf("Open(%q): %v", name, err)
		}
		if err := s.Delete(name); !errors.Is(err, ErrName) {
			t.Errorf("Delete(%q): %v", name, err)
		}
	}
}

func TestBadOptions(t *testing.T) {
	s, dir := testStore(t)
	for name, o := range map[string]Options{
		"application":       {Applications: []string{"nonsense"}},
		"application twice": {Applications: []string{"openpgp", "openpgp"}},
		"profile":           {Profile: "nonsense"},
		"serial":            {Serial: "1234567"},
		"serial not hex":    {Serial: "1234567g"},
		"latency":           {Latency: -time.Second},
		"latency too long":  {Latency: time.Hour},
	} {
		if err := s.Create("demo", o); err == nil {
			t.Errorf("%s: a card was made", name)
		}
		if _, err := NewCard(o); err == nil {
			t.Errorf("%s: NewCard made a card", name)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("%v is left over", entries)
	}
}

func TestDamagedState(t *testing.T) {
	s, dir := testStore(t)
	create(t, s, "demo", Options{})
	path := filepath.Join(dir, "demo.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string]string{
		"empty":               "",
		"cut":                 string(good[:len(good)/2]),
		"not JSON":            "-----BEGIN CERTIFICATE-----",
		"other JSON":          `{"version":2}`,
		"another schema":      strings.Replace(string(good), "/v1", "/v9", 1),
		"another application": strings.Replace(string(good), `"name": "openpgp"`, `"name": "coffee"`, 1),
		"two states":          string(good) + string(good),
		"no application":      `{"schema":"cardctl/simulated-card/v1","profile":"openpgp-3.4","serial":"00000001","applications":[]}`,
		"no PINs":             `{"schema":"cardctl/simulated-card/v1","profile":"openpgp-3.4","serial":"00000001","applications":[{"name":"openpgp","state":{}}]}`,
	} {
		if err := os.WriteFile(path, []byte(state), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Open("demo")
		if !errors.Is(err, ErrState) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		list, err := s.List()
		if err != nil || len(list) != 1 || list[0].Busy {
			t.Errorf("%s: List is %+v, %v", name, list, err)
		}
	}
	if err := s.Delete("demo"); err != nil {
		t.Error(err)
	}
}

func TestPowerLossOnDisk(t *testing.T) {
	s, dir := testStore(t)
	create(t, s, "demo", Options{})
	path := filepath.Join(dir, "demo.json")
	for _, test := range []struct {
		fault   Fault
		changed bool
	}{{PowerLossBeforeWrite(1), false}, {PowerLossAfterWrite(1), true}} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		card, err := s.Open("demo", test.fault)
		if err != nil {
			t.Fatal(err)
		}
		h := hold(t, card)
		h.selectOpenPGP()
		h.pulled("0020008106313131313131")
		if err := card.Close(); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if changed := string(before) != string(after); changed != test.changed {
			t.Errorf("the state changed: %v, want %v", changed, test.changed)
		}
	}
	card, err := s.Open("demo")
	if err != nil {
		t.Fatal(err)
	}
	defer card.Close()
	if _, err := card.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
}
