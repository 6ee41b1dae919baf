package applet

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/problem"
)

func large() source { s := sample(); s.method = 19000; return s }

func TestInstall(t *testing.T) {
	card := newFakeCard(t)
	f := large().file(t)
	size := len(f.LoadFile(false, false))
	n := (size + 4 + 246) / 247
	var last Progress
	p, err := card.access(defaultKey, t.TempDir()).install(t, InstallOptions{
		File: f, Parameters: []byte{1, 2}, LoadHash: "auto",
		Progress: func(p Progress) {
			if p.Total > 0 {
				last = p
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if card.count > n+8 || p.Blocks != n || last.Sent != size || last.Total != size {
		t.Errorf("%d commands for %d blocks; %+v; progress %+v", card.count, n, p, last)
	}
	if len(card.apps) != 1 || len(card.files) != 1 || card.files[0].size != size {
		t.Errorf("%+v", card)
	}
	l, err := card.access(defaultKey, "").list(t)
	if err != nil || len(l.Applications) != 1 || len(l.Packages) != 1 || len(l.Domains) != 1 || l.KeyVersion != 255 || l.State != "OP_READY" {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestInstallKeepsCount has cards that cost a command more than others: one that
// does not say what it speaks, and one with test keys that are not the
// factory's, which is written down by its serial.
func TestInstallKeepsCount(t *testing.T) {
	for name, change := range map[string]func(*fakeCard){
		"plain":            func(*fakeCard) {},
		"silent":           func(c *fakeCard) { c.silent = true },
		"test keys":        func(c *fakeCard) { c.version = 1 },
		"without a serial": func(c *fakeCard) { c.serial = 0 },
	} {
		card := newFakeCard(t)
		change(card)
		p, err := card.access(defaultKey, t.TempDir()).install(t, InstallOptions{File: large().file(t)})
		if err != nil || card.count > p.Blocks+8 {
			t.Errorf("%s: %d commands for %d blocks, %v", name, card.count, p.Blocks, err)
		}
	}
}

func TestListTakesFewCommands(t *testing.T) {
	card := newFakeCard(t)
	if _, err := card.access(defaultKey, t.TempDir()).list(t); err != nil || card.count > 8 {
		t.Errorf("%d commands, %v", card.count, err)
	}
}

// TestInstallInExtendedLength has cards that take all, some and none of what
// they announce.
func TestInstallInExtendedLength(t *testing.T) {
	f := large().file(t)
	size := len(f.LoadFile(false, false))
	for name, test := range map[string]struct{ longest, most int }{
		"any length": {0, 8 + size/2000}, "2048 bytes": {2048, 12 + 1 + size/2000 + 4}, "none": {255, 8 + size/247 + 1 + 12},
	} {
		t.Run(name, func(t *testing.T) {
			card := newFakeCard(t)
			card.announce, card.longest = true, test.longest
			_, err := card.access(defaultKey, "").install(t, InstallOptions{File: f})
			if err != nil || len(card.apps) != 1 || card.count > test.most {
				t.Errorf("%d commands, at most %d: %v", card.count, test.most, err)
			}
		})
	}
}

func TestInstallRefusals(t *testing.T) {
	two := sample()
	two.applets = []string{"F00000000101", "F00000000102"}
	needs := sample()
	needs.imports = append(needs.imports, "0001 06 F00000000201")
	newer := sample()
	newer.imports = append(newer.imports, "0101 06 F00000000201")
	library := sample()
	library.applets, library.flags = nil, 0
	huge := sample()
	huge.method = 64000
	other := []fakeApp{{aid: unhex(t, "F00000000101"), file: unhex(t, "F0000000FF")}}
	for name, test := range map[string]struct {
		file   source
		change func(*InstallOptions, *fakeCard)
		code   problem.Code
		text   string
	}{
		"several applets and none named": {two, func(*InstallOptions, *fakeCard) {}, problem.Usage, "F00000000102"},
		"an applet that is not there":    {sample(), func(o *InstallOptions, _ *fakeCard) { o.Applets = []gp.AID{{1, 2, 3, 4, 5}} }, problem.Mismatch, "no applet 0102030405"},
		"an instance AID of 4 bytes":     {sample(), func(o *InstallOptions, _ *fakeCard) { o.Instances = []gp.AID{{1, 2, 3, 4}} }, problem.Usage, "4 bytes"},
		"an instance AID of 17 bytes":    {sample(), func(o *InstallOptions, _ *fakeCard) { o.Instances = []gp.AID{make(gp.AID, 17)} }, problem.Usage, "17 bytes"},
		"the AID of its package":         {sample(), func(o *InstallOptions, _ *fakeCard) { o.Instances = []gp.AID{o.File.Package.AID} }, problem.Usage, "AID of its package"},
		"an instance of a library":       {library, func(o *InstallOptions, _ *fakeCard) { o.Instances = []gp.AID{{1, 2, 3, 4, 5}} }, problem.Usage, "1 instance AIDs for 0 applets"},
		"more instances than applets":    {sample(), func(o *InstallOptions, _ *fakeCard) { o.Instances = []gp.AID{{1, 2, 3, 4, 5}, {1, 2, 3, 4, 6}} }, problem.Usage, "2 instance"},
		"too many parameters":            {sample(), func(o *InstallOptions, _ *fakeCard) { o.Parameters = make([]byte, 230) }, problem.Usage, "at most 247 get through"},
		"an unknown hash":                {sample(), func(o *InstallOptions, _ *fakeCard) { o.LoadHash = "md5" }, problem.Usage, "md5"},
		"too many blocks":                {huge, func(*InstallOptions, *fakeCard) {}, problem.Mismatch, "256 blocks"},
		"an import that is not there":    {needs, func(*InstallOptions, *fakeCard) {}, problem.NotFound, "F00000000201"},
		"an import that is too old": {newer, func(_ *InstallOptions, c *fakeCard) {
			c.files = []fakeFile{{aid: unhex(c.t, "F00000000201")}}
		}, problem.Mismatch, "imports F00000000201 1.1, and the card has 1.0"},
		"an application with the AID of the package": {sample(), func(_ *InstallOptions, c *fakeCard) {
			c.apps = []fakeApp{{aid: unhex(c.t, "F000000001"), file: unhex(c.t, "F0000000FF")}}
		}, problem.Refused, "has the AID of the package"},
		"an instance of another package": {sample(), func(_ *InstallOptions, c *fakeCard) { c.apps = other }, problem.Refused, "F0000000FF"},
		"that, and --replace":            {sample(), func(o *InstallOptions, c *fakeCard) { c.apps, o.Replace = other, true }, problem.Refused, "F0000000FF"},
		"the package is there": {sample(), func(_ *InstallOptions, c *fakeCard) {
			c.files = []fakeFile{{aid: unhex(c.t, "F000000001")}}
		}, problem.Refused, "already on the card"},
		"INSTALL is refused": {sample(), func(_ *InstallOptions, c *fakeCard) { c.refuse[0xE6] = 0x6A80 }, problem.Failed, "Nothing on the card was changed"},
		"no room":            {large(), func(_ *InstallOptions, c *fakeCard) { c.memory = 5000 }, problem.Failed, "5000 are free"},
		"no room beside others": {large(), func(_ *InstallOptions, c *fakeCard) {
			c.memory, c.apps = 5000, []fakeApp{{aid: unhex(c.t, "F00000000301"), file: unhex(c.t, "F000000003")}}
		}, problem.Failed, "5000 are free"},
		"a signature is wanted": {sample(), func(_ *InstallOptions, c *fakeCard) {
			c.apps = []fakeApp{{aid: unhex(c.t, "F0000000DA"), file: unhex(c.t, "A0000001515350"), privileges: []byte{0xC1}}}
			c.refuse[0xE6] = 0x6A80
		}, problem.NotSupported, "F0000000DA verifies a signature"},
		"wrong keys":      {sample(), func(_ *InstallOptions, c *fakeCard) { c.keys[0] = bytes.Clone(c.keys[0]); c.keys[0][0] ^= 0x80 }, problem.KeysIncorrect, "wrong"},
		"no such version": {sample(), func(o *InstallOptions, _ *fakeCard) { o.Domain.KeyVersion = 5 }, problem.NotFound, "version 5"},
	} {
		t.Run(name, func(t *testing.T) {
			card := newFakeCard(t)
			o := InstallOptions{File: test.file.file(t)}
			test.change(&o, card)
			files, apps := len(card.files), len(card.apps)
			r := card.access(defaultKey, "")
			r.domain = o.Domain
			_, err := r.install(t, o)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != test.code || !strings.Contains(p.Error(), test.text) {
				t.Errorf("%v", err)
			}
			log := strings.Join(card.log, " ")
			if len(card.files) != files || len(card.apps) != apps || strings.Contains(log, "E60C") || strings.Contains(log, "E8") || strings.Contains(log, "E4") {
				t.Errorf("the card was changed: %v", log)
			}
		})
	}
}

// TestKeysThatAreNot sees that what was given for keys is not repeated.
func TestKeysThatAreNot(t *testing.T) {
	card := newFakeCard(t)
	_, err := card.access("secretsecret", "").install(t, InstallOptions{File: sample().file(t)})
	if !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "hexadecimal") || strings.Contains(err.Error(), "secretsecret") {
		t.Error(err)
	}
}

func TestReplace(t *testing.T) {
	card := newFakeCard(t)
	o := InstallOptions{File: sample().file(t), Replace: true}
	for range 2 {
		if _, err := card.access(defaultKey, "").install(t, o); err != nil {
			t.Fatal(err)
		}
	}
	if len(card.files) != 1 || len(card.apps) != 1 {
		t.Errorf("%+v", card)
	}
	card.alone = true
	if _, err := card.access(defaultKey, "").install(t, o); err != nil || len(card.files) != 1 || len(card.apps) != 1 {
		t.Errorf("a card that deletes one thing at a time: %+v, %v", card, err)
	}
}

// TestReplaceLosesNothingThatStays has a package that another one imports: it
// cannot be deleted, so its instances are not either.
func TestReplaceLosesNothingThatStays(t *testing.T) {
	card := withSample(t)
	card.imported = true
	_, err := card.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t), Replace: true})
	if err == nil || !strings.Contains(err.Error(), unchanged) || len(card.apps) != 1 || len(card.files) != 1 {
		t.Errorf("%v, %+v", err, card)
	}
}

// TestReplaceSaysWhatIsGone has a card that refuses the new package when the old
// one is deleted.
func TestReplaceSaysWhatIsGone(t *testing.T) {
	card := withSample(t)
	card.refuse[0xE8] = 0x6A80
	_, err := card.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t), Replace: true})
	if err == nil || !strings.Contains(err.Error(), "F00000000101, F000000001 were deleted, with the keys and data in them. What was loaded was deleted again.") || len(card.files) != 0 {
		t.Errorf("%v, %+v", err, card)
	}
}

