package main

import (
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

func TestChangesOf(t *testing.T) {
	const text = "package p\n\nimport \"fmt\"\n\nfunc f(a, b int) error {\n\ta += b * 3\n\tif a < b {\n\t\tg()\n\t\ta = 0.5\n\t}\n\treturn fmt.Errorf(\"%d\", a+2)\n}\n"
	all, err := changesOf("p.go", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, c := range all {
		said = append(said, c.String())
		if _, err := parser.ParseFile(token.NewFileSet(), "p.go", c.text, 0); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
	want := []string{
		"p.go:6: += → -=", "p.go:6: * → /", "p.go:6: 3 → 30", "p.go:7: < → <=", "p.go:8: g() → ", "p.go:9: a = 0.5 → ", "p.go:9: 0.5 → (10*0.5)",
	}
	if !slices.Equal(said, want) {
		t.Errorf("changes %q, want %q", said, want)
	}
}

func TestChangesOfAPackage(t *testing.T) {
	if all, err := changesIn("../../../solvers"); err != nil || len(all) < 300 {
		t.Errorf("%d changes, %v", len(all), err)
	}
	if _, err := changesIn(t.TempDir()); err == nil {
		t.Error("a folder without code: no error")
	}
}
