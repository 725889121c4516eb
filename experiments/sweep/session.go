package sweep

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"cmf/data/file"
)

// timing says how the processes of a sweep hear of each other.
type timing struct {
	beat  time.Duration // between two signs of life of a claim
	stale time.Duration // without one, after which a claim is dead
	poll  time.Duration // between two looks at the claims of others
}

// usual leaves room for the caches of network file systems, which may be a minute old.
var usual = timing{beat: 10 * time.Second, stale: 90 * time.Second, poll: time.Second}

// session is the work on a sweep from its first cell to its tables, by one process or by
// several that need to share nothing but its folder. The folder claims in that belongs to the
// session, and goes when the tables are written.
//
// A claim on NAME is a folder NAME.1 there, which one process alone can make. Once its owner
// is dead, or has left it, any process may make NAME.2, and so on: the last one counts. So a
// claim is only ever changed by its owner, and of those who take over a dead one, one wins.
type session struct {
	timing
	folder string
	kernel string // that of this process
	seen   map[string]sighting
}

// sighting is the last sign of life of a claim, and when this process first saw it: the clocks
// of others may differ.
type sighting struct {
	sign    string
	at      time.Time
	changed bool // it is not the first one that was seen
}

// standing is how a claim looks to others.
type standing int

const (
	open    standing = iota // there is none, or it was left, or its owner is dead
	unknown                 // its owner may be dead
	alive
	done
)

const (
	claimsFolder = "claims"   // in the folder of a sweep
	settingsFile = "settings" // in the folder of claims: which sweep it is
)

// openSession joins the session of a sweep with these settings in a folder, or begins one.
func openSession(sweep, settings string, t timing) (*session, error) {
	s := &session{timing: t, folder: filepath.Join(sweep, claimsFolder), kernel: thisKernel(), seen: map[string]sighting{}}
	for {
		text, err := os.ReadFile(filepath.Join(s.folder, settingsFile))
		switch {
		case err == nil && string(text) == settings:
			return s, nil
		case err == nil:
			if n, ok := s.living(); ok {
				return nil, fmt.Errorf("CMF_OUT=%s: %v runs a sweep with other settings there: wait for its end, or name another folder", sweep, n)
			}
			err = s.retire()
		case errors.Is(err, fs.ErrNotExist):
			err = s.begin(settings)
		}
		if err != nil {
			return nil, err
		}
	}
}

// begin makes the folder of claims, with the settings in it, unless another process has.
func (s *session) begin(settings string) error {
	made := s.beside()
	if err := os.Mkdir(made, 0o777); err != nil {
		return err
	}
	err := file.Write(filepath.Join(made, settingsFile), func(w io.Writer) error { return file.Text(w, []byte(settings)) })
	if err == nil {
		err = os.Rename(made, s.folder) // not onto a folder that has files
	}
	if err == nil {
		return nil
	}
	if _, there := os.Stat(filepath.Join(s.folder, settingsFile)); there == nil {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(made))
}

// retire ends the session. No process finds its claims then, however far their removal is.
func (s *session) retire() error {
	away := s.beside()
	if err := os.Rename(s.folder, away); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(away)
}

// beside is a name beside the folder of claims that no other process has.
func (s *session) beside() string {
	host, _ := os.Hostname()
	return filepath.Join(filepath.Dir(s.folder), fmt.Sprintf(".%s-%s-%d-%d", claimsFolder, fileName(host), os.Getpid(), time.Now().UnixNano()))
}

// latest has the numbers of the claims that count, by name.
func (s *session) latest() (map[string]int, error) {
	entries, err := os.ReadDir(s.folder)
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for _, e := range entries {
		name, text, _ := strings.Cut(e.Name(), ".")
		if number, err := strconv.Atoi(text); err == nil {
			all[name] = max(all[name], number)
		}
	}
	return all, nil
}

func (s *session) path(name string, number int) string {
	return filepath.Join(s.folder, fmt.Sprintf("%s.%d", name, number))
}

// living is what an owner of a claim wrote that has given a sign of life of late, by the clocks of both.
func (s *session) living() (note, bool) {
	all, _ := s.latest() // an error: they are gone
	for name, number := range all {
		path := s.path(name, number)
		n, err := readNote(path)
		if err == nil && n.State == "" && time.Since(n.Beat) < s.stale && !(s.sameKernel(n) && unlocked(path)) {
			return n, true
		}
	}
	return note{}, false
}

// look says how the claim with a number stands, 0 for none, and what its owner wrote.
func (s *session) look(name string, number int) (standing, note) {
	if number == 0 {
		return open, note{}
	}
	path := s.path(name, number)
	n, err := readNote(path)
	switch {
	case n.State == ended:
		return done, n
	case n.State == left:
		return open, n
	case err == nil && s.sameKernel(n):
		if unlocked(path) {
			return open, n
		}
		return alive, n
	}
	sign, now := n.Beat.String(), time.Now() // without a note the owner is about to write one
	last, known := s.seen[path]
	if !known || last.sign != sign {
		last = sighting{sign, now, known}
		s.seen[path] = last
	}
	switch age := now.Sub(last.at); {
	case age > s.stale:
		return open, n
	case last.changed && age < 3*s.beat:
		return alive, n
	}
	return unknown, n
}

// sameKernel says whether locks tell if the owner lives.
func (s *session) sameKernel(n note) bool { return n.Locked && n.Kernel == s.kernel }

// unlocked says whether nobody holds the lock of a claim.
func unlocked(path string) bool {
	unlock, err := file.Lock(path)
	if err != nil {
		return false
	}
	return unlock() == nil
}

// thisKernel is the name of the running kernel, whose locks all its processes see.
func thisKernel() string {
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		return strings.TrimSpace(string(id))
	}
	host, _ := os.Hostname()
	return host
}