func TestSeveralApplets(t *testing.T) {
	two := sample()
	two.applets = []string{"F00000000101", "F00000000102"}
	card, f := newFakeCard(t), two.file(t)
	p, err := card.access(defaultKey, "").install(t, InstallOptions{File: f, Applets: f.Applets, Instances: []gp.AID{unhex(t, "F0000000AA01")}})
	if err != nil || len(card.apps) != 2 || p.Instances[0].AID.String() != "F0000000AA01" || p.Instances[1].AID.String() != "F00000000102" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestDryRun(t *testing.T) {
	card := newFakeCard(t)
	p, err := card.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t), DryRun: true})
	if err != nil || len(card.files) != 0 || p.Memory == nil || p.Blocks == 0 {
		t.Errorf("%+v, %v", p, err)
	}
	card.memory = 100
	_, err = card.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t), DryRun: true})
	if !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "100 are free") {
		t.Error(err)
	}
}

// TestFailedStepsAreCleanedUp refuses each step.
func TestFailedStepsAreCleanedUp(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*fakeCard)
		text   string
	}{
		"a full card":  {func(c *fakeCard) { c.memory, c.boasts = 5000, 20000 }, "The card reports that 25000 are free"},
		"LOAD refused": {func(c *fakeCard) { c.refuse[0xE8] = 0x6985 }, "LOAD"},
	} {
		t.Run(name, func(t *testing.T) {
			card := newFakeCard(t)
			test.change(card)
			_, err := card.access(defaultKey, "").install(t, InstallOptions{File: large().file(t)})
			if err == nil || len(card.files) != 0 || len(card.apps) != 0 || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(test.text)) ||
				!strings.Contains(err.Error(), "deleted again") {
				t.Errorf("%v", err)
			}
		})
	}
	card := newFakeCard(t)
	hook := &refuseSecond{fakeCard: card}
	a := card.access(defaultKey, "")
	a.card = hook
	_, err := a.install(t, InstallOptions{File: sample().file(t)})
	if err == nil || len(card.files) != 0 || !strings.Contains(err.Error(), "deleted again") || !strings.Contains(err.Error(), "install and make selectable") {
		t.Errorf("%v, %+v", err, card.files)
	}
	card.refuse[0xE4] = 0x6985
	a = card.access(defaultKey, "")
	a.card = &refuseSecond{fakeCard: card}
	_, err = a.install(t, InstallOptions{File: sample().file(t)})
	var p *problem.Error
	if !errors.As(err, &p) || len(card.files) != 1 || !strings.Contains(err.Error(), "The package F000000001 may be on the card.") || p.Next.Action != advice.ListApplets {
		t.Errorf("%v", err)
	}
}

