package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/layers"
	"cmf/solvers/conjugate"
	"cmf/solvers/sampling"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type toyConfig struct {
	Core
	Data
	Set   string  `default:"moons" oneof:"moons,circles" desc:"toy set"`
	Noise float32 `default:"0.1" range:"0|0.05..<1" desc:"standard deviation of the noise"`
	OwnLR bool    `split_words:"true" desc:"an example of two words"`
}

var toyPresets = map[string]func(*toyConfig){
	"quick":   func(c *toyConfig) { c.Steps, c.Hidden = 20, Widths{8, 8} },
	"default": func(c *toyConfig) { c.Steps, c.Noise = 1500, .05 },
	"paper":   func(c *toyConfig) { c.Steps, c.Batch = 50000, 1024 },
}

func loadToy(env Environment, args ...string) (toyConfig, []Setting, error) {
	var c toyConfig
	settings, err := Load(&c, toyPresets, env, args, io.Discard)
	return c, settings, err
}

func TestLoadOrder(t *testing.T) {
	c, _, err := loadToy(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := toyConfig{Set: "moons", Noise: .05, Core: Core{
		Command: Command{Preset: "default", VM: "plan", BLAS: "auto"}, Random: Random{Seed: 1},
		Steps: 1500, Batch: 512, Loss: "dual", Source: SourceGibbs, Init: InitGaussian, Sampler: sampling.ByMALA,
		Conjugate: conjugate.ByBarzilaiBorwein, Hidden: Widths{64, 64, 64, 64}, Unit: layers.Softplus, Potential: layers.NetworkICNN, LR: 1e-3,
	}}
	if d := cmp.Diff(want, c); d != "" {
		t.Errorf("defaults (−want +got):\n%s", d)
	}

	env := Variables("CMF_PRESET=quick", "CMF_BATCH=64", "CMF_HIDDEN=32, 16", "CMF_OWN_LR=true", "CMF_NOISE=0.2", "CMF_SAMPLER=ula",
		"CMF_DATA_DIR=/a \"b\\c`\xff", "CMF_SEED=3", "CMF_LOSS=dual+0.1*pairs", "CMF_MINUTES=1.5", "CMF_OUT=")
	c, settings, err := loadToy(env)
	if err != nil {
		t.Fatal(err)
	}
	want.Preset, want.Steps, want.Batch, want.Hidden, want.OwnLR, want.Noise = "quick", 20, 64, Widths{32, 16}, true, .2
	want.DataDir, want.Seed, want.Loss, want.Minutes, want.Sampler = "/a \"b\\c`\xff", 3, "dual+0.1*pairs", 1.5, sampling.ByULA
	if d := cmp.Diff(want, c); d != "" {
		t.Errorf("quick, with variables (−want +got):\n%s", d)
	}
	for _, s := range settings {
		switch s.Name {
		case "CMF_HIDDEN":
			if s.Value != "32,16" || s.Default != "8,8" {
				t.Errorf("setting %+v, want 32,16 with default 8,8", s)
			}
		case "CMF_PRESET":
			if s.Value != "quick" || s.Default != "default" {
				t.Errorf("setting %+v, want quick with default default", s)
			}
		}
	}

	// A variable overrides the preset even if its value is the default.
	if c, _, err = loadToy(env.With("CMF_STEPS=1500")); err != nil || c.Steps != 1500 {
		t.Errorf("CMF_STEPS=1500 under quick: %d steps, %v", c.Steps, err)
	}
}

func TestLoadMessages(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"CMF_LR", "-1", "CMF_LR=-1: allowed are numbers above 0, up to 10"},
		{"CMF_LR", "0", "CMF_LR=0: allowed are numbers above 0, up to 10"},
		{"CMF_LR", "NaN", "CMF_LR=NaN: allowed are numbers above 0, up to 10"},
		{"CMF_LR", "+Inf", "CMF_LR=+Inf: allowed are numbers above 0, up to 10"},
		{"CMF_NOISE", "0.01", "CMF_NOISE=0.01: allowed are 0 and numbers from 0.05, below 1"},
		{"CMF_NOISE", "1", "CMF_NOISE=1: allowed are 0 and numbers from 0.05, below 1"},
		{"CMF_HIDDEN", "", "CMF_HIDDEN=: name at least one, such as 64,64,64,64"},
		{"CMF_SAMPLER", "", "CMF_SAMPLER=: allowed are mala, ula"},
		{"CMF_STEPS", "", "CMF_STEPS=: give a whole number"},
		{"CMF_RESUME", "absent", "CMF_RESUME=absent: stat absent: no such file or directory; name a checkpoint.safetensors that a run left"},
		{"CMF_RESUME", "/", "CMF_RESUME=/: it is not a file; name a checkpoint.safetensors that a run left"},
		{"CMF_LR", "fast", "CMF_LR=fast: give a number such as 0.001 or 1e-3"},
		{"CMF_HIDDEN", "64,x", `CMF_HIDDEN=64,x: "x" is not a width; give positive whole numbers such as 64,64`},
		{"CMF_HIDDEN", "64,,8", `CMF_HIDDEN=64,,8: "" is not a width; give positive whole numbers such as 64,64`},
		{"CMF_HIDDEN", "0", `CMF_HIDDEN=0: "0" is not a width; give positive whole numbers such as 64,64`},
		{"CMF_STEPS", "-1", "CMF_STEPS=-1: allowed are 0 to 1000000000"},
		{"CMF_STEPS", "ten", "CMF_STEPS=ten: give a whole number"},
		{"CMF_STEPS", "99999999999999999999", "CMF_STEPS=99999999999999999999: give a whole number"},
		{"CMF_BATCH", "1", "CMF_BATCH=1: allowed are 2 to 1000000"},
		{"CMF_SEED", "-1", "CMF_SEED=-1: give a whole number, 0 or more"},
		{"CMF_MINUTES", "-2", "CMF_MINUTES=-2: allowed are 0 to 1000000"},
		{"CMF_THREADS", "-1", "CMF_THREADS=-1: allowed are 0 to 1024"},
		{"CMF_LOSS", "", "CMF_LOSS=: name at least one loss term, such as dual"},
		{"CMF_SOURCE", "noise", "CMF_SOURCE=noise: allowed are gibbs, gaussian"},
		{"CMF_INIT", "zero", "CMF_INIT=zero: allowed are gaussian, identity"},
		{"CMF_SAMPLER", "hmc", "CMF_SAMPLER=hmc: allowed are mala, ula"},
		{"CMF_CONJUGATE", "adam", "CMF_CONJUGATE=adam: allowed are bb, lbfgs, newton"},
		{"CMF_VM", "lisp", "CMF_VM=lisp: allowed are plan, tape"},
		{"CMF_BLAS", "mkl", "CMF_BLAS=mkl: allowed are auto, openblas, native, gonum"},
		{"CMF_PRESET", "slow", "CMF_PRESET=slow: allowed are quick, default, paper"},
		{"CMF_SET", "spiral", "CMF_SET=spiral: allowed are moons, circles"},
		{"CMF_OWN_LR", "perhaps", "CMF_OWN_LR=perhaps: give true or false"},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			if _, _, err := loadToy(Variables(c.name + "=" + c.value)); err == nil || err.Error() != c.want {
				t.Errorf("error %q, want %q", fmt.Sprint(err), c.want)
			}
		})
	}
}

