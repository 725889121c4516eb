package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"cmf/data/file"
	"cmf/experiments/config"
)

// Numbers are numbers by name. In JSON, names are in order, NaN and ±Inf are written as
// null, and null is read as NaN.
type Numbers map[string]float64

// MarshalJSON writes numbers that are not finite as null.
func (n Numbers) MarshalJSON() ([]byte, error) {
	all := make(map[string]any, len(n))
	for name, v := range n {
		all[name] = v
		if math.IsNaN(v) || math.IsInf(v, 0) {
			all[name] = nil
		}
	}
	return json.Marshal(all)
}

// UnmarshalJSON reads null as NaN.
func (n *Numbers) UnmarshalJSON(data []byte) error {
	var all map[string]*float64
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*n = make(Numbers, len(all))
	for name, v := range all {
		(*n)[name] = math.NaN()
		if v != nil {
			(*n)[name] = *v
		}
	}
	return nil
}

// Report is the result of a run as report.json, on which programs that compare runs
// rely.
type Report struct {
	Experiment string            `json:"experiment"`
	Started    time.Time         `json:"started"`
	Seconds    float64           `json:"seconds"`
	Steps      int               `json:"steps"`
	Config     map[string]string `json:"config"`             // variable → value
	Resolved   []string          `json:"resolved,omitempty"` // variables whose values depend on the data or on other variables
	Data       string            `json:"data"`
	Machine    Machine           `json:"machine"`

	// Stop is how the run ended.
	Stop Stop `json:"stop"`

	// Metrics are those of the model, Floor those of data against other data, and
	// Baseline those of the model with which the method is compared.
	Metrics  Numbers `json:"metrics"`
	Floor    Numbers `json:"floor"`
	Baseline Numbers `json:"baseline"`

	// Beside are the metrics of further laws with which the model is compared.
	Beside []Column `json:"beside,omitempty"`

	// Truth holds exactly known values: numbers in maps and slices, or nil.
	Truth any `json:"truth"`

	// Notes are remarks. The first of them are the Warnings.
	Notes    []string `json:"notes"`
	Warnings []string `json:"warnings,omitempty"`

	// NaNCount is the number of nulls in metrics, floor, baseline, beside and truth that
	// stand for NaN or ±Inf. Write counts them.
	NaNCount int `json:"nan_count"`
}

// Column is a law with the metrics of its samples.
type Column struct {
	Name    string  `json:"name"`
	Title   string  `json:"title"`
	Metrics Numbers `json:"metrics"`
}

// Write counts the numbers that are not finite and writes report.json into
// folder.
func (r *Report) Write(folder string) error {
	r.NaNCount = 0
	all := []Numbers{r.Metrics, r.Floor, r.Baseline}
	for _, c := range r.Beside {
		all = append(all, c.Metrics)
	}
	for _, numbers := range all {
		for _, v := range numbers {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				r.NaNCount++
			}
		}
	}
	// Empty parts are {} and [], not null, so that a reader need not check.
	out := *r
	out.Truth = withoutNaN(reflect.ValueOf(r.Truth), &r.NaNCount)
	out.NaNCount = r.NaNCount
	if out.Notes == nil {
		out.Notes = []string{}
	}
	if out.Config == nil {
		out.Config = map[string]string{}
	}
	out.Started = r.Started.Round(time.Second)
	text, err := json.MarshalIndent(out, "", "  ")
	if err == nil {
		err = file.Write(filepath.Join(folder, "report.json"), func(w io.Writer) error { return file.Text(w, append(text, '\n')) })
	}
	if err != nil {
		return fmt.Errorf("report.json: %w", err)
	}
	return nil
}

// withoutNaN copies maps and slices, with nil in place of numbers that are not finite,
// and counts these. Other values stay as they are.
func withoutNaN(v reflect.Value, count *int) any {
	switch v.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Interface, reflect.Pointer:
		return withoutNaN(v.Elem(), count)
	case reflect.Float32, reflect.Float64:
		if math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0) {
			*count++
			return nil
		}
	case reflect.Slice, reflect.Array:
		all := make([]any, v.Len())
		for i := range all {
			all[i] = withoutNaN(v.Index(i), count)
		}
		return all
	case reflect.Map:
		all := map[string]any{}
		for _, key := range v.MapKeys() {
			all[fmt.Sprint(key)] = withoutNaN(v.MapIndex(key), count)
		}
		return all
	}
	return v.Interface()
}

// ConfigOf returns the settings as a map by variable, for Report.Config.
func ConfigOf(settings []config.Setting) map[string]string {
	config := make(map[string]string, len(settings))
	for _, s := range settings {
		config[s.Name] = s.Value
	}
	return config
}

// WriteConfig writes config.env into folder: a line VARIABLE=value for every setting,
// quoted for the shell.
func WriteConfig(folder string, settings []config.Setting) error {
	err := file.Write(filepath.Join(folder, "config.env"), func(w io.Writer) error {
		for _, s := range settings {
			if _, err := fmt.Fprintf(w, "%s=%s\n", s.Name, Quoted(s.Value)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("config.env: %w", err)
	}
	return nil
}

// Quoted writes a word for the shell: bare if that is safe, otherwise in single quotes.
func Quoted(word string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%"
	if word != "" && strings.Trim(word, safe) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Command is the shell command that repeats a run: the variables that differ from their
// defaults, then the command of the experiment.
func Command(experiment string, settings []config.Setting) string {
	var words []string
	for _, s := range settings {
		if s.Value != s.Default {
			words = append(words, s.Name+"="+Quoted(s.Value))
		}
	}
	return strings.Join(append(words, "go run ./experiments/"+experiment), " ")
}