// refuseSecond is a card that refuses INSTALL [for install].
type refuseSecond struct{ *fakeCard }

func (r *refuseSecond) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if apdu[1] == 0xE6 && apdu[2] == 0x0C {
		return []byte{0x69, 0x85}, nil
	}
	return r.fakeCard.Transmit(ctx, apdu)
}

// TestPulledEverywhere pulls the card at every command of install, delete and
// set-keys; afterwards list works, and the same command completes or says what
// is there.
func TestPulledEverywhere(t *testing.T) {
	f := sample().file(t)
	for at := 0; ; at++ {
		card := newFakeCard(t)
		state := t.TempDir()
		install := func() error {
			_, err := card.access(defaultKey, state).install(t, InstallOptions{File: f, Replace: true})
			return err
		}
		card.pulled = at
		err := install()
		card.pulled = -1
		if err == nil {
			break
		}
		if !problem.Is(err, problem.CardRemoved) {
			t.Fatalf("pulled at %d: %v", at, err)
		}
		if _, err := card.access(defaultKey, state).list(t); err != nil {
			t.Fatalf("pulled at %d, list: %v", at, err)
		}
		if err := install(); err != nil || len(card.apps) != 1 || len(card.files) != 1 {
			t.Fatalf("pulled at %d, again: %v, %+v", at, err, card)
		}
		card.pulled = at
		_, err = card.access(defaultKey, state).delete(t, DeleteOptions{AID: f.Package.AID, WithApplets: true})
		card.pulled = -1
		if err != nil {
			_, err = card.access(defaultKey, state).delete(t, DeleteOptions{AID: f.Package.AID, WithApplets: true})
			if err != nil && !problem.Is(err, problem.NotFound) || len(card.files) != 0 || len(card.apps) != 0 {
				t.Fatalf("pulled at %d, delete again: %v", at, err)
			}
		}
	}
}