func TestLoadUnknownNames(t *testing.T) {
	for name, want := range map[string]string{
		"CMF_STEP":                 "unknown variable CMF_STEP: did you mean CMF_STEPS? known are CMF_PRESET, CMF_OUT, CMF_VM",
		"CMF_DATADIR":              "did you mean CMF_DATA_DIR? ",
		"CMF_TEMPERATURE_OF_NOISE": "unknown variable CMF_TEMPERATURE_OF_NOISE: known are",
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := loadToy(Variables(name + "=1")); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one that says %q", err, want)
			}
		})
	}
	if _, _, err := loadToy(nil, "-steps=3"); err == nil || !strings.Contains(err.Error(), `unknown argument "-steps=3"`) {
		t.Errorf("an argument: %v", err)
	}
	var c toyConfig
	if _, err := Load(&c, map[string]func(*toyConfig){"quick": nil}, Variables("CMF_PRESET=paper"), nil, io.Discard); err == nil || err.Error() != "CMF_PRESET=paper: allowed are quick, default" {
		t.Errorf("a preset that the experiment lacks: %v", err)
	}
	var alone struct{ Steps int }
	if _, err := Load(&alone, nil, nil, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "must embed config.Core") {
		t.Errorf("no Core: %v", err)
	}
	var nested struct {
		Core
		Inner struct{ A, B int }
	}
	if _, err := Load(&nested, nil, nil, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "plain values") {
		t.Errorf("a nested struct: %v", err)
	}
	var twice struct {
		Core
		Seed int
	}
	if _, err := Load(&twice, nil, nil, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "two fields of the variable CMF_SEED") {
		t.Errorf("a variable of two fields: %v", err)
	}
	var wrong struct {
		Core
		Share float64 `range:"0..one"`
	}
	if _, err := Load(&wrong, nil, nil, nil, io.Discard); err == nil || !strings.Contains(err.Error(), `range:"0..one" of Share`) {
		t.Errorf("a range that cannot be read: %v", err)
	}
}

