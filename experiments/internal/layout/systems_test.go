package layout

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The types of all code and of all tests are right on the systems that no machine of the checks
// has, and those of the playground in a browser. Compiling what they import would take minutes.
func TestOtherSystems(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the sources of all that is imported")
	}
	watch(t)
	for _, c := range []struct{ system, processor, what string }{
		{"darwin", "arm64", "./..."},
		{"linux", "arm64", "./..."},
		{"windows", "amd64", "./..."},
		{"js", "wasm", "-tags=simd128 ./experiments/playground/page ./graph/blas ./graph/kernel"},
	} {
		t.Run(c.system+"/"+c.processor, func(t *testing.T) {
			t.Parallel()
			for _, err := range typeErrors(t, c.system, c.processor, strings.Fields(c.what)) {
				t.Error(err)
			}
		})
	}
}

// source is what go list says of a package or of one of its tests.
type source struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	ImportMap  map[string]string // to packages of other names, such as those of tests
	Module     *struct{ Main bool }
	Error      *struct{ Err string }
}

// typeErrors checks the types of packages, named as for go list, on a system.
func typeErrors(t *testing.T, system, arch string, packages []string) (found []error) {
	of := []string{"list", "-deps", "-test", "-e", "-json=ImportPath,Dir,GoFiles,ImportMap,Module,Error"}
	list := exec.Command("go", append(of, packages...)...)
	list.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0")
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.StdoutPipe()
	if err == nil {
		err = list.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	known := map[string]*types.Package{"unsafe": types.Unsafe}
	for decoder := json.NewDecoder(out); ; { // what a package imports comes before it
		var p source
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch {
		case p.Error != nil:
			found = append(found, errors.New(p.Error.Err))
			continue
		case p.ImportPath == "unsafe" || strings.HasSuffix(p.ImportPath, ".test"): // the latter is generated
			continue
		}
		ours := p.Module != nil && p.Module.Main
		var parsed []*ast.File
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, file)
		}
		check := types.Config{
			Importer: importer(func(path string) (*types.Package, error) {
				if to, ok := p.ImportMap[path]; ok {
					path = to
				}
				if known[path] == nil {
					return nil, errors.New(path + " is not among the packages before")
				}
				return known[path], nil
			}),
			Sizes:            types.SizesFor("gc", arch),
			IgnoreFuncBodies: !ours,
			Error: func(err error) {
				if ours {
					found = append(found, err)
				}
			},
		}
		path, _, _ := strings.Cut(p.ImportPath, " ") // a test's is "path [path.test]"
		known[p.ImportPath], _ = check.Check(path, files, parsed, nil)
	}
	if err := list.Wait(); err != nil {
		t.Fatal(err)
	}
	return found
}

// importer is a function as types.Importer.
type importer func(path string) (*types.Package, error)

func (i importer) Import(path string) (*types.Package, error) { return i(path) }
