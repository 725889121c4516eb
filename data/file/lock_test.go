package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := LockContext(ctx, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a lock: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = LockContext(t.Context(), dir); err != nil {
		t.Fatalf("a lock that was given back: %v", err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	if _, err := Lock(filepath.Join(dir, "missing")); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("a missing folder: %v", err)
	}
}

func TestLockShared(t *testing.T) {
	dir := t.TempDir()
	var unlocks []func() error
	for range 2 {
		unlock, err := LockShared(dir)
		if err != nil {
			t.Fatal(err)
		}
		unlocks = append(unlocks, unlock)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("alone in a folder that is shared: %v", err)
	}
	for _, unlock := range unlocks {
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockShared(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("a share of a folder that is locked: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestKeep(t *testing.T) {
	dir := t.TempDir()
	path, kept := filepath.Join(dir, "a"), filepath.Join(dir, "a.previous")
	if err := Keep(path, kept); err != nil {
		t.Errorf("nothing to keep: %v", err)
	}
	for k := range 3 {
		if err := Keep(path, kept); err != nil {
			t.Fatal(err)
		}
		if err := Keep(path, kept); err != nil { // twice the same
			t.Fatal(err)
		}
		if err := Write(path, func(w io.Writer) error { return Text(w, fmt.Append(nil, k)) }); err != nil {
			t.Fatal(err)
		}
	}
	now, _ := os.ReadFile(path)
	before, _ := os.ReadFile(kept)
	if entries, _ := os.ReadDir(dir); string(now) != "2" || string(before) != "1" || len(entries) != 2 {
		t.Errorf("%q after %q, in %v", now, before, entries)
	}
}
