//go:build cgo && unix

package mutation

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// together are mutations that are compiled at once, and the tests with them.
type together struct {
	root, dir string
	flag      string            // of go build
	switched  map[string]bool   // the mutations in it, by name
	binaries  map[string]string // of tests, by package
	passed    map[string]bool   // tests that pass without a mutation, by package and name
}

// compile compiles mutations and their tests, and runs the tests without a mutation. dir
// is empty.
func compile(ctx context.Context, root, dir string, mutations []mutation) (*together, error) {
	t := &together{root: root, dir: dir, binaries: map[string]string{}, passed: map[string]bool{}}
	if err := t.switchable(ctx, mutations); err != nil {
		return nil, err
	}
	tests := map[string][]string{}
	for _, m := range mutations {
		if t.switched[m.name] && !slices.Contains(tests[m.pkg], m.test) {
			tests[m.pkg] = append(tests[m.pkg], m.test)
		}
	}
	var waits sync.WaitGroup
	var writes sync.Mutex
	processors := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, pkg := range slices.Sorted(maps.Keys(tests)) {
		binary := filepath.Join(dir, strconv.Itoa(i)+".test")
		waits.Go(func() {
			processors <- struct{}{}
			defer func() { <-processors }()
			// What does not compile is not there: its mutations are run alone.
			if _, err := execute(ctx, root, t.variables(), "go", "test", "-c", "-vet=off", smaller, "-o", binary, "./"+pkg); err != nil {
				return
			}
			passed := t.passing(ctx, binary, pkg, tests[pkg])
			writes.Lock()
			defer writes.Unlock()
			t.binaries[pkg] = binary
			for _, test := range passed {
				t.passed[pkg+" "+test] = true
			}
		})
	}
	waits.Wait()
	return t, nil
}

func (t *together) variables(more ...string) []string { return append(more, "GOFLAGS="+t.flag) }

// switchable finds out which mutations can be switched. A package that does not compile
// with them is left as it is.
func (t *together) switchable(ctx context.Context, mutations []mutation) error {
	files := map[string][]mutation{}
	for _, m := range mutations {
		if filepath.Ext(m.file) == ".go" { // what is embedded has no switches
			files[m.file] = append(files[m.file], m)
		}
	}
	broken := map[string]bool{} // directories
	for {
		t.switched = map[string]bool{}
		overlay := newOverlay(t.dir)
		directories := map[string]bool{}
		for file, mutations := range files {
			if directory := filepath.Dir(file); !broken[directory] {
				directories["./"+directory] = true
				if err := t.addFile(overlay, mutations); err != nil {
					return err
				}
			}
		}
		var err error
		if t.flag, err = overlay.flag(); err != nil {
			return err
		}
		out, err := execute(ctx, t.root, t.variables(), "go", slices.Concat([]string{"build"}, slices.Sorted(maps.Keys(directories)))...)
		if err == nil {
			return nil
		}
		found := blamed.FindAllStringSubmatch(out, -1)
		if found == nil {
			return fmt.Errorf("the mutations do not compile: %w\n%s", err, out)
		}
		for _, match := range found {
			broken[match[1]] = true
		}
	}
}

// blamed is how go build begins what it says of a package.
var blamed = regexp.MustCompile(`(?m)^# github\.com/cardctl/cardctl/(\S+)$`)

// addFile puts a file with its mutations into the overlay, and the switch of its package.
func (t *together) addFile(o *overlay, mutations []mutation) error {
	source, err := mutations[0].source(t.root)
	if err != nil {
		return err
	}
	file, left, err := switched(source, mutations)
	if err != nil {
		return err
	}
	path := mutations[0].path(t.root)
	if err := o.put(path, file); err != nil {
		return err
	}
	for _, m := range mutations {
		t.switched[m.name] = !slices.Contains(left, m)
	}
	parsed, err := parse(source)
	if err != nil {
		return err
	}
	return o.put(filepath.Join(filepath.Dir(path), switchFile), fmt.Sprintf(switchSource, parsed.Name.Name))
}

// passing returns those tests that pass without a mutation. One that does not is run
// again alone.
func (t *together) passing(ctx context.Context, binary, pkg string, tests []string) (passed []string) {
	out, _ := t.test(ctx, binary, pkg, tests, t.variables(), "-test.v")
	for _, test := range tests {
		if !strings.Contains(out, "--- PASS: "+test+" ") {
			if _, err := t.test(ctx, binary, pkg, []string{test}, t.variables()); err != nil {
				continue
			}
		}
		passed = append(passed, test)
	}
	return passed
}

// test runs some tests of a binary where go test runs them.
func (t *together) test(ctx context.Context, binary, pkg string, tests, environment []string, flags ...string) (string, error) {
	return execute(ctx, filepath.Join(t.root, filepath.FromSlash(pkg)), environment, binary,
		append(flags, "-test.paniconexit0", "-test.timeout=10m", "-test.run", only(tests...))...)
}

// only is the pattern of tests. A test within another one has a pattern of its own, and is
// left out beside others.
func only(tests ...string) string {
	if len(tests) == 1 {
		return "^" + strings.ReplaceAll(tests[0], "/", "$/^") + "$"
	}
	whole := slices.DeleteFunc(slices.Clone(tests), func(test string) bool { return strings.Contains(test, "/") })
	return "^(" + strings.Join(whole, "|") + ")$"
}

// run switches a mutation on and runs its test.
func (t *together) run(ctx context.Context, m mutation) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return t.test(ctx, t.binaries[m.pkg], m.pkg, []string{m.test}, t.variables(environment+"="+m.name), "-test.failfast")
}
