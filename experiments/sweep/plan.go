package sweep

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/solvers/mpi"
)

// plan is an ablation made ready to run.
type plan struct {
	Ablation
	folder   string
	parallel int
	part     part
	locked   bool // the folder, for this process or those that share the sweep
	timing   timing
	cells    []*cell // every variant and set of a seed before the next seed
	settings []config.Setting
	watch    string // where browsers may follow; empty for nowhere
}

// plan reads the variables and the configuration of every cell, so that any error is
// reported before the first cell runs.
func (a Ablation) plan(env config.Environment, args []string, out io.Writer) (*plan, error) {
	user, known := env.With(), a.Variants
	preset := cmp.Or(user["CMF_PRESET"], "default")
	if err := config.OneOf("CMF_PRESET", preset, a.Of.PresetNames()...); err != nil {
		return nil, err
	}
	if apply := a.Presets[preset]; apply != nil {
		apply(&a)
	}
	a.Name, a.Over, a.Baseline = cmp.Or(a.Name, "ablation"), cmp.Or(a.Over, "DATASET"), cmp.Or(a.Baseline, "baseline")
	a.Seeds = cmp.Or(a.Seeds, 3)
	own, c, err := a.readVariables(user, known)
	if err != nil {
		return nil, err
	}
	base := a.Base.over(config.Variables("CMF_PRESET="+preset, "CMF_THREADS=1"))
	if slices.ContainsFunc(args, func(arg string) bool { return strings.TrimLeft(arg, "-") == "help" || arg == "-h" }) {
		return nil, a.usage(args, out, own, base)
	}
	shared, err := a.sharedSettings(args, base, user)
	if err != nil {
		return nil, err
	}
	given := report.ConfigOf(shared)
	p := &plan{Ablation: a, part: c.Part, timing: usual, settings: config.Recorded(append(own, shared...)), watch: given["CMF_WATCH"]}
	delete(user, "CMF_WATCH") // it is the ablation that is followed
	threads, err := strconv.Atoi(given["CMF_THREADS"])
	if err != nil {
		return nil, err
	}
	p.parallel = cmp.Or(c.Parallel, max(1, runtime.NumCPU()/cmp.Or(threads, runtime.NumCPU())))
	if _, ranks := mpi.Place(); c.Parallel == 0 && ranks != 1 {
		p.parallel = 1
	}
	if given["CMF_OUT"] == "" && !p.part.alone() {
		return nil, fmt.Errorf("CMF_OUT: several processes run this sweep (this one is part %v), so name the folder that they share", p.part)
	}
	if p.folder, err = config.OpenOut(given["CMF_OUT"], a.Name); err != nil {
		return nil, err
	}
	for i, s := range p.settings {
		if s.Name == "CMF_OUT" {
			p.settings[i].Value = p.folder
		}
	}
	first, err := strconv.ParseUint(given["CMF_SEED"], 10, 64)
	if err != nil {
		return nil, err
	}
	if first > math.MaxUint64-uint64(a.Seeds) {
		return nil, fmt.Errorf("CMF_SEED=%d: there are not %d seeds from there on; give a smaller number", first, a.Seeds)
	}
	maps.Copy(base, user)
	return p, p.addCells(base, first)
}

// addCells lists the cells and loads the configuration of each.
func (p *plan) addCells(shared config.Environment, first uint64) error {
	const most = 10000
	if n := p.Seeds * len(p.Variants) * len(p.columns()); n > most {
		return fmt.Errorf("CMF_VARIANTS, CMF_DATASETS and CMF_SEEDS: %d cells; allowed are at most %d", n, most)
	}
	taken := map[string]bool{}
	for seed := first; seed < first+uint64(p.Seeds); seed++ {
		for _, v := range p.Variants {
			for _, set := range p.columns() {
				c := &cell{Variant: v.Name, Set: set, Seed: seed, claim: fmt.Sprintf("cell-%d", len(p.cells)+1)}
				c.folder = filepath.Join(p.folder, "cells", fileName(v.Name), fileName(set), strconv.FormatUint(seed, 10))
				if taken[c.folder] {
					return fmt.Errorf("CMF_VARIANTS, CMF_DATASETS: the variant %q on the set %q occurs twice, or another variant has the same folder name; give each a different name", v.Name, set)
				}
				taken[c.folder] = true
				own := Settings{"SEED": strconv.FormatUint(seed, 10), "OUT": c.folder}
				if len(p.Sets) > 0 {
					own[p.Over] = set
				}
				for name := range v.Settings {
					if _, ok := own[name]; ok || name == "RESUME" {
						return fmt.Errorf("variant %q: the ablation sets CMF_%s for each cell; remove it from the variant", v.Name, name)
					}
				}
				c.variables = own.over(v.Settings.over(shared))
				settings, err := p.Of.Settings(c.variables, nil, io.Discard)
				if err != nil {
					return fmt.Errorf("CMF_VARIANTS: variant %q on %s: %w", v.Name, set, err)
				}
				c.config = report.ConfigOf(config.Recorded(settings))
				p.cells = append(p.cells, c)
			}
		}
	}
	return nil
}

// identity is what processes must agree on to share a sweep: its settings without those that
// belong to a process.
func identity(config map[string]string) (string, error) {
	of := maps.Clone(config)
	for _, name := range []string{"CMF_OUT", "CMF_DATA_DIR", "CMF_PARALLEL"} {
		delete(of, name)
	}
	text, err := json.Marshal(of)
	return string(text), err
}

// columns are the sets, or the experiment's name if there are none.
func (p *plan) columns() []string {
	if len(p.Sets) == 0 {
		return []string{p.Of.Command()}
	}
	return p.Sets
}

// fileName is a name in which characters that file systems may not accept are replaced.
func fileName(name string) string {
	return strings.TrimLeft(strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_+=.,-", r)) {
			return r
		}
		return '-'
	}, name), ".")
}

// list is the exported form of the cells.
func (p *plan) list() []Cell {
	cells := make([]Cell, len(p.cells))
	for i, c := range p.cells {
		cells[i] = Cell{Variant: c.Variant, Set: c.Set, Seed: c.Seed, Folder: c.folder, Config: c.config, Report: c.report, Failure: c.failure}
	}
	return cells
}
