package graph

import (
	"fmt"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestErrors(t *testing.T) {
	type node = gorgonia.Node
	for name, c := range map[string]struct {
		compile func(s *Scope, x *node) error
		want    []string
	}{
		"no outputs": {func(s *Scope, x *node) error { _, err := s.Compile(nil); return err }, []string{"without outputs"}},
		"nil output": {func(s *Scope, x *node) error { _, err := s.Compile(nodes{"loss": nil}); return err }, []string{`"loss"`, "nil"}},
		"scalar output": {func(s *Scope, x *node) error {
			_, err := s.Compile(nodes{"sum": gorgonia.Must(gorgonia.Sum(x))})
			return err
		}, []string{`"sum"`, "only matrices"}},
		"duplicate input": {func(s *Scope, x *node) error { s.Input("x", 5, 5); _, err := s.Compile(nodes{"x": x}); return err }, []string{"second input", `"x"`}},
		"empty input":     {func(s *Scope, x *node) error { s.Input("y", 0, 2); _, err := s.Compile(nodes{"x": x}); return err }, []string{`"y"`, "(0, 2)", "positive"}},
		"two constants": {func(s *Scope, x *node) error {
			s.Constant("c", 2, 2, func(i, j int) float64 { return 1 })
			s.Constant("c", 2, 2, func(i, j int) float64 { return 2 })
			return s.Err
		}, []string{"constant c", "second"}},
		"reserved name": {func(s *Scope, x *node) error { s.Ones(2, 2); s.Input("ones (2, 2)", 2, 2); return s.Err }, []string{"second", "ones (2, 2)"}},
		"an earlier error": {func(s *Scope, x *node) error {
			s.Err = fmt.Errorf("the first")
			s.Input("x", 1, 1)
			s.Constant("c", 1, 1, nil)
			s.Grad(nil)
			_, err := s.Compile(nodes{"x": x})
			return err
		}, []string{"the first"}},
		"machine of nothing": {func(s *Scope, x *node) error { _, err := NewMachine(); return err }, []string{"without outputs"}},
		"machine of integers": {func(s *Scope, x *node) error {
			_, err := NewMachine(gorgonia.NewMatrix(s.g, tensor.Int, gorgonia.WithShape(2, 2), gorgonia.WithName("n")))
			return err
		}, []string{"int", "float32 and float64"}},
		"unbound input": {func(s *Scope, x *node) error {
			_, err := NewMachine(gorgonia.NewMatrix(s.g, tensor.Float64, gorgonia.WithShape(2, 2), gorgonia.WithName("free")))
			return err
		}, []string{`"free"`, "no value"}},
		"mixed types": {func(s *Scope, x *node) error {
			ps, _ := NewParams(tensor.Float32)
			s.Add(x, s.Param(ps.New("w", 2, 2)))
			return s.Err
		}, []string{"float32"}},
		"unknown machine": {func(s *Scope, x *node) error { return UseMachine("lisp") }, []string{`"lisp"`, "plan", "tape"}},
		"unknown type":    {func(s *Scope, x *node) error { _, err := NewParams(tensor.Int); return err }, []string{"int", "float32 and float64"}},
		"rebound input": {func(s *Scope, x *node) error {
			p, err := s.Compile(nodes{"o": s.Tanh(x)})
			if err != nil {
				return err
			}
			if err := gorgonia.Let(x, tensor.New(tensor.WithShape(2, 2), tensor.Of(tensor.Float64))); err != nil {
				return err
			}
			return p.Run()
		}, []string{`"x"`, "another value"}},
	} {
		s := NewScope(tensor.Float64)
		err := c.compile(s, s.Input("x", 2, 2))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", name, err, w)
			}
		}
	}
}

// In and Out panic on an unknown name: it is a mistake in the caller's code.
func TestUnknownNamesPanic(t *testing.T) {
	s := NewScope(tensor.Float64)
	p := compile(t, s, nodes{"o": s.Input("x", 1, 1)})
	for name, f := range map[string]func(){
		`no input named "o"`:      func() { p.In("o") },
		`no output named "x"`:     func() { p.Out("x") },
		"second weight named dup": func() { ps := newParams(t, tensor.Float32); ps.New("dup", 1, 1); ps.New("dup", 2, 2) },
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), name) {
					t.Errorf("panic %v; want one that says %q", r, name)
				}
			}()
			f()
		}()
	}
}

// Leaves that Gorgonia would merge by name and shape stay apart.
func TestEqualNames(t *testing.T) {
	a, b := newParams(t, tensor.Float64).New("w", 1, 1), newParams(t, tensor.Float64).New("w", 1, 1)
	a.Set(0, 2)
	b.Set(0, 5)
	s := NewScope(tensor.Float64)
	x := s.Input("w", 1, 1)
	same := s.Constant("c", 1, 1, func(int, int) float64 { return 3 })
	if s.Constant("c", 1, 1, func(int, int) float64 { return 3 }) != same {
		t.Error("a constant declared twice is two nodes")
	}
	p := compile(t, s, nodes{"o": s.Add(s.Mul(s.Param(a), x), s.Mul(s.Param(b), same))})
	p.In("w").F64[0] = 10
	run(t, p)
	if got := p.Out("o").At(0, 0); got != 35 {
		t.Errorf("2·10 + 5·3 = %v", got)
	}
}

func TestParams(t *testing.T) {
	for _, dtype := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		ps := newParams(t, dtype)
		w, f := ps.New("w", 2, 2), ps.New("f", 1, 3)
		w.NonNegative, f.Frozen = true, true
		w.Fill(func(i int) float64 { return float64(i) - 1.5 })
		f.Fill(func(i int) float64 { return -1 })
		w.Project()
		f.Project()
		for i, want := range []float64{0, 0, .5, 1.5} {
			if w.At(i) != want {
				t.Errorf("%v: projected weight %d is %v, want %v", dtype, i, w.At(i), want)
			}
		}
		if f.At(0) != -1 {
			t.Error("a weight that may be negative was projected")
		}
		if ps.Count() != 4 || len(ps.All()) != 2 || len(ps.Trained()) != 1 || ps.Trained()[0] != w || ps.ByName("f") != f || ps.ByName("g") != nil {
			t.Errorf("count %d, all %d, trained %d", ps.Count(), len(ps.All()), len(ps.Trained()))
		}
		if (w.Float32s() == nil) != (dtype == tensor.Float64) || (w.Float64s() == nil) != (dtype == tensor.Float32) {
			t.Errorf("%v: the values are of another type", dtype)
		}
	}
}
