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

// Write lets write fill a temporary file in the same folder, and renames it to
// path once it is whole and on the disk. After an error the file at path is as
// it was, and the temporary file is gone.
func Write(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*"+temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	// Temporary files are private, but results are for everyone who may read
	// the folder.
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
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
