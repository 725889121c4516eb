package sweep

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// hasty is for tests: no file system here is slow, but a computer may be.
var hasty = timing{beat: 10 * time.Millisecond, stale: 2 * time.Second, poll: 10 * time.Millisecond}

// sessionOf joins a session, as a process on the named host.
func sessionOf(t *testing.T, folder, host string) *session {
	t.Helper()
	s, err := openSession(folder, "settings", hasty)
	if err != nil {
		t.Fatal(err)
	}
	s.kernel = host
	return s
}

// claimed claims a cell whose last claim has that number.
func claimed(t *testing.T, s *session, number int) *claim {
	t.Helper()
	c, err := s.claim("cell-1", "a cell", number+1, func() {})
	if err != nil || c == nil {
		t.Fatalf("claim %d: %v, %v", number+1, c, err)
	}
	return c
}

// die ends an owner as the end of its process does.
func (c *claim) die(t *testing.T) {
	t.Helper()
	close(c.stop)
	c.beating.Wait()
	if err := c.unlock(); err != nil {
		t.Fatal(err)
	}
}

// becomes waits until a claim stands as it should.
func becomes(t *testing.T, s *session, number int, want standing) {
	t.Helper()
	for {
		how, _ := s.look("cell-1", number)
		if how == want {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("the claim stands as %d, want %d", how, want)
		}
		time.Sleep(s.poll)
	}
}

// On one computer a dead owner is known at once; of one elsewhere the signs of life stop.
func TestClaimsOfTheDeadAreOpen(t *testing.T) {
	folder := t.TempDir()
	s, beside, far := sessionOf(t, folder, "here"), sessionOf(t, folder, "here"), sessionOf(t, folder, "there")
	if how, _ := beside.look("cell-1", 0); how != open {
		t.Errorf("without a claim a cell stands as %d", how)
	}
	c := claimed(t, s, 0)
	if again, err := beside.claim("cell-1", "a cell", 1, nil); again != nil || err != nil {
		t.Errorf("a second claim of one number: %v, %v", again, err)
	}
	if how, n := beside.look("cell-1", 1); how != alive || n.PID != os.Getpid() || n.Of != "a cell" {
		t.Errorf("a claim that lives stands as %d, by %+v", how, n)
	}
	if how, _ := far.look("cell-1", 1); how != unknown {
		t.Errorf("at first sight from elsewhere a claim stands as %d", how)
	}
	becomes(t, far, 1, alive)
	c.die(t)
	died := time.Now()
	if how, _ := beside.look("cell-1", 1); how != open {
		t.Errorf("beside it, a dead claim stands as %d", how)
	}
	becomes(t, far, 1, unknown)
	becomes(t, far, 1, open)
	if time.Since(died) < hasty.stale-hasty.beat {
		t.Errorf("it was taken for dead after %v", time.Since(died))
	}
}

func TestClaimsThatWereClosed(t *testing.T) {
	for state, want := range map[state]standing{ended: done, left: open} {
		folder := t.TempDir()
		s, far := sessionOf(t, folder, "here"), sessionOf(t, folder, "there")
		if err := claimed(t, s, 0).close(state, "why"); err != nil {
			t.Fatal(err)
		}
		if how, n := far.look("cell-1", 1); how != want || n.Failure != "why" {
			t.Errorf("a claim that is %q stands as %d, %+v", state, how, n)
		}
	}
}

// Of many who find a claim dead, one has it next; its former owner, if it lives after all,
// hears of that.
func TestOneTakesOver(t *testing.T) {
	folder := t.TempDir()
	lost := make(chan bool, 1)
	c, err := sessionOf(t, folder, "here").claim("cell-1", "a cell", 1, func() { lost <- true })
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	won := make(chan *claim, 20)
	for range cap(won) {
		s := sessionOf(t, folder, "there")
		all.Go(func() {
			if c, err := s.claim("cell-1", "a cell", 2, func() {}); err != nil {
				t.Error(err)
			} else if c != nil {
				won <- c
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatalf("%d have taken it over", len(won))
	}
	<-lost
	if err := c.close(left, ""); err != nil {
		t.Error(err)
	}
	numbers, err := sessionOf(t, folder, "there").latest()
	if err != nil || numbers["cell-1"] != 2 {
		t.Errorf("the claims are %v, %v", numbers, err)
	}
	if how, _ := sessionOf(t, folder, "there").look("cell-1", 2); how == open {
		t.Error("what the former owner did has opened the claim of the next")
	}
	if err := (<-won).close(ended, ""); err != nil {
		t.Error(err)
	}
}

// Sweeps with other settings do not mix, unless those of before are gone.
func TestSessionsOfOtherSettings(t *testing.T) {
	folder := t.TempDir()
	c := claimed(t, sessionOf(t, folder, thisKernel()), 0)
	_, err := openSession(folder, "others", hasty)
	if err == nil || !strings.Contains(err.Error(), "CMF_OUT="+folder+": process ") || !strings.Contains(err.Error(), "runs a sweep with other settings there") {
		t.Errorf("beside a sweep that runs: %v", err)
	}
	c.die(t)
	s, err := openSession(folder, "others", hasty)
	if err != nil {
		t.Fatal(err)
	}
	if numbers, err := s.latest(); len(numbers) > 0 || err != nil {
		t.Errorf("claims on cells with other settings are left: %v, %v", numbers, err)
	}
	if err := s.retire(); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(folder); len(files) > 0 {
		t.Errorf("a session left %v", files)
	}
}
