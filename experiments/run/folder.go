package run

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cmf/data/file"
	"cmf/experiments/config"
	"cmf/experiments/report"
)

// left is the file of a folder that lists what runs have left there, a line for each file.
const left = ".files"

// leaving is a line of that file.
type leaving struct {
	Experiment string `json:"experiment"`
	File       string `json:"file"`
}

// openFolder opens the folder of results for this run alone.
func (r *Run) openFolder(out string) (unlock func() error, err error) {
	if !r.Root() {
		return r.openScratch()
	}
	if r.Folder, err = config.OpenOut(out, r.Report.Experiment); err != nil {
		return nil, err
	}
	unlock, err = file.Lock(r.Folder)
	switch {
	case errors.Is(err, file.ErrLocked):
		return nil, fmt.Errorf("CMF_OUT=%s: %w: wait for its end, or name another folder", r.Folder, err)
	case err != nil:
		r.unlocked = err
		return func() error { return nil }, nil
	}
	return unlock, nil
}

// Begin begins the run for good, now that its data and settings are known to be right: it
// writes config.env. A new run first removes what earlier runs left in the folder, but
// not if one of its variables names something there, and a command that learns nothing
// removes only what it left itself. Path begins a run too.
func (r *Run) Begin() error {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.begin()
}

func (r *Run) begin() error {
	if r.begun {
		return r.broken
	}
	r.begun = true
	r.broken = errors.Join(file.RemoveTemporary(r.Folder), r.removeEarlier(), report.WriteConfig(r.Folder, r.settings))
	_ = file.SyncFolder(filepath.Dir(r.Folder)) // some system may not let us read that folder
	r.owns("config.env", "report.json", "index.html")
	return r.broken
}

func (r *Run) hasBegun() bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.begun
}

// Path is the path of a file in the run's folder that the run is about to write. It begins
// the run, and notes that the file is one of its own.
func (r *Run) Path(name string) string {
	r.lock.Lock()
	defer r.lock.Unlock()
	_ = r.begin() // its error is that of Begin and of the run
	r.owns(name)
	return filepath.Join(r.Folder, name)
}

// Owns notes that files are the run's own, which a later run in the folder removes.
func (r *Run) Owns(names ...string) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.owns(names...)
}

func (r *Run) owns(names ...string) {
	if r.broken != nil {
		return
	}
	var lines []byte
	for _, name := range names {
		if r.own[name] || name == "" {
			continue
		}
		if r.own == nil {
			r.own = map[string]bool{}
		}
		r.own[name] = true
		line, err := json.Marshal(leaving{r.Report.Experiment, name})
		if err == nil {
			lines = append(append(lines, line...), '\n')
		}
	}
	if len(lines) == 0 {
		return
	}
	f, err := os.OpenFile(filepath.Join(r.Folder, left), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err == nil {
		_, err = f.Write(append([]byte{'\n'}, lines...)) // after a line that may be torn
		err = errors.Join(err, f.Close())
	}
	r.broken = err
}

// FilesIn are the files of a folder, by their paths in it, that runs have left there.
func FilesIn(folder string) (names []string) {
	f, err := os.Open(filepath.Join(folder, left))
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if l, ok := leavingIn(lines.Bytes()); ok {
			names = append(names, l.File)
		}
	}
	return names
}

// leavingIn reads a line of that file. A line that is torn, or that leads out of the folder,
// is none of ours.
func leavingIn(line []byte) (l leaving, ok bool) {
	ok = json.Unmarshal(line, &l) == nil && filepath.IsLocal(l.File)
	return l, ok
}

// removeEarlier removes what earlier runs left in the folder.
func (r *Run) removeEarlier() error {
	path := filepath.Join(r.Folder, left)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && r.uses() {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var kept []byte
	folders := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		l, ok := leavingIn(lines.Bytes())
		if !ok {
			continue
		}
		if !r.learns() && l.Experiment != r.Report.Experiment {
			kept = append(append(kept, lines.Bytes()...), '\n')
			continue
		}
		at := filepath.Join(r.Folder, l.File)
		folders[filepath.Dir(at)] = r.learns()
		names := []string{at}
		if name, ok := strings.CutSuffix(at, ".png"); ok {
			names = append(names, name+".svg") // drawn beside it
		}
		for _, name := range names {
			if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
				continue
			}
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	for folder, logged := range folders {
		if _, err := os.Stat(folder); err != nil || !logged {
			continue
		}
		if err := report.EachEventFile(folder, "", os.Remove); err != nil {
			return err
		}
	}
	return file.Write(path, func(w io.Writer) error { return file.Text(w, kept) })
}

// learns says whether the experiment trains, and may go on from a checkpoint.
func (r *Run) learns() bool {
	return slices.ContainsFunc(r.settings, func(s config.Setting) bool { return s.Name == "CMF_RESUME" })
}

// uses says whether a variable other than CMF_OUT names something in the run's folder.
func (r *Run) uses() bool {
	own, err := resolved(r.Folder)
	if err != nil {
		return true
	}
	return slices.ContainsFunc(r.settings, func(s config.Setting) bool {
		if s.Name == "CMF_OUT" || s.Value == "" {
			return false
		}
		at, err := resolved(s.Value)
		if err != nil {
			return false // it names no file
		}
		within, err := filepath.Rel(own, at)
		return err == nil && filepath.IsLocal(within)
	})
}

// resolved is the absolute path of a file without links.
func resolved(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}
