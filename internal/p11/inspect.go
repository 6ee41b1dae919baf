package p11

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// entryPoint is the one function that every PKCS#11 module exports
// (PKCS#11 2.40, 5.4).
const entryPoint = "C_GetFunctionList"

var (
	errNoLibrary    = errors.New("it is not a shared library for this system")
	errOtherMachine = errors.New("it is built for another architecture")
	errNoModule     = errors.New("it is a shared library without " + entryPoint + ", which every PKCS#11 module has")
)

// Inspect looks, without loading it, whether a file can be a PKCS#11 module for
// this program: a shared library, for this architecture, that exports
// C_GetFunctionList. It is a problem.Mismatch where not, a problem.NotFound
// where there is no file.
func Inspect(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return noFile(path)
	case err != nil:
		return problem.Wrap(problem.Failed, err, "PKCS#11 module "+path)
	case !info.Mode().IsRegular(): // opening a pipe would wait for its other end
		return notAModule(path, errNoLibrary)
	}
	file, err := os.Open(path)
	if err != nil {
		return problem.Wrap(problem.Failed, err, "PKCS#11 module "+path)
	}
	defer func() { _ = file.Close() }()

	switch runtime.GOOS {
	case "windows":
		err = inspectPE(file)
	case "darwin", "ios":
		err = inspectMachO(file)
	default:
		err = inspectELF(file)
	}
	if err != nil {
		return notAModule(path, err)
	}
	return nil
}

func noFile(path string) error {
	return problem.New(problem.NotFound, "the PKCS#11 module %s does not exist", path).
		Because("No file has this path.").
		Advise(advice.Do(advice.Diagnose))
}

func notAModule(path string, reason error) error {
	p := problem.New(problem.Mismatch, "%s is not a PKCS#11 module", path).
		Because("%s: %s.", filepath.Base(path), reason).
		Advise(advice.Do(advice.Diagnose))
	p.Cause = reason
	return p
}

func inspectELF(file io.ReaderAt) error {
	f, err := elf.NewFile(file)
	if err != nil || f.Type != elf.ET_DYN {
		return errNoLibrary
	}
	want, known := map[string]struct {
		class   elf.Class
		machine elf.Machine
		data    elf.Data
	}{
		"386":     {elf.ELFCLASS32, elf.EM_386, elf.ELFDATA2LSB},
		"amd64":   {elf.ELFCLASS64, elf.EM_X86_64, elf.ELFDATA2LSB},
		"arm":     {elf.ELFCLASS32, elf.EM_ARM, elf.ELFDATA2LSB},
		"arm64":   {elf.ELFCLASS64, elf.EM_AARCH64, elf.ELFDATA2LSB},
		"loong64": {elf.ELFCLASS64, elf.EM_LOONGARCH, elf.ELFDATA2LSB},
		"ppc64le": {elf.ELFCLASS64, elf.EM_PPC64, elf.ELFDATA2LSB},
		"riscv64": {elf.ELFCLASS64, elf.EM_RISCV, elf.ELFDATA2LSB},
		"s390x":   {elf.ELFCLASS64, elf.EM_S390, elf.ELFDATA2MSB},
	}[runtime.GOARCH]
	if known && (f.Class != want.class || f.Machine != want.machine || f.Data != want.data) {
		return fmt.Errorf("%w (%s, %s)", errOtherMachine, f.Class, f.Machine)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return errNoModule
	}
	for _, s := range symbols {
		if s.Name == entryPoint && s.Section != elf.SHN_UNDEF {
			return nil
		}
	}
	return errNoModule
}

// inspectMachO reads a library for one architecture, or for several.
func inspectMachO(file io.ReaderAt) error {
	want := macho.CpuAmd64
	if runtime.GOARCH == "arm64" {
		want = macho.CpuArm64
	}
	if fat, err := macho.NewFatFile(file); err == nil {
		for _, arch := range fat.Arches {
			if arch.Cpu == want {
				return inspectMachOFile(arch.File)
			}
		}
		return errOtherMachine
	}
	f, err := macho.NewFile(file)
	if err != nil {
		return errNoLibrary
	}
	if f.Cpu != want {
		return errOtherMachine
	}
	return inspectMachOFile(f)
}

func inspectMachOFile(f *macho.File) error {
	if f.Type != macho.TypeDylib && f.Type != macho.TypeBundle {
		return errNoLibrary
	}
	if f.Symtab == nil {
		return nil // stripped: the export trie has it, and the loader will tell
	}
	for _, s := range f.Symtab.Syms {
		if s.Name == "_"+entryPoint {
			return nil
		}
	}
	return errNoModule
}

// inspectPE does not read the exports, which debug/pe leaves alone; the loader
// will tell.
func inspectPE(file io.ReaderAt) error {
	f, err := pe.NewFile(file)
	if err != nil || f.Characteristics&pe.IMAGE_FILE_DLL == 0 {
		return errNoLibrary
	}
	want, known := map[string]uint16{
		"386":   pe.IMAGE_FILE_MACHINE_I386,
		"amd64": pe.IMAGE_FILE_MACHINE_AMD64,
		"arm64": pe.IMAGE_FILE_MACHINE_ARM64,
	}[runtime.GOARCH]
	if known && f.Machine != want {
		return errOtherMachine
	}
	return nil
}
