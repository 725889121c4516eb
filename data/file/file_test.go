package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFileIsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.txt")
	text := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error { fmt.Fprint(w, text); return err }
	}
	if err := Write(path, text("before", nil)); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := Write(path, text("half", broken)); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	entries, _ := os.ReadDir(dir)
	if got, _ := os.ReadFile(path); string(got) != "before" || len(entries) != 1 {
		t.Errorf("a failed writing left %q and %v, want the file of before alone", got, entries)
	}
	if err := Write(filepath.Join(dir, "missing", "a.txt"), text("", nil)); err == nil {
		t.Error("a missing folder: no error")
	}
}

func TestRemoveTemporary(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".a.txt.123" + temporary, ".hidden", "b" + temporary} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveTemporary(dir); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left are %v, want .hidden and the file that does not begin with a dot", entries)
	}
	if err := RemoveTemporary(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing folder: no error")
	}
}
