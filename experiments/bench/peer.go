package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"

	"cmf/experiments/config"
	"cmf/experiments/run"
)

// comparison is a case of this program and of the peer, each with its best number of threads,
// at most Threads.
type comparison struct {
	Case       string  `json:"case"`
	Threads    int     `json:"threads"`
	BestMS     float64 `json:"best_ms"`
	PeerBestMS float64 `json:"peer_best_ms"`
	Ratio      float64 `json:"ratio"`  // our best time over the peer's
	GFLOPS     float64 `json:"gflops"` // ours, of only the matrix products
	PeakMB     float64 `json:"peak_mb"`
	PeerPeakMB float64 `json:"peer_peak_mb"`
}

// result is the best result of one program with a number of threads.
type result struct {
	ms, megabytes, gflops float64
}

// compare runs the cases in turns in processes of this program and of the peer, with one
// thread each, then with CMF_THREADS.
func compare(ctx context.Context, r *run.Run, c *BenchConfig, rates rates, table *benchTable, out io.Writer) error {
	counts := slices.Compact([]int{1, r.Report.Machine.Threads})
	lines := json.NewEncoder(out)
	var rows [][]string
	for _, name := range c.Cases {
		k, err := findCase(name)
		if err != nil {
			return err
		}
		var weights []string
		if k.onData() {
			folder, err := dataFolder(r, ctx, c, k.size)
			if err != nil {
				return fmt.Errorf("case %s: %w", name, err)
			}
			weights = []string{"--weights", folder}
			forgetPeak() // forget the peak of training
		}
		ours, theirs := make([]result, len(counts)), make([]result, len(counts))
		for range c.Rounds {
			for i, threads := range counts {
				mine, err := runSelf(r, ctx, c, name, threads)
				if err != nil {
					return fmt.Errorf("case %s: %w", name, err)
				}
				peer, err := runProcess(ctx, slices.Concat(strings.Fields(c.Peer), []string{name, "--threads", fmt.Sprint(threads), "--runs", fmt.Sprint(c.Runs)}, weights), nil)
				if err != nil {
					return fmt.Errorf("case %s: CMF_PEER: %w", name, err)
				}
				ours[i].add(mine)
				theirs[i].add(peer)
			}
		}
		row := []string{name}
		for i, threads := range counts {
			peer := slices.MinFunc(theirs[:i+1], func(a, b result) int { return cmp.Compare(a.ms, b.ms) })
			v := comparison{
				Case: name, Threads: threads,
				BestMS: ours[i].ms, PeerBestMS: peer.ms, Ratio: rounded(ours[i].ms / peer.ms),
				GFLOPS: ours[i].gflops, PeakMB: rounded(ours[i].megabytes), PeerPeakMB: rounded(peer.megabytes),
			}
			if err := lines.Encode(v); err != nil {
				return err
			}
			key := fmt.Sprintf("%s.threads_%d.", name, threads)
			r.Report.Metrics[key+"best_ms"] = v.BestMS
			r.Report.Metrics[key+"peak_mb"] = v.PeakMB
			r.Report.Metrics[key+"ratio"] = v.Ratio
			r.Report.Baseline[key+"best_ms"] = v.PeerBestMS
			r.Report.Baseline[key+"peak_mb"] = v.PeerPeakMB
			r.Report.Metrics[key+"gflops"] = v.GFLOPS
			row = append(row, fmt.Sprintf("%.3g", v.BestMS), fmt.Sprintf("%.3g", v.PeerBestMS), fmt.Sprintf("%.2f", v.Ratio),
				toUntrained(r.Report.Metrics, k, strings.TrimPrefix(key, name)+"best_ms", strings.TrimPrefix(key, name)+"trained_ratio"),
				percent(v.GFLOPS, rates.peak*float64(threads)))
		}
		rows = append(rows, append(row, fmt.Sprintf("%.0f", ours[0].megabytes), fmt.Sprintf("%.0f", theirs[0].megabytes)))
	}
	head := []string{"case"}
	for _, threads := range counts {
		of := map[bool]string{true: "1 thread", false: fmt.Sprintf("%d threads", threads)}[threads == 1]
		head = append(head, of+", ms", "peer, ms", "ratio", "to random weights", "of FMA peak")
	}
	table.add(append(head, "memory, MB", "peer, MB"), rows)
	return nil
}

func (s *result) add(t result) {
	if s.ms == 0 || t.ms < s.ms {
		s.ms, s.gflops = t.ms, t.gflops
	}
	s.megabytes = max(s.megabytes, t.megabytes)
}

// self is the path of this program; tests replace it.
var self = os.Executable

// runSelf runs one case in another process of this program.
func runSelf(r *run.Run, ctx context.Context, c *BenchConfig, name string, threads int) (result, error) {
	program, err := self()
	if err != nil {
		return result{}, err
	}
	folder, err := os.MkdirTemp(r.Folder, "case")
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(folder)
	return runProcess(ctx, []string{program}, config.Variables(
		"CMF_CASES="+name, fmt.Sprintf("CMF_RUNS=%d", c.Runs), fmt.Sprintf("CMF_THREADS=%d", threads),
		"CMF_BLAS="+c.BLAS, "CMF_VM="+c.VM, "CMF_OUT="+folder, "CMF_SWEEP=false", "CMF_KERNELS=false",
		"CMF_WEIGHTS="+weightsOf(r, c),
	).Process())
}

// runProcess runs a command in an environment (a nil one is that of this process) and reads the
// JSON line that it prints.
func runProcess(ctx context.Context, command, environment []string) (result, error) {
	p := exec.CommandContext(ctx, command[0], command[1:]...)
	p.Env = environment
	var complaint bytes.Buffer
	p.Stderr = &complaint
	printed, err := p.Output()
	if err != nil {
		return result{}, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(complaint.String()))
	}
	var t timing
	if err := json.Unmarshal(printed, &t); err != nil {
		return result{}, fmt.Errorf("%s printed %q: %w", strings.Join(command, " "), printed, err)
	}
	if !(t.BestMS > 0) || math.IsInf(t.BestMS, 0) {
		return result{}, errors.New(strings.Join(command, " ") + " printed no positive best_ms")
	}
	return result{t.BestMS, peakMegabytes(p.ProcessState), t.GFLOPS}, nil
}
