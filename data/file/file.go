// Package file writes files whole or not at all, keeps earlier versions of them, and
// locks folders.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// temporary ends the names of files that are being written; these names begin
// with a dot.
const temporary = ".cmf-part"

// Part is a file that is being written: a temporary file in the folder of path,
// which takes that name by Commit.
type Part struct {
	*os.File
	path string
}

// Create begins to write the file path. Either Commit or Abort ends it. Everyone
// may read the file whom the process's umask lets.
func Create(path string) (*Part, error) {
	for {
		f, err := os.OpenFile(temporaryOf(path), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &Part{f, path}, nil
	}
}

// temporaryOf is a name beside path for a file that is being written.
func temporaryOf(path string) string {
	return filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d%s", filepath.Base(path), rand.Uint32(), temporary))
}

// Commit lets the file appear under its name once it is on the disk; the name is
// on the disk too when Commit returns. After an error the file at path is as it
// was, and the temporary file is gone.
func (p *Part) Commit() error {
	if err := errors.Join(p.Sync(), p.File.Close()); err != nil {
		return errors.Join(err, os.Remove(p.Name()))
	}
	if err := os.Rename(p.Name(), p.path); err != nil {
		return errors.Join(err, os.Remove(p.Name()))
	}
	return SyncFolder(filepath.Dir(p.path))
}

// SyncFolder makes sure that the names of a folder's files survive a crash of the
// computer, where the system can do that.
func SyncFolder(folder string) error {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		return nil // they do not sync folders
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("the names in folder %q: %w", folder, err)
	}
	return nil
}

// Keep lets the file at path, if there is one, also be at kept, in the same folder,
// until the next Keep: the file that is written to path next does not change it.
func Keep(path, kept string) error {
	other := temporaryOf(kept)
	if err := os.Link(path, other); err == nil {
		if err := os.Rename(other, kept); err != nil {
			return errors.Join(err, os.Remove(other))
		}
		// Two names of one file are renamed without effect, and both stay.
		if err := os.Remove(other); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	} else if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	from, err := os.Open(path) // the file system has no links
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	return Write(kept, func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	})
}

// ErrLocked is the error of Lock where another process, or another part of this one,
// has the folder.
var ErrLocked = errors.New("another run writes there just now")

// Lock takes a folder for its caller until unlock, or until the process ends, however
// it ends. Where another has it, the error is ErrLocked. A file system that has no
// locks gives another error.
//
// The lock is advisory, and that of flock(2). It holds between processes of one host. It holds
// between hosts if all of them reach the folder over a network file system that carries locks to
// its server, as NFS does unless it is mounted with nolock or local_lock; not between a host that
// has the folder on its own disk and one that reaches it over a network, since over NFS no
// folders are locked but the file .lock in them.
func Lock(folder string) (unlock func() error, err error) {
	unlock, err = lock(folder, func(l *flock.Flock) (bool, error) { return l.TryLock() })
	if err != nil && !errors.Is(err, ErrLocked) {
		err = fmt.Errorf("the lock of %q: %w", folder, err)
	}
	return unlock, err
}

// LockShared is Lock, but leaves the folder to any number of others that take it by LockShared.
func LockShared(folder string) (unlock func() error, err error) {
	unlock, err = lock(folder, func(l *flock.Flock) (bool, error) { return l.TryRLock() })
	if err != nil && !errors.Is(err, ErrLocked) {
		err = fmt.Errorf("the lock of %q: %w", folder, err)
	}
	return unlock, err
}

// LockContext is Lock, but waits until the folder is free or ctx ends.
func LockContext(ctx context.Context, folder string) (unlock func() error, err error) {
	unlock, err = lock(folder, func(l *flock.Flock) (bool, error) { return l.TryLockContext(ctx, 50*time.Millisecond) })
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("the lock of %q: %w", folder, err)
	}
	return unlock, nil
}

// lock locks the folder itself or, where a system locks no folders, a file in it. That
// file stays: if it were removed, two processes might lock two files of its name.
func lock(folder string, try func(*flock.Flock) (bool, error)) (unlock func() error, err error) {
	for _, l := range []*flock.Flock{
		flock.New(folder, flock.SetFlag(os.O_RDONLY)),
		flock.New(filepath.Join(folder, ".lock"), flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o666)),
	} {
		var got bool
		if got, err = try(l); got {
			return l.Unlock, nil
		}
		if err == nil {
			return nil, ErrLocked
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
	}
	return nil, err
}

// Abort removes the temporary file; the file at path is as it was.
func (p *Part) Abort() error {
	p.File.Close()
	return os.Remove(p.Name())
}

// Write lets write fill a temporary file in the same folder, and renames it to
// path once it is whole and on the disk. After an error the file at path is as
// it was, and the temporary file is gone.
func Write(path string, write func(io.Writer) error) error {
	part, err := Create(path)
	if err != nil {
		return err
	}
	if err := write(part); err != nil {
		return errors.Join(err, part.Abort())
	}
	return part.Commit()
}

// RemoveTemporary removes from folder the temporary files of a killed process.
func RemoveTemporary(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("the run's folder: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && strings.HasSuffix(e.Name(), temporary) {
			if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
				return fmt.Errorf("the run's folder: %w", err)
			}
		}
	}
	return nil
}

// Text writes a text.
func Text(w io.Writer, text []byte) error {
	_, err := w.Write(text)
	return err
}
