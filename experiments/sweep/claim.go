package sweep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cmf/data/file"
)

// claim is the right of this process to do a thing of the sweep. It is a folder that the
// process locks, with a note in it that the process renews until it is through.
type claim struct {
	session *session
	name    string
	number  int
	note    note
	unlock  func() error // nil where the file system has no locks
	stop    chan struct{}
	beating sync.WaitGroup
}

// note is what the owner of a claim writes into it.
type note struct {
	Of      string    `json:"of"` // what is claimed, in words
	Host    string    `json:"host"`
	Kernel  string    `json:"kernel"`
	PID     int       `json:"pid"`
	Locked  bool      `json:"locked"` // the folder of the claim, as long as its owner lives
	Beat    time.Time `json:"beat"`   // the last sign of life
	State   state     `json:"state"`
	Failure string    `json:"failure,omitempty"` // of what is done
}

// state is what became of a claim; it is empty at first.
type state string

const (
	ended state = "ended" // what was claimed is done
	left  state = "left"  // it is open again
)

// String names the owner.
func (n note) String() string {
	if n.Host == "" {
		return "a process"
	}
	return fmt.Sprintf("process %d on %s", n.PID, n.Host)
}

const noteFile = "claim.json"

func readNote(path string) (n note, err error) {
	text, err := os.ReadFile(filepath.Join(path, noteFile))
	if err != nil {
		return note{}, err
	}
	return n, json.Unmarshal(text, &n)
}

// claim makes the claim with a number, or nil if another process has made it first. lost is
// called if another process takes it over nevertheless, because it took this one for dead.
func (s *session) claim(name, of string, number int, lost func()) (*claim, error) {
	path := s.path(name, number)
	if err := os.Mkdir(path, 0o777); errors.Is(err, fs.ErrExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	c := &claim{session: s, name: name, number: number, stop: make(chan struct{})}
	host, _ := os.Hostname()
	c.note = note{Of: of, Host: host, Kernel: s.kernel, PID: os.Getpid()}
	if unlock, err := file.Lock(path); err == nil {
		c.unlock, c.note.Locked = unlock, true
	}
	if err := c.write(); err != nil {
		if c.unlock != nil {
			err = errors.Join(err, c.unlock())
		}
		return nil, err
	}
	c.beating.Go(func() { c.live(lost) })
	return c, nil
}

// write writes the note as a sign of life.
func (c *claim) write() error {
	c.note.Beat = time.Now()
	text, err := json.Marshal(c.note)
	if err != nil {
		return err
	}
	return file.Write(filepath.Join(c.session.path(c.name, c.number), noteFile), func(w io.Writer) error { return file.Text(w, text) })
}

// live gives signs of life until stop. One that cannot be written, on a full disk, say, is
// left out.
func (c *claim) live(lost func()) {
	beat := time.NewTicker(c.session.beat)
	defer beat.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-beat.C:
		}
		_, taken := os.Stat(c.session.path(c.name, c.number+1))
		if err := c.write(); taken == nil || errors.Is(err, fs.ErrNotExist) {
			lost()
			return
		}
	}
}

// close ends the claim: what was claimed is done, with a failure if that is not empty, or
// open again. It returns no error if the session is over.
func (c *claim) close(to state, failure string) error {
	close(c.stop)
	c.beating.Wait()
	c.note.State, c.note.Failure = to, failure
	err := c.write()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if c.unlock != nil {
		err = errors.Join(err, c.unlock())
	}
	return err
}