func TestLoadHelp(t *testing.T) {
	env := Variables("CMF_PRESET=quick", "CMF_LR=wrong") // help must work for users who got something wrong
	for _, arg := range []string{"-h", "--help"} {
		var out strings.Builder
		var c toyConfig
		if _, err := Load(&c, toyPresets, env, []string{arg}, &out); !errors.Is(err, flag.ErrHelp) {
			t.Fatalf("%s: %v, want flag.ErrHelp", arg, err)
		}
		lines := map[string][]string{}
		for line := range strings.Lines(out.String()) {
			if words := strings.Fields(line); len(words) > 1 {
				lines[words[0]] = words
			}
		}
		for name, value := range map[string]string{"CMF_STEPS": "20", "CMF_HIDDEN": "8,8", "CMF_OUT": "-", "CMF_SET": "moons", "CMF_NOISE": "0.05"} {
			if got := lines[name]; len(got) < 3 || got[1] != value {
				t.Errorf("%s shows %q, want default %s", arg, got, value)
			}
		}
		for _, allowed := range []string{" 0 and numbers from 0.05, below 1 ", " moons, circles ", " quick, default, paper ", " mala, ula "} {
			if !strings.Contains(out.String(), allowed) {
				t.Errorf("%s does not tell that%sare allowed:\n%s", arg, allowed, &out)
			}
		}
	}
}

// fixedConfig fixes the source of all experiments at its default, and embeds a group
// that checks itself.
type fixedConfig struct {
	Core
	Pair
}

func (fixedConfig) Fixed() []string { return []string{"CMF_SOURCE"} }

func (fixedConfig) Siblings() []string { return []string{"CMF_DATA_FILE"} }

type Pair struct{ Low, High int }

func (p *Pair) Validate() error {
	if p.Low > p.High {
		return fmt.Errorf("CMF_LOW=%d: allowed are numbers up to CMF_HIGH, %d", p.Low, p.High)
	}
	return nil
}

func TestFixedVariablesAndGroups(t *testing.T) {
	load := func(settings ...string) error {
		_, err := Load(new(fixedConfig), nil, Variables(settings...), nil, io.Discard)
		return err
	}
	if err := load("CMF_SOURCE=gaussian"); err == nil || !strings.Contains(err.Error(), "CMF_SOURCE=gaussian: it is always gibbs here") {
		t.Errorf("a variable that is fixed: %v", err)
	}
	var said strings.Builder
	if _, err := Load(new(fixedConfig), nil, Variables("CMF_DATA_FILE=x.csv"), nil, &said); err != nil || !strings.Contains(said.String(), "CMF_DATA_FILE does nothing") {
		t.Errorf("a variable of a sibling: %v, said %q", err, said.String())
	}
	if err := load("CMF_SOURCE=gibbs", "CMF_DATA_DIR=/data"); err != nil {
		t.Errorf("a fixed variable at its value, and one for all commands: %v", err)
	}
	if err := load("CMF_LOW=3", "CMF_HIGH=2"); err == nil || err.Error() != "CMF_LOW=3: allowed are numbers up to CMF_HIGH, 2" {
		t.Errorf("a group that refuses: %v", err)
	}
	if err := load("CMF_HIDDEN=65536", "CMF_BATCH=100000"); err == nil || !strings.Contains(err.Error(), "CMF_BATCH=100000: with CMF_HIDDEN=65536") {
		t.Errorf("a group beside another that refuses: %v", err)
	}
	if err := load("CMF_LOW=2", "CMF_HIGH=3"); err != nil {
		t.Error(err)
	}
}

