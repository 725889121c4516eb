// Package site makes the playground's page, a few files that any web server can host, and
// serves it on this computer.
package site

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"

	"cmf/data/file"
	"cmf/graph/kernel/simd128"
)

// Site is the page's files by their names.
type Site map[string][]byte

const program = "page.wasm.gz"

//go:embed static
var static embed.FS

// Build compiles the page for the browser by the Go compiler of the path, from the sources of
// this module, and puts its other files beside it.
func Build(ctx context.Context) (Site, error) {
	compiler, err := exec.LookPath("go")
	if err != nil {
		return nil, errors.New("no Go compiler is in reach: the page is compiled for the browser when the playground starts. Install Go from https://go.dev/dl, or add the folder of the program go to PATH")
	}
	s := Site{}
	folder, _ := fs.Sub(static, "static")
	err = fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			s[name], err = fs.ReadFile(folder, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if s["wasm_exec.js"], err = support(ctx, compiler); err != nil {
		return nil, err
	}
	s["kernels.wasm"] = simd128.Module()
	s[program], err = compile(ctx, compiler)
	return s, err
}

// support is the script that comes with the compiler and starts what it compiles.
func support(ctx context.Context, compiler string) ([]byte, error) {
	root, err := output(ctx, compiler, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(root), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return nil, fmt.Errorf("the Go compiler %s lacks its support for WebAssembly: %w", compiler, err)
	}
	return text, nil
}

// compile is the gzipped WebAssembly of package page.
func compile(ctx context.Context, compiler string) ([]byte, error) {
	parent := filepath.ToSlash(filepath.Dir(filepath.FromSlash(reflect.TypeFor[Site]().PkgPath())))
	page := parent + "/page"
	if _, err := output(ctx, compiler, "list", page); err != nil {
		return nil, fmt.Errorf("the sources of the page are not in reach; run the playground in the project's folder: %w", err)
	}
	folder, err := os.MkdirTemp("", "playground-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "page.wasm")
	arguments := []string{"build", "-trimpath", "-buildvcs=false", "-tags=simd128", "-ldflags=-s -w", "-o", path}
	// Packages of others, in which little time goes, are smaller without inlining.
	for _, others := range []string{"gonum.org", "gorgonia.org", "google.golang.org", "github.com/apache", "github.com/gogo", "github.com/golang", "github.com/google"} {
		arguments = append(arguments, "-gcflags="+others+"/...=-l")
	}
	if _, err := output(ctx, compiler, append(arguments, page)...); err != nil {
		return nil, fmt.Errorf("compiling the page: %w", err)
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err = z.Write(wasm); err == nil {
		err = z.Close()
	}
	return packed.Bytes(), err
}

// output is what the compiler prints, for programs of the browser.
func output(ctx context.Context, compiler string, arguments ...string) (string, error) {
	c := exec.CommandContext(ctx, compiler, arguments...)
	c.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	var trouble bytes.Buffer
	c.Stderr = &trouble
	out, err := c.Output()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", fmt.Errorf("go %s: %w: %s", arguments[0], err, strings.TrimSpace(trouble.String()))
	}
	return string(out), nil
}

// checkFolder returns an error unless the folder is new, empty, or of an earlier playground.
func checkFolder(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, ours := os.Stat(filepath.Join(folder, program)); len(entries) > 0 && ours != nil {
		return fmt.Errorf("the folder %s has other files; name a new one, or that of an earlier playground", folder)
	}
	return nil
}

// Write writes the files into a folder, which must be new, empty, or of an earlier playground.
func (s Site) Write(folder string) error {
	if err := checkFolder(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	for name, text := range s {
		if err := file.Write(filepath.Join(folder, name), func(w io.Writer) error { return file.Text(w, text) }); err != nil {
			return err
		}
	}
	return nil
}
