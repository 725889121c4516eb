package layout

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the folder of the module.
var root = filepath.Join("..", "..", "..")

// listed is a package of the module as `go list -json` describes it, except that packages
// of the module are named without the module's path. Ignored files are those for other
// systems.
type listed struct {
	Dir, ImportPath, Name   string
	Module                  struct{ Path string }
	GoFiles, IgnoredGoFiles []string
	Imports, Deps           []string // of code without tests
}

// files are the Go files of the package without tests.
func (p *listed) files() (paths []string) {
	for _, name := range append(p.GoFiles, p.IgnoredGoFiles...) {
		if !strings.HasSuffix(name, "_test.go") {
			paths = append(paths, filepath.Join(p.Dir, name))
		}
	}
	return paths
}

// module lists the module's packages.
func module(t *testing.T) (packages []*listed) {
	t.Helper()
	watch(t)
	list := exec.Command("go", "list", "-json=Dir,ImportPath,Name,Module,GoFiles,IgnoredGoFiles,Imports,Deps", "./...")
	list.Dir = root
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	in := json.NewDecoder(bytes.NewReader(out))
	for {
		p := new(listed)
		if err := in.Decode(p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, p.Module.Path+"/")
		for _, paths := range [][]string{p.Imports, p.Deps} {
			for k, path := range paths {
				paths[k] = strings.TrimPrefix(path, p.Module.Path+"/")
			}
		}
		packages = append(packages, p)
	}
	if len(packages) < 40 {
		t.Fatalf("go list names %d packages", len(packages))
	}
	return packages
}

// watch reads the module's Go files. go test knows that a cached result is out of date only
// from files that the test itself opens, not from those of a program that it starts.
func watch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		_, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
