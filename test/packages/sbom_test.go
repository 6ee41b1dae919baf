//go:build packages

package packages

import (
	"debug/buildinfo"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type sbom struct {
	BOMFormat, SpecVersion, SerialNumber string
	Metadata                             struct {
		Timestamp string
		Component struct {
			Name   string
			Hashes []struct{ Alg, Content string }
		}
	}
	Components []struct {
		Name, Version, PURL string
		Licenses            []struct {
			License struct{ ID string }
		}
	}
}

// TestSBOMs compares each with what its program says of itself.
func TestSBOMs(t *testing.T) {
	for target, system := range map[string][]string{
		"linux_amd64":   {"libc.so.6", "libpcsclite.so.1"},
		"linux_arm64":   {"libc.so.6", "libpcsclite.so.1"},
		"windows_amd64": nil,
	} {
		t.Run(target, func(t *testing.T) {
			programs, err := filepath.Glob(filepath.Join(dist(t, "CARDCTL_DIST"), "cardctl_"+target+"*", "cardctl*"))
			if err != nil || len(programs) != 1 {
				t.Fatalf("%q, %v", programs, err)
			}
			want := linked(t, programs[0])
			for _, library := range system {
				want[library] = ""
			}
			got := map[string]string{}
			document := read(t, find(t, "cardctl_*_"+target+".cdx.json"))
			for _, component := range document.Components {
				got[component.Name] = component.Version
				if component.PURL != "" && (len(component.Licenses) != 1 || component.Licenses[0].License.ID == "") {
					t.Errorf("%s has no licence", component.Name)
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("has %v\nwant %v", got, want)
			}
			if sum := output(t, "sha256sum", programs[0]); !strings.HasPrefix(sum, document.Metadata.Component.Hashes[0].Content) {
				t.Errorf("is of another program")
			}
		})
	}
}

// linked are the modules of a program with their versions.
func linked(t *testing.T, program string) map[string]string {
	t.Helper()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]string{"std": strings.TrimPrefix(info.GoVersion, "go")}
	for _, module := range info.Deps {
		modules[module.Path] = module.Version
	}
	if !slices.Contains(slices.Collect(maps.Keys(modules)), "github.com/miekg/pkcs11") {
		t.Errorf("%s is without PKCS#11", program)
	}
	return modules
}

func read(t *testing.T, name string) sbom {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var document sbom
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	_, date := commit(t)
	switch {
	case document.BOMFormat != "CycloneDX" || document.SpecVersion != "1.6":
		t.Errorf("is %s %s", document.BOMFormat, document.SpecVersion)
	case document.SerialNumber != "":
		t.Errorf("has a serial number, which would be another one each time")
	case document.Metadata.Timestamp != date.Format("2006-01-02T15:04:05Z"):
		t.Errorf("is of %s", document.Metadata.Timestamp)
	case document.Metadata.Component.Name != "cardctl" || len(document.Metadata.Component.Hashes) != 1:
		t.Errorf("is of %+v", document.Metadata.Component)
	}
	return document
}
