package experiments

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// temporary ends the names of files that are being written, which begin with a dot.
const temporary = ".cmf-part"

// removeTemporary removes from folder what a killed process was writing.
func removeTemporary(folder string) error {
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

// writeFile writes a file whole or not at all: into a temporary file of the
// same folder, which then takes the name path.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*"+temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	// Temporary files are private; results are for whoever may read the folder.
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
