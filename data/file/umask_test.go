//go:build unix

package file

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestUmaskIsRespected(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	for _, mask := range []int{0o077, 0o022, 0o002} {
		syscall.Umask(mask)
		path := filepath.Join(t.TempDir(), "a")
		if err := Write(path, func(w io.Writer) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if info, _ := os.Stat(path); int(info.Mode().Perm()) != 0o666&^mask {
			t.Errorf("umask %03o: mode %v", mask, info.Mode())
		}
	}
}
