// Command mutation changes one thing at a time in the code of packages, at random, and says
// which changes no test of their package notices:
//
//	go run ./experiments/internal/mutation -n 60 -seed 1 ./solvers ./losses ./layers ./graph
//
// It changes no file: the Go tool reads the changed one as an overlay. Each change is tested
// with -short by the tests of its package, and where these notice nothing by those of the
// packages that -also names.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	n := flag.Int("n", 60, "changes to try")
	seed := flag.Uint64("seed", 1, "of the choice among all changes")
	limit := flag.Duration("limit", 90*time.Second, "for the tests of one change; a change that takes longer is noticed")
	also := flag.String("also", "", "packages whose tests are asked, too, with spaces between")
	most := flag.Duration("most", 10*time.Minute, "for all; no further change is tried after it")
	flag.Parse()
	if err := mutate(*n, *seed, *limit, *most, strings.Fields(*also), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

func mutate(n int, seed uint64, limit, most time.Duration, also, folders []string) error {
	if len(folders) == 0 {
		return errors.New("no package is given; give folders such as ./solvers ./losses")
	}
	var all []change
	for _, folder := range folders {
		found, err := changesIn(folder)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	tried, noticed, start := 0, 0, time.Now()
	for _, c := range all {
		if tried == n || time.Since(start) > most {
			break
		}
		was, err := c.test(limit, also)
		if err != nil {
			return err
		}
		switch was {
		case notCode:
			continue
		case survived:
			fmt.Println("survived:", c)
		default:
			noticed++
		}
		tried++
	}
	fmt.Printf("%d of %d changes were noticed; there are %d in all\n", noticed, tried, len(all))
	return nil
}

type verdict int

const (
	notCode verdict = iota // it does not compile
	noticed
	survived
)

// test runs the tests of the change's package, and of others.
func (c change) test(limit time.Duration, also []string) (verdict, error) {
	dir, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	path, err := filepath.Abs(c.file)
	if err != nil {
		return 0, err
	}
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return 0, err
	}
	if err := errors.Join(os.WriteFile(changed, c.text, 0o666), os.WriteFile(overlay, text, 0o666)); err != nil {
		return 0, err
	}
	folder := "./" + filepath.ToSlash(filepath.Dir(c.file))
	if said, err := exec.Command("go", "vet", "-overlay="+overlay, folder).CombinedOutput(); err != nil && strings.Contains(string(said), c.base()) {
		return notCode, nil
	}
	for _, packages := range [][]string{{folder}, also} {
		if len(packages) > 0 && fails(limit, overlay, packages) {
			return noticed, nil
		}
	}
	return survived, nil
}

// fails reports whether the tests of packages fail, or take longer than the limit.
func fails(limit time.Duration, overlay string, packages []string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	test := []string{"test", "-short", "-vet=off", "-failfast", "-overlay=" + overlay}
	return exec.CommandContext(ctx, "go", append(test, packages...)...).Run() != nil
}
