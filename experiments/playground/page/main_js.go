package main

import (
	"encoding/json"
	"fmt"
	"syscall/js"
	"time"
	"unsafe"

	"cmf/experiments/playground/learner"
	"cmf/graph/blas"
	"cmf/solvers/batch"
	"cmf/solvers/line"

	"gonum.org/v1/gonum/blas/blas32"
)

// page is what the script calls.
type page struct {
	learned *learner.Learner
	line    *learner.Line // nil for what is in the plane
	viewer  *learner.Viewer
	drawing *learner.Drawing
}

func main() {
	if _, err := blas.Use("native", 1); err != nil {
		panic(err)
	}
	p := new(page)
	calls := js.Global().Get("Object").New()
	for name, call := range map[string]func(args []js.Value) (map[string]any, error){
		"learn":      p.learn,
		"loss":       p.loss,
		"step":       p.step,
		"points":     p.points,
		"see":        p.see,
		"draw":       p.draw,
		"drawn":      p.drawn,
		"checkpoint": p.checkpoint,
	} {
		calls.Set(name, guarded(call))
	}
	js.Global().Set("cmf", calls)
	js.Global().Call("ready")
	select {}
}

// guarded answers an error, or a panic, by its text.
func guarded(call func(args []js.Value) (map[string]any, error)) js.Func {
	return js.FuncOf(func(_ js.Value, args []js.Value) (answer any) {
		defer func() {
			if r := recover(); r != nil {
				answer = map[string]any{"error": fmt.Sprint(r)}
			}
		}()
		values, err := call(args)
		if err != nil {
			return map[string]any{"error": err.Error()}
		}
		return values
	})
}

// floats is a Float32Array of its own with the values.
func floats(v []float32) js.Value {
	bytes := js.Global().Get("Uint8Array").New(4 * len(v))
	if len(v) > 0 {
		js.CopyBytesToJS(bytes, unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v)))
	}
	return js.Global().Get("Float32Array").New(bytes.Get("buffer"))
}

// rows reads a Float32Array of points of the plane; null is none.
func rows(v js.Value) blas32.General {
	if v.IsNull() || v.IsUndefined() || v.Length() == 0 {
		return blas32.General{}
	}
	x := batch.New(v.Length()/2, 2)
	bytes := js.Global().Get("Uint8Array").New(v.Get("buffer"), v.Get("byteOffset"), v.Get("byteLength"))
	js.CopyBytesToGo(unsafe.Slice((*byte)(unsafe.Pointer(&x.Data[0])), 4*len(x.Data)), bytes)
	return x
}

// task is what the script wants to be learned.
type task struct {
	learner.Options
	Tab     string           `json:"tab"` // points, energy or line
	Bumps   [][3]float64     `json:"bumps"`
	Mixture []line.Component `json:"mixture"`
}

// learn begins to learn: a task as JSON, points.
func (p *page) learn(args []js.Value) (map[string]any, error) {
	var t task
	if err := json.Unmarshal([]byte(args[0].String()), &t); err != nil {
		return nil, fmt.Errorf("the options: %w", err)
	}
	var l *learner.Learner
	var onLine *learner.Line
	var err error
	switch t.Tab {
	case "energy":
		var bumps []learner.Bump
		for _, b := range t.Bumps {
			bumps = append(bumps, learner.Bump{X: b[0], Y: b[1], SD: b[2]})
		}
		l, err = learner.NewEnergy(t.Options, bumps)
	case "line":
		if onLine, err = learner.NewLine(t.Options, t.Mixture); err == nil {
			l = onLine.Learner
		}
	default:
		l, err = learner.New(t.Options, rows(args[1]))
	}
	if err != nil {
		return nil, err
	}
	p.learned, p.line, p.viewer, p.drawing = l, onLine, new(learner.Viewer), nil
	var center []any
	for _, c := range l.Center {
		center = append(center, c)
	}
	return map[string]any{
		"data": floats(batch.Rows(l.Points, 0, min(l.Points.Rows, 3000)).Data), "center": center, "scale": l.Scale,
	}, nil
}

// loss replaces the loss.
func (p *page) loss(args []js.Value) (map[string]any, error) {
	return map[string]any{}, p.learned.SetLoss(args[0].String())
}

// step makes steps for some milliseconds, at least one.
func (p *page) step(args []js.Value) (map[string]any, error) {
	start, patience := time.Now(), time.Duration(args[0].Float()*float64(time.Millisecond))
	var loss, residual []float32
	acceptance, iterations := 0., 0.
	most := args[1].Int()
	for !p.learned.Finished() && len(loss) < most && (len(loss) == 0 || time.Since(start) < patience) {
		info, err := p.learned.Step()
		if err != nil {
			return nil, err
		}
		loss, residual = append(loss, float32(info.Loss)), append(residual, float32(info.Conjugate.MaxResidual()))
		acceptance, iterations = info.Langevin.Acceptance, info.Conjugate.MeanIterations()
	}
	return map[string]any{
		"step": p.learned.State().Step, "of": p.learned.Options.Steps, "finished": p.learned.Finished(),
		"loss": floats(loss), "residual": floats(residual), "acceptance": acceptance, "iterations": iterations,
	}, nil
}

// points are particles and their images.
func (p *page) points([]js.Value) (map[string]any, error) {
	s := p.learned.State()
	distance, err := p.learned.Distance()
	return map[string]any{"noise": floats(s.Bank.Y.Data), "image": floats(s.Partners.Data), "distance": distance}, err
}

// see is a view of the model.
func (p *page) see([]js.Value) (map[string]any, error) {
	if p.line != nil {
		return p.seeLine()
	}
	v, err := p.learned.See(p.viewer)
	if err != nil {
		return nil, err
	}
	square := func(s learner.Square) []any { return []any{s.X, s.Y, s.Half} }
	return map[string]any{
		"noise": square(v.Noise), "w": floats(v.W), "data": square(v.Data), "density": floats(v.Density), "warped": floats(v.Warped.Data),
		"cells": v.Cells, "lines": learner.Lines,
	}, nil
}

func (p *page) seeLine() (map[string]any, error) {
	v, err := p.line.See()
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"x": floats(v.X), "density": floats(v.Density), "moment": floats(v.Moment), "exact": floats(v.Exact), "learned": floats(v.Learned),
		"momentSlope": floats(v.MomentSlope), "exactSlope": floats(v.ExactSlope), "learnedSlope": floats(v.LearnedSlope), "uvp": v.UVP,
	}, nil
}

// draw begins to generate points: how many, after how many steps.
func (p *page) draw(args []js.Value) (map[string]any, error) {
	var err error
	p.drawing, err = p.learned.Draw(args[0].Int(), args[1].Int())
	return map[string]any{}, err
}

// drawn goes on with that, and has the points at the end.
func (p *page) drawn([]js.Value) (map[string]any, error) {
	done, err := p.drawing.Step()
	if err != nil || !done {
		return map[string]any{"done": p.drawing.Done()}, err
	}
	return map[string]any{"done": 1, "points": floats(p.drawing.Points().Data)}, nil
}

// checkpoint is the model as a file.
func (p *page) checkpoint([]js.Value) (map[string]any, error) {
	text, err := p.learned.Checkpoint()
	if err != nil {
		return nil, err
	}
	bytes := js.Global().Get("Uint8Array").New(len(text))
	js.CopyBytesToJS(bytes, text)
	return map[string]any{"file": bytes}, nil
}