func TestDelete(t *testing.T) {
	card := newFakeCard(t)
	f := sample().file(t)
	install := func() {
		t.Helper()
		if _, err := card.access(defaultKey, "").install(t, InstallOptions{File: f}); err != nil {
			t.Fatal(err)
		}
	}
	install()
	remove := func(aid gp.AID, with bool) error {
		_, err := card.access(defaultKey, "").delete(t, DeleteOptions{AID: aid, WithApplets: with})
		return err
	}
	if err := remove(f.Package.AID, false); !problem.Is(err, problem.Refused) || len(card.files) != 1 || !strings.Contains(err.Error(), "F00000000101") {
		t.Error(err)
	}
	if err := remove(f.Applets[0], false); err != nil || len(card.apps) != 0 || len(card.files) != 1 {
		t.Error(err)
	}
	if err := remove(f.Package.AID, false); err != nil || len(card.files) != 0 {
		t.Error(err)
	}
	install()
	if err := remove(f.Package.AID, true); err != nil || len(card.files) != 0 || len(card.apps) != 0 {
		t.Error(err)
	}
	if err := remove(f.Package.AID, true); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
	if err := remove(unhex(t, "A000000151000000"), true); !problem.Is(err, problem.Refused) {
		t.Error(err)
	}
	refused := problem.New(problem.Refused, "no")
	install()
	_, err := card.access(defaultKey, "").confirmed(func(context.Context, desk.Question) error { return refused }).
		delete(t, DeleteOptions{AID: f.Package.AID, WithApplets: true})
	if !problem.Is(err, problem.Refused) || len(card.files) != 1 {
		t.Error(err)
	}
}

