package applet

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestInstallWish(t *testing.T) {
	o, err := InstallWish{
		Domain:  DomainWish{ISD: "A0 00 00 01 51 00 00 00", Diversification: "EMV", Level: "c-mac", KeyVersion: 3, RetryKeys: true},
		Applets: []string{"F00000000101"}, Instances: []string{"F0:00:00:00:01:02"}, Parameters: "01 02ff",
		Privileges: "default-selected", Memory: "code=0x100,data=20", LoadHash: "SHA256", Replace: true,
	}.Parse()
	if err != nil || o.Domain.ISD.String() != "A000000151000000" || o.Domain.Diversification != gp.DiversificationEMV || o.Domain.KeyVersion != 3 || !o.Domain.RetryKeys {
		t.Errorf("%+v, %v", o.Domain, err)
	}
	if aids(o.Applets) != "F00000000101" || aids(o.Instances) != "F00000000102" || len(o.Parameters) != 3 || o.Memory != (gp.Memory{Code: 256, Data: 20}) ||
		o.LoadHash != "sha256" || !o.Replace || o.DryRun || len(o.Privileges.Names()) != 1 {
		t.Errorf("%+v", o)
	}
}

func TestWishesThatCannotBe(t *testing.T) {
	for what, w := range map[string]InstallWish{
		"AID of the security domain": {Domain: DomainWish{ISD: "A0"}},
		"valid methods: emv":         {Domain: DomainWish{Diversification: "none of them"}},
		"security level":             {Domain: DomainWish{Level: "high"}},
		"AID of an applet is empty":  {Applets: []string{""}},
		"AID of an instance":         {Instances: []string{"F000"}},
		"install parameters":         {Parameters: "0G"},
		"privileges are not valid":   {Privileges: "all"},
		`"code=2"`:                   {Memory: "code=1,code=2"},
	} {
		if w.Domain.Level == "" {
			w.Domain.Level = "c-mac"
		}
		if _, err := w.Parse(); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := (DeleteWish{AID: "zz", Domain: DomainWish{Level: "c-mac"}}).Parse(); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
}
