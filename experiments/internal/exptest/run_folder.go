package exptest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/graph"
)

func LoadCheckpoint(t testing.TB, path ...string) *graph.Checkpoint {
	t.Helper()
	c, err := graph.LoadCheckpoint(filepath.Join(append(path, "checkpoint.safetensors")...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func LinesOf(t *testing.T, path ...string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append(path, "metrics.jsonl")...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}