// TestGuard sees that keys which failed once are not tried again, on this card
// and on no other, until they are insisted on and are right. A card without a serial
// of its chip is known by its image number.
func TestGuard(t *testing.T) {
	for _, number := range []byte{0, 9} {
		state := t.TempDir()
		card := newFakeCard(t)
		if card.number = number; number != 0 {
			card.serial, card.twin = 0, 3
		}
		wrong := strings.Repeat("11", 16)
		if _, err := card.access(wrong, state).list(t); !problem.Is(err, problem.KeysIncorrect) {
			t.Fatal(err)
		}
		if _, err := card.access(defaultKey, state).list(t); !problem.Is(err, problem.PINBlocked) || card.failed > 0 {
			t.Errorf("a second try: %v", err)
		}
		other := newFakeCard(t)
		other.serial = 7
		if _, err := other.access(defaultKey, state).list(t); err != nil {
			t.Errorf("another card: %v", err)
		}
		if _, err := card.access(wrong, state).insisting().list(t); !problem.Is(err, problem.KeysIncorrect) {
			t.Error(err)
		}
		if _, err := card.access(defaultKey, state).insisting().list(t); err != nil {
			t.Error(err)
		}
		if _, err := card.access(defaultKey, state).list(t); err != nil {
			t.Errorf("after the right keys: %v", err)
		}
		entries, _ := os.ReadDir(filepath.Join(state, "card-keys"))
		if len(entries) != 0 {
			t.Errorf("%v stays", entries)
		}
	}
}

// TestCardsWithoutASerialShareNoRecord: what failed on one says nothing of another
// that looks the same, and the error says that nothing is recorded.
func TestCardsWithoutASerialShareNoRecord(t *testing.T) {
	state := t.TempDir()
	first, second := newFakeCard(t), newFakeCard(t)
	for _, card := range []*fakeCard{first, second} {
		card.serial, card.twin = 0, 7
	}
	_, err := first.access(strings.Repeat("11", 16), state).list(t)
	if !problem.Is(err, problem.KeysIncorrect) || !strings.Contains(err.Error(), "reports no serial") || strings.Contains(err.Error(), "no more keys") {
		t.Error(err)
	}
	if _, err := second.access(defaultKey, state).list(t); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(filepath.Join(state, "card-keys")); len(entries) != 0 {
		t.Errorf("recorded: %v", entries)
	}
}

// TestCleaningUpLeavesOthersAlone has a card with a package that nothing was
// installed from, and that INSTALL [for load] does not notice: the end of the
// upload is refused, and the package stays.
func TestCleaningUpLeavesOthersAlone(t *testing.T) {
	card := newFakeCard(t)
	card.files, card.careless = []fakeFile{{aid: unhex(t, "F000000001")}}, true
	_, err := card.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t)})
	if err == nil || len(card.files) != 1 || !strings.Contains(err.Error(), "may be on the card") {
		t.Errorf("%v, %+v", err, card.files)
	}
}

// TestOthersCardsCostNothing remembers another card whose keys failed: the one
// that is worked on is told from it without a command more.
func TestOthersCardsCostNothing(t *testing.T) {
	state, other := t.TempDir(), newFakeCard(t)
	other.serial = 7
	if _, err := other.access("00112233445566778899AABBCCDDEEFF", state).list(t); !problem.Is(err, problem.KeysIncorrect) {
		t.Fatal(err)
	}
	card, f := newFakeCard(t), large().file(t)
	p, err := card.access(defaultKey, state).install(t, InstallOptions{File: f})
	if err != nil || card.count > p.Blocks+8 || p.Memory == nil {
		t.Errorf("%d commands for %d blocks, %+v, %v", card.count, p.Blocks, p, err)
	}
	// One whose key diversification data are the same is told by its serial.
	twin := newFakeCard(t)
	twin.twin = 7
	if _, err := twin.access(defaultKey, state).list(t); err != nil {
		t.Error(err)
	}
	if _, err := other.access(defaultKey, state).list(t); !problem.Is(err, problem.PINBlocked) || other.failed > 0 {
		t.Errorf("the other card: %v", err)
	}
}
