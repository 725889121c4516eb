package inputs

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/run"
)

var update = flag.Bool("update", false, "write the golden files of what is printed")

// Bad is a wrong setting, or a wrong file with a correct setting.
type Bad struct {
	Command   run.Experiment
	What      string
	Variables string // without CMF_, separated by spaces
	Files     map[string][]byte
}

// TestBad checks that each input ends with one message that names the variable, file or row
// and says what is allowed, before anything is learned or any file but the settings is
// left. The messages are the table in the file golden. The working folder must belong to
// the test.
func TestBad(t *testing.T, golden string, inputs ...Bad) {
	t.Helper()
	var table strings.Builder
	table.WriteString("| command | what is wrong | variables | message |\n| --- | --- | --- | --- |\n")
	for _, c := range inputs {
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", c.Command.Command(), c.What, code(c.Variables), code(c.message(t)))
	}
	if *update {
		WriteFile(t, golden, []byte(table.String()))
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	expected := strings.Split(string(want), "\n")
	for k, line := range strings.Split(table.String(), "\n") {
		if k >= len(expected) || line != expected[k] {
			t.Errorf("line %d differs from %s (-update writes it):\n%s", k+1, golden, line)
		}
	}
}

// message runs the command and returns its message.
func (c Bad) message(t *testing.T) string {
	t.Helper()
	env := config.Variables("CMF_OUT=out", "CMF_THREADS=1")
	var names []string
	for word := range strings.FieldsSeq(c.Variables) {
		name, value, _ := strings.Cut(word, "=")
		env["CMF_"+name] = value
		names = append(names, "CMF_"+name)
	}
	for path, content := range c.Files {
		WriteFile(t, path, content)
	}
	// An input that is not refused within seconds is interrupted, and counts as accepted.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := c.Command.Execute(ctx, env, io.Discard)
	if err == nil {
		t.Errorf("%s: %s passed", c.Command.Command(), c.What)
		err = errors.New("none")
	}
	message := err.Error()
	named := false
	for _, name := range names {
		named = named || strings.Contains(message, name)
	}
	if !named {
		t.Errorf("%s: %s: %q names no variable of %s", c.Command.Command(), c.What, message, c.Variables)
	}
	err = filepath.WalkDir("out", func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Name() != "config.env" {
			t.Errorf("%s: %s: %s was left", c.Command.Command(), c.What, path)
		}
		return nil
	})
	err = errors.Join(err, os.RemoveAll("out"))
	for path := range c.Files {
		top, _, _ := strings.Cut(path, "/")
		err = errors.Join(err, os.RemoveAll(top))
	}
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// code writes a text as code for a cell of a table.
func code(text string) string {
	if len(text) > 400 {
		text = text[:300] + " … " + text[len(text)-90:]
	}
	text = strings.NewReplacer("|", `\|`, "\n", " ⏎ ", "\x00", "␀").Replace(text)
	return "`" + strings.ReplaceAll(text, "`", "'") + "`"
}

// WriteFile writes a file and creates its folder.
func WriteFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}