// The process's environment is read and never changed. A process that it starts has the
// given variables and no others.
func TestEnvironment(t *testing.T) {
	t.Setenv("SEED", "9") // the variable of another program
	t.Setenv("CMF_STEPS", "a=b")
	env := OS()
	if _, ok := env["SEED"]; ok || env["CMF_STEPS"] != "a=b" {
		t.Errorf("environment %v", env)
	}
	process := env.With("CMF_STEPS=3", "CMF_LOSS=").Process()
	for _, want := range []string{"SEED=9", "CMF_STEPS=3", "CMF_LOSS="} {
		if !slices.Contains(process, want) {
			t.Errorf("the environment of a process lacks %s", want)
		}
	}
	if slices.Contains(process, "CMF_STEPS=a=b") || env["CMF_STEPS"] != "a=b" || os.Getenv("CMF_STEPS") != "a=b" {
		t.Errorf("the environment changed: %v", process)
	}
}

func TestWidthsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Widths(rapid.SliceOfN(rapid.IntRange(1, 5000), 1, 6).Draw(t, "w"))
		var back Widths
		if err := back.Decode(w.String()); err != nil || !cmp.Equal(w, back) {
			t.Fatalf("%v reads back as %v, %v", w, back, err)
		}
	})
}

func TestEditDistance(t *testing.T) {
	if d := editDistance("kitten", "sitting"); d != 3 {
		t.Errorf("kitten to sitting = %d, want 3", d)
	}
	word := rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		ab := editDistance(a, b)
		if (ab == 0) != (a == b) || ab != editDistance(b, a) || ab > editDistance(a, c)+editDistance(c, b) {
			t.Fatalf("not a metric on %q, %q, %q", a, b, c)
		}
	})
}

func TestOpenOut(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	folder, err := OpenOut("", "circles")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(folder, filepath.Join("runs", "circles")+string(filepath.Separator)) {
		t.Errorf("default folder %s", folder)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 0 {
		t.Errorf("the new folder holds %v, %v", entries, err)
	}
	given := map[string]bool{}
	for range 20 { // several in a millisecond
		folder, err := OpenOut("", "circles")
		if err != nil || given[folder] {
			t.Fatalf("folder %s, given before %v, %v", folder, given[folder], err)
		}
		given[folder] = true
	}
	if err := os.WriteFile("file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"file", filepath.Join("file", "below")} {
		if _, err := OpenOut(bad, "circles"); err == nil || !strings.HasPrefix(err.Error(), "CMF_OUT="+bad+": ") {
			t.Errorf("%s: %v, want an error that names CMF_OUT", bad, err)
		}
	}
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("no folder in which nobody, root neither, can make a file")
	}
	if _, err := OpenOut("/proc/self", "circles"); err == nil || !strings.HasSuffix(err.Error(), "; name a folder that can be written") {
		t.Errorf("a closed folder: %v", err)
	}
}

// An address has a port; a host may be left out. It is no part of what a run records.
func TestWatchAddress(t *testing.T) {
	for _, address := range []string{"", ":8080", ":0", "localhost:80", "0.0.0.0:65535", "[::1]:9", "[fe80::1%eth0]:9"} {
		_, settings, err := loadToy(Variables("CMF_WATCH=" + address))
		if err != nil {
			t.Errorf("%q is refused: %v", address, err)
		}
		named := func(s Setting) bool { return s.Name == "CMF_WATCH" }
		if !slices.ContainsFunc(settings, named) || slices.ContainsFunc(Recorded(settings), named) || len(Recorded(settings)) != len(settings)-1 {
			t.Errorf("of %d settings %d are recorded; want all but CMF_WATCH", len(settings), len(Recorded(settings)))
		}
	}
	for _, address := range []string{"8080", ":", ":http", ":65536", ":-1", "::1:80", "http://localhost:80", "a b:80", "<b>:80", "localhost"} {
		if _, _, err := loadToy(Variables("CMF_WATCH=" + address)); err == nil || !strings.HasPrefix(err.Error(), "CMF_WATCH="+address+": ") || !strings.Contains(err.Error(), "[HOST]:PORT") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
