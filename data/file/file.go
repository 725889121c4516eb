// Package file writes files whole or not at all.
package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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

// Create begins to write the file path. Either Commit or Abort ends it.
func Create(path string) (*Part, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*"+temporary)
	if err != nil {
		return nil, err
	}
	return &Part{f, path}, nil
}

// Commit lets the file appear under its name once it is on the disk. After an
// error the file at path is as it was, and the temporary file is gone.
func (p *Part) Commit() error {
	// Temporary files are private, but results are for everyone who may read
	// the folder.
	if err := errors.Join(p.Chmod(0o644), p.Sync(), p.File.Close()); err != nil {
		return errors.Join(err, os.Remove(p.Name()))
	}
	if err := os.Rename(p.Name(), p.path); err != nil {
		return errors.Join(err, os.Remove(p.Name()))
	}
	return nil
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
