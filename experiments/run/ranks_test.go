//go:build unix

package run

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/solvers/mpi/mpitest"
)

// rankStages are what ranks of the tests below do.
var rankStages = map[string]func(ctx context.Context, r *Run, _ *struct{ config.Core }) error{
	"working": func(ctx context.Context, r *Run, _ *struct{ config.Core }) error {
		r.Note("rank %d works", r.World.Rank())
		fmt.Println("threads", r.Report.Machine.Threads)
		err := r.Figure(ctx, report.Figure{File: "mine.png"}, false, func(path string) error {
			fmt.Println("draws")
			f, err := os.Create(path)
			if err != nil {
				return err
			}
			return errors.Join(png.Encode(f, image.NewGray(image.Rect(0, 0, 2, 2))), f.Close())
		})
		return errors.Join(err, os.WriteFile(r.Path(fmt.Sprint("rank", r.World.Rank())), nil, 0o666))
	},
	"deserted": func(_ context.Context, r *Run, _ *struct{ config.Core }) error {
		r.Checkpoint = "the checkpoint"
		r.Training(true)
		if r.World.Rank() == 1 {
			time.Sleep(time.Minute) // such as a rank that is gone, for all that others know
		}
		time.AfterFunc(time.Second, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGTERM) })
		r.World.Barrier()
		return nil
	},
	"failing": func(_ context.Context, r *Run, _ *struct{ config.Core }) error {
		if r.World.Rank() == 1 {
			return errors.New("the disk of rank 1 is full")
		}
		r.World.Barrier()
		return nil
	},
}

func onRanks(t *testing.T, l mpitest.Launcher, at, folder string) (string, error) {
	t.Helper()
	return l.Run(t, 2, stage+"="+at, "CMF_OUT="+folder)
}

// Rank 0 alone writes the folder and the log, and draws.
func TestRankZeroWrites(t *testing.T) {
	for _, l := range mpitest.Launchers(t) {
		folder, scratch := t.TempDir(), t.TempDir()
		out, err := l.Run(t, 2, stage+"=working", "CMF_OUT="+folder, "TMPDIR="+scratch)
		if err != nil {
			t.Fatalf("%s: %v: %s", l.Name, err, out)
		}
		for text, want := range map[string]int{"rank 0 works": 1, "rank 1 works": 0, "draws": 1, "msg=done": 1, "threads ": 2} {
			if n := strings.Count(out, text); n != want {
				t.Errorf("%s: %q stands %d times, want %d, in %s", l.Name, text, n, want, out)
			}
		}
		for name, want := range map[string]bool{"report.json": true, "index.html": true, "rank0": true, "mine.png": true, "rank1": false} {
			if _, err := os.Stat(filepath.Join(folder, name)); (err == nil) != want {
				t.Errorf("%s: %s: %v", l.Name, name, err)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(scratch, "cmf-rank-*")); len(left) > 0 {
			t.Errorf("%s: %v are left", l.Name, left)
		}
	}
}

func TestFailureOfARankEndsAll(t *testing.T) {
	for _, l := range mpitest.Launchers(t) {
		start := time.Now()
		out, err := onRanks(t, l, "failing", t.TempDir())
		if err == nil || !strings.Contains(out, "the disk of rank 1 is full") || time.Since(start) > 30*time.Second {
			t.Errorf("%s: %v after %v: %s", l.Name, err, time.Since(start), out)
		}
	}
}

// After a signal, a rank does not wait for ever for one that is gone.
func TestDesertedRanksEnd(t *testing.T) {
	l := mpitest.Launchers(t)[0]
	if out, err := onRanks(t, l, "deserted", t.TempDir()); err == nil || !strings.Contains(out, "other ranks no longer answer; CMF_RESUME=the checkpoint goes on") {
		t.Errorf("%v: %s", err, out)
	}
}

// A command that does not learn has no work for several ranks.
func TestOtherCommandsRefuseRanks(t *testing.T) {
	t.Setenv("OMPI_COMM_WORLD_SIZE", "4")
	type lone struct{ config.Command }
	d := Definition[lone]{Name: "lone", Do: func(context.Context, *Run, *lone) error { return nil }}
	_, err := Execute(t.Context(), d, config.Variables("CMF_OUT="+t.TempDir()), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "several processes of this command (OMPI_COMM_WORLD_SIZE), and lone has work for one only") {
		t.Errorf("the error is %v", err)
	}
}
