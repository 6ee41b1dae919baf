package doctor

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/gnupg"
	"github.com/cardctl/cardctl/internal/problem"
)

// files are empty files of the machine, and those with a content after "=".
func files(list ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for _, f := range list {
		path, content, _ := strings.Cut(f, "=")
		m[path] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

// healthy is a machine on which nothing is wrong.
func healthy() Probe {
	return Probe{
		OS: "linux",
		Root: files("run/pcscd/pcscd.comm", "usr/sbin/pcscd", "proc/1/comm=init\n",
			"usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents/Info.plist",
			"sys/bus/usb/devices/1-4/product=Reader 1\n",
			"sys/bus/usb/devices/1-4/manufacturer=ACME\n",
			"sys/bus/usb/devices/1-4/idVendor=abcd\n",
			"sys/bus/usb/devices/1-4/idProduct=0001\n",
			"sys/bus/usb/devices/1-4:1.0/bInterfaceClass=0b\n",
			"sys/bus/usb/devices/1-5:1.0/bInterfaceClass=03\n"),
		Readers: func(context.Context) ([]Reader, error) {
			return []Reader{{Name: "ACME Reader 1 00 00", CardPresent: true}}, nil
		},
		Dial:    func(context.Context, string) error { return nil },
		Holders: func(context.Context) []Process { return nil },
		ManagedCards: func(context.Context) []ManagedCard {
			return []ManagedCard{{Reader: "ACME Reader 1 00 00", Kind: "Java card"}}
		},
		ExposedCards: func(context.Context) []ExposedCard {
			return []ExposedCard{{Reader: "ACME Reader 1 00 00", Kind: "PIV card"}}
		},
		Modules: func(context.Context) []ModuleStatus {
			return []ModuleStatus{{Name: "opensc", Path: "/lib/opensc-pkcs11.so", Tokens: 1}}
		},
		Programs: programs(Program{Name: "ssh", SetUp: []string{"home /home/me"}}, Program{Name: "git"}),
	}
}

// scdaemonRuns adds GnuPG's card daemon, with a scdaemon.conf.
func scdaemonRuns(p *Probe, settings string) {
	p.User = gnupg.User{ID: 1000, Home: "/home/me"}
	root := p.Root.(fstest.MapFS)
	for name, content := range map[string]string{
		"proc/77/comm": "scdaemon\n", "proc/77/cmdline": "scdaemon\x00--multi-server\x00", "proc/77/status": "Uid:\t1000\t1000\n",
		"home/me/.gnupg/scdaemon.conf": settings,
	} {
		root[name] = &fstest.MapFile{Data: []byte(content)}
	}
}

func noService(context.Context) ([]Reader, error) {
	return nil, problem.New(problem.NotFound, "the PC/SC service is not running").Advise(advice.Run("start", "it"))
}

func readers(list ...Reader) func(context.Context) ([]Reader, error) {
	return func(context.Context) ([]Reader, error) { return list, nil }
}

func modules(list ...ModuleStatus) func(context.Context) []ModuleStatus {
	return func(context.Context) []ModuleStatus { return list }
}

func programs(list ...Program) func() []Program { return func() []Program { return list } }

func find(t *testing.T, r Report, name string) Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %s in %+v", name, r)
	return Check{}
}

// words are what advice names.
func words(a advice.Advice) string {
	words := append(slices.Clone(a.Program), a.Sentence)
	for _, v := range a.Values {
		words = append(words, string(v.Field))
	}
	return strings.Join(words, " ")
}

func TestHealthy(t *testing.T) {
	r := Run(t.Context(), healthy())
	for _, c := range r.Checks {
		if c.Result != Pass || c.Detail == "" || !c.Next.IsZero() {
			t.Errorf("%+v", c)
		}
	}
	if !r.Passed || len(r.Checks) != 11 {
		t.Errorf("passed %v, %d checks", r.Passed, len(r.Checks))
	}
}

func TestChecks(t *testing.T) {
	tests := []struct {
		name   string
		spoil  func(*Probe)
		check  string
		want   Result
		detail string // a part
		hint   string // a part
	}{
		{"not installed", func(p *Probe) { p.Readers, p.Root = noService, files("proc/1/comm=init") },
			"pcsc-service", Fail, "not installed", "apt install pcscd"},
		{"not started", func(p *Probe) { p.Readers, p.Root = noService, files("usr/sbin/pcscd") },
			"pcsc-service", Fail, "not running", "sudo pcscd"},
		{"not started by systemd", func(p *Probe) { p.Readers, p.Root = noService, files("usr/sbin/pcscd", "run/systemd/system") },
			"pcsc-service", Fail, "not running", "systemctl enable --now pcscd.socket"},
		{"socket not ours", func(p *Probe) {
			p.Readers, p.Dial = noService, func(context.Context, string) error { return syscall.EACCES }
		}, "pcsc-service", Fail, "may not open", "ls -l /run/pcscd/pcscd.comm"},
		{"daemon died", func(p *Probe) {
			p.Readers, p.Dial = noService, func(context.Context, string) error { return syscall.ECONNREFUSED }
		}, "pcsc-service", Fail, "left its socket", "sudo pcscd"},
		{"polkit", func(p *Probe) { p.Readers = noService },
			"pcsc-service", Fail, "cannot be used", "user"},
		{"no programs", func(p *Probe) { p.Programs = programs() }, "programs", Skip, "no program", ""},
		{"program that lacks something", func(p *Probe) { p.Programs = programs(Program{Name: "nginx", Lacks: []string{"engine"}}) },
			"programs", Warn, "nginx (not set up by cardctl; lacks engine)", "apt install engine"},
		{"program with limits", func(p *Probe) { p.Programs = programs(Program{Name: "old", Limits: "RSA keys only"}) },
			"programs", Pass, "old (not set up by cardctl; RSA keys only)", ""},
		{"programs that lack the same", func(p *Probe) {
			p.Programs = programs(Program{Name: "nginx", Lacks: []string{"engine"}}, Program{Name: "git", Lacks: []string{"tools"}}, Program{Name: "apache", Lacks: []string{"engine"}})
		}, "programs", Warn, "git (not set up by cardctl; lacks tools)", "apt install engine tools"},
		{"built without", func(p *Probe) {
			p.Readers = func(context.Context) ([]Reader, error) {
				return nil, problem.New(problem.NotSupported, "no card readers").Advise(advice.Run("another", "build"))
			}
		}, "pcsc-service", Skip, "no card readers", "another build"},
		{"another system", func(p *Probe) { p.OS, p.Readers = "windows", noService },
			"pcsc-service", Fail, "not running", "start it"},

		{"no service", func(p *Probe) { p.Readers = noService }, "readers", Skip, "no PC/SC service", ""},
		{"no reader", func(p *Probe) { p.Readers = readers() }, "readers", Warn, "no reader", "wait"},

		{"keys of the factory", func(p *Probe) {
			p.ManagedCards = func(context.Context) []ManagedCard {
				return []ManagedCard{{"A", "Java card", false}, {"B", "Java card", true}, {"C", "Java card", true}}
			}
		}, "card-keys", Warn, "in: B; C", "generate"},
		{"a PIN of the factory", exposing(card.Exposure{Factory: []card.FactoryValue{
			{Name: "PIN", Change: advice.Do(advice.SetPIN, advice.Set(advice.App, "piv")).On("user")}, {Name: "PUK", Change: advice.Do(advice.SetPIN).On("puk")},
		}}), "factory-values", Warn, "The PIV card in B has factory values, which anyone knows: PIN, PUK.", "app"},
		{"a card that does not tell", exposing(card.Exposure{Unknown: []string{"PIN"}}), "factory-values", Skip, "does not report whether it has factory values: PIN.", ""},
		{"weak keys", exposing(card.Exposure{Weak: []string{"PIV.9A"}, Why: "CVE-1"}), "factory-values", Warn, "(CVE-1), unless they were imported: PIV.9A.", "key algorithm replace"},
		{"values of its own", exposing(card.Exposure{}), "factory-values", Pass, "The PIV card in B reports no factory values.", ""},
		{"no PIV card", func(p *Probe) { p.ExposedCards = func(context.Context) []ExposedCard { return nil } },
			"factory-values", Skip, "no idle card", ""},
		{"no Java card", func(p *Probe) { p.ManagedCards = func(context.Context) []ManagedCard { return nil } },
			"card-keys", Skip, "no idle card", ""},

		{"no card", func(p *Probe) { p.Readers = readers(Reader{Name: "A"}) }, "cards", Warn, "no card", "wait"},
		{"mute card", func(p *Probe) { p.Readers = readers(Reader{Name: "A", CardPresent: true, Mute: true}) },
			"cards", Warn, "in: A", "wait"},

		{"reader not served", func(p *Probe) { p.Readers = readers(Reader{Name: "Virtual"}) },
			"usb-readers", Warn, "ACME Reader 1 [abcd:0001]", "restart pcscd"},
		{"no driver", func(p *Probe) {
			p.Readers = readers()
			delete(p.Root.(fstest.MapFS), "usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents/Info.plist")
		}, "usb-readers", Fail, "ACME Reader 1", "apt install libccid"},
		{"reader, but no service", func(p *Probe) { p.Readers = noService }, "usb-readers", Skip, "ACME Reader 1", ""},
		{"no USB", func(p *Probe) { p.Root = files("proc/1/comm=init") }, "usb-readers", Skip, "does not list", ""},

		{"kernel module", func(p *Probe) {
			p.Root.(fstest.MapFS)["sys/module/pn533_usb/refcnt"] = &fstest.MapFile{}
			p.Root.(fstest.MapFS)["sys/module/nfc/refcnt"] = &fstest.MapFile{}
		}, "kernel-modules", Warn, "pn533_usb, nfc", "modprobe -r pn533_usb nfc"},

		{"held by scdaemon", func(p *Probe) {
			p.Readers = readers(Reader{Name: "A", CardPresent: true, Exclusive: true})
			p.Holders = func(context.Context) []Process { return []Process{{7, "scdaemon"}, {8, "firefox"}} }
		}, "card-holders", Warn, "scdaemon (process 7), firefox (process 8)", "gpgconf --kill scdaemon"},
		{"held by somebody", func(p *Probe) { p.Readers = readers(Reader{Name: "A", CardPresent: true, Exclusive: true}) },
			"card-holders", Warn, "in: A", "Close the program"},
		{"connected only", func(p *Probe) { p.Holders = func(context.Context) []Process { return []Process{{8, "firefox"}} } },
			"card-holders", Pass, "firefox (process 8)", ""},

		{"scdaemon shares, another holds", func(p *Probe) {
			p.Readers = readers(Reader{Name: "A", CardPresent: true, Exclusive: true})
			p.Holders = func(context.Context) []Process { return []Process{{8, "firefox"}, {7, "scdaemon"}} }
		}, "card-holders", Warn, "firefox (process 8)", "Close the program"},

		{"scdaemon runs", func(p *Probe) { scdaemonRuns(p, "disable-ccid\n") },
			"scdaemon", Warn, "process 77); it holds a card that it uses exclusively. With pcsc-shared in its scdaemon.conf, it shares cards", "gpgconf --kill scdaemon"},
		{"scdaemon shares", func(p *Probe) { scdaemonRuns(p, "disable-ccid\npcsc-shared\n") },
			"scdaemon", Pass, "it shares cards, because", ""},
		{"scdaemon shares, with its own driver", func(p *Probe) { scdaemonRuns(p, "pcsc-shared\n") },
			"scdaemon", Warn, "has pcsc-shared. Without disable-ccid there, it may take a USB reader", "gpgconf --kill scdaemon"},
		{"scdaemon does not share yet", func(p *Probe) {
			scdaemonRuns(p, "disable-ccid\npcsc-shared\n")
			p.Readers = readers(Reader{Name: "A", CardPresent: true, Exclusive: true})
		}, "scdaemon", Warn, "only when it starts", "gpgconf --kill scdaemon"},
		{"scdaemon of another user", func(p *Probe) {
			scdaemonRuns(p, "pcsc-shared\n")
			p.User.ID = 1001
		}, "scdaemon", Warn, "unless its scdaemon.conf has pcsc-shared. That file cannot be read", "gpgconf --kill scdaemon"},
		{"scdaemon has a reader", func(p *Probe) {
			scdaemonRuns(p, "")
			p.Root.(fstest.MapFS)["proc/77/fd/9"] = &fstest.MapFile{Data: []byte("/dev/bus/usb/001/004"), Mode: fs.ModeSymlink}
		}, "scdaemon", Warn, "With disable-ccid in its scdaemon.conf, it uses that service", "gpgconf --kill scdaemon"},
		{"scdaemon has the reader", func(p *Probe) {
			scdaemonRuns(p, "")
			p.Readers = readers()
			p.Root.(fstest.MapFS)["proc/77/fd/9"] = &fstest.MapFile{Data: []byte("/dev/bus/usb/001/004"), Mode: fs.ModeSymlink}
		}, "usb-readers", Fail, "GnuPG's card daemon drives a USB reader itself", "gpgconf --kill scdaemon"},
		{"scdaemon has no reader", func(p *Probe) {
			scdaemonRuns(p, "")
			p.Readers = readers()
			p.Root.(fstest.MapFS)["proc/77/fd/9"] = &fstest.MapFile{Data: []byte("socket:[4001]"), Mode: fs.ModeSymlink}
		}, "usb-readers", Warn, "may need its maker's driver", "restart pcscd"},
		{"scdaemon is over", func(p *Probe) {
			root := p.Root.(fstest.MapFS)
			root["proc/77/comm"], root["proc/77/cmdline"] = &fstest.MapFile{Data: []byte("scdaemon\n")}, &fstest.MapFile{}
		}, "scdaemon", Pass, "not running", ""},

		{"no module", func(p *Probe) { p.Modules = modules() }, "pkcs11-modules", Warn, "no PKCS#11 module", "apt install opensc-pkcs11"},
		{"no module on another system", func(p *Probe) { p.OS, p.Modules = "darwin", modules() }, "pkcs11-modules", Warn, "no PKCS#11 module", "module"},
		{"broken module", func(p *Probe) { p.Modules = modules(ModuleStatus{Name: "x", Err: fs.ErrNotExist}) },
			"pkcs11-modules", Fail, "x (cannot be used: file does not exist)", "apt install"},
		{"module with limits", func(p *Probe) { p.Modules = modules(ModuleStatus{Name: "scute", Path: "/scute.so", Tokens: -1}) },
			"pkcs11-modules", Pass, "scute /scute.so (RSA keys only)", ""},
		{"one of two broken", func(p *Probe) {
			p.Modules = modules(ModuleStatus{Name: "x", Err: fs.ErrNotExist}, ModuleStatus{Name: "y", Path: "/y.so"})
		}, "pkcs11-modules", Warn, "y /y.so (0 tokens)", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := healthy()
			test.spoil(&p)
			r := Run(t.Context(), p)
			c := find(t, r, test.check)
			if c.Result != test.want || !strings.Contains(c.Detail, test.detail) || !strings.Contains(words(c.Next), test.hint) || (test.hint == "") != c.Next.IsZero() {
				t.Errorf("%+v", c)
			}
			failed := slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Result == Fail })
			if r.Passed == failed {
				t.Errorf("passed %v beside %+v", r.Passed, r.Checks)
			}
		})
	}
}

func TestRunCanceled(t *testing.T) {
	p := healthy()
	ctx, cancel := context.WithCancel(t.Context())
	p.Readers = func(context.Context) ([]Reader, error) { cancel(); return nil, errors.ErrUnsupported }
	if r := Run(ctx, p); r.Passed || len(r.Checks) != 1 {
		t.Errorf("%+v", r)
	}
}

// exposing is a machine with a card that tells this.
func exposing(told card.Exposure) func(*Probe) {
	return func(p *Probe) {
		p.ExposedCards = func(context.Context) []ExposedCard { return []ExposedCard{{"B", "PIV card", told}} }
	}
}
