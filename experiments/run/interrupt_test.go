//go:build unix

package run

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"cmf/experiments/config"
)

// stage is the variable by which a process of this test knows what it does.
const stage = "TEST_STAGE"

func TestMain(m *testing.M) {
	if at := os.Getenv(stage); at != "" {
		os.Args = os.Args[:1]
		if do, ok := rankStages[at]; ok {
			Main(Definition[struct{ config.Core }]{Name: "stage", Do: do})
			return
		}
		Main(Definition[otherConfig]{
			Name: "stage", Presets: map[string]func(*otherConfig){"default": nil},
			Do: func(ctx context.Context, r *Run, _ *otherConfig) error {
				r.Training(at == "training")
				fmt.Println("ready")
				if at == "obeying" {
					<-ctx.Done()
					return ctx.Err()
				}
				select {} // such as a read that never ends
			},
		})
		return
	}
	os.Exit(m.Run())
}

// A signal ends whatever has nothing to lose, with an exit status of its own; a second one
// ends training, too.
func TestSignalsEndRuns(t *testing.T) {
	for _, c := range []struct {
		stage   string
		signals []syscall.Signal
		status  int // −1 for a process that is killed
	}{
		{"reading", []syscall.Signal{syscall.SIGINT}, 130},
		{"reading", []syscall.Signal{syscall.SIGTERM}, 143},
		{"reading", []syscall.Signal{syscall.SIGHUP}, 129},
		{"obeying", []syscall.Signal{syscall.SIGINT}, 130},
		{"obeying", []syscall.Signal{syscall.SIGTERM}, 143},
		{"training", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, -1},
		{"training", []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP}, -1},
	} {
		t.Run(fmt.Sprint(c.stage, c.signals), func(t *testing.T) {
			t.Parallel()
			p := exec.CommandContext(t.Context(), os.Args[0])
			p.Env = append(os.Environ(), stage+"="+c.stage, "CMF_OUT="+t.TempDir())
			out, err := p.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			said, err := p.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Fatal(line, err)
			}
			lines := bufio.NewScanner(said)
			for _, s := range c.signals {
				if err := p.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
				for lines.Scan() && !strings.Contains(lines.Text(), "a second interrupt ends the program at once") {
				}
			}
			var rest []string
			for lines.Scan() {
				rest = append(rest, lines.Text())
			}
			_ = p.Wait()
			if code := p.ProcessState.ExitCode(); code != c.status {
				t.Errorf("exit status %d, want %d: %v, after %q", code, c.status, p.ProcessState, rest)
			}
			if text := strings.Join(rest, "\n"); c.status > 0 && !strings.Contains(text, "the same command begins again") {
				t.Errorf("it says %q", text)
			}
		})
	}
}
